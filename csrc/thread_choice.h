// How many threads a fit uses: measured, not guessed. Results do not depend on the number, so steps can be spent on
// trying.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace deltaprop {

// A second thread may halve a step, or double it where the cores share little or are busy; which of them changes with
// time.
class ThreadChoice {
 public:
  using Clock = std::chrono::steady_clock;

  // Calls run(threads, first, last) for consecutive parts of [first, last), on `most` threads or on one, until all is
  // done or it returns false.
  template <class Run>
  void steps(unsigned most, std::size_t first, std::size_t last, const Run& run) {
    if (most != most_) *this = ThreadChoice(most);
    while (first < last) {
      const bool trying = most > 1 && tried_ < kTrials;
      const unsigned threads = most == 1 ? 1 : trying ? (tried_ % 2 ? 1 : most) : best_;
      const std::size_t end = std::min(last, first + (trying ? trial_steps_ : steps_until_next()));
      const auto start = Clock::now();
      if (!run(threads, first, end)) return;
      const auto now = Clock::now();
      if (most > 1) learn(threads, std::chrono::duration<double>(now - start).count(), end - first, trying, now);
      first = end;
    }
  }

  // What is believed to be best now.
  unsigned best(unsigned most) const { return most == most_ && best_ ? best_ : most; }

 private:
  static constexpr unsigned kTrials = 6;         // three each, in turn; the best of the three counts
  static constexpr double kTrialSeconds = 1e-4;  // enough to see through a timer
  static constexpr double kRestSeconds = 0.5;    // and at least so many times the cost of trying:
  static constexpr double kRestFactor = 30;

  explicit ThreadChoice(unsigned most) : most_(most), best_(most) {}

 public:
  ThreadChoice() : ThreadChoice(0) {}

 private:
  std::size_t steps_until_next() const {
    const double left = std::chrono::duration<double>(next_ - Clock::now()).count();
    return std::max<std::size_t>(1, static_cast<std::size_t>(std::max(0.0, left) / std::max(1e-7, step_seconds_)));
  }

  void learn(unsigned threads, double seconds, std::size_t steps, bool trying, Clock::time_point now) {
    step_seconds_ = seconds / static_cast<double>(steps);
    if (!trying) {
      if (now >= next_) tried_ = 0;
      return;
    }
    if (tried_ == 0) fastest_[0] = fastest_[1] = 1e30, spent_ = 0;
    double& fastest = fastest_[threads == 1 ? 0 : 1];
    fastest = std::min(fastest, step_seconds_);
    spent_ += seconds;
    trial_steps_ = std::max<std::size_t>(1, static_cast<std::size_t>(kTrialSeconds / std::max(1e-7, step_seconds_)));
    if (++tried_ < kTrials) return;
    best_ = fastest_[0] <= fastest_[1] ? 1 : most_;
    step_seconds_ = std::min(fastest_[0], fastest_[1]);
    next_ = now + std::chrono::duration_cast<Clock::duration>(
                      std::chrono::duration<double>(std::max(kRestSeconds, kRestFactor * spent_)));
  }

  unsigned most_, best_;
  unsigned tried_ = 0;
  double fastest_[2] = {1e30, 1e30};
  double spent_ = 0, step_seconds_ = 1e-4;
  std::size_t trial_steps_ = 1;
  Clock::time_point next_{};
};

}  // namespace deltaprop
