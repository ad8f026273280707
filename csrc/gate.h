// Who may use a model now: one trainer, or any number of predictors. The trainer's own thread may do both, because its
// callbacks do.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

namespace deltaprop {

class Gate {
 public:
  // The trainer's side; may be entered again by the thread that is in.
  void lock() {
    if (mine()) {
      ++depth_;
      return;
    }
    mutex_.lock();
    closed_ = true;
    while (inside_ > 0) std::this_thread::yield();  // a prediction is short
    owner_ = std::this_thread::get_id();
    depth_ = 1;
  }
  void unlock() {
    if (--depth_ > 0) return;
    owner_ = std::thread::id();
    closed_ = false;
    mutex_.unlock();
  }

  // The predictors' side: two atomic additions where nobody trains.
  bool try_lock_shared() {
    inside_.fetch_add(1);
    if (!closed_ || mine()) return true;
    inside_.fetch_sub(1);
    return false;
  }
  void lock_shared() {
    while (!try_lock_shared()) {
      mutex_.lock();  // wait for the trainer to leave
      mutex_.unlock();
    }
  }
  void unlock_shared() { inside_.fetch_sub(1); }

 private:
  bool mine() const { return owner_.load() == std::this_thread::get_id(); }

  std::mutex mutex_;
  std::atomic<bool> closed_{false};
  std::atomic<int> inside_{0};
  std::atomic<std::thread::id> owner_{};
  int depth_ = 0;
};

}  // namespace deltaprop
