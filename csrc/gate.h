// Who may use a model now: one trainer, or any number of predictors. The trainer's own thread may do both, because its
// callbacks do.
#pragma once

#include <atomic>
#include <shared_mutex>
#include <thread>

namespace deltaprop {

class Gate {
 public:
  void lock() {
    if (mine()) {
      ++depth_;
      return;
    }
    mutex_.lock();
    owner_ = std::this_thread::get_id();
    depth_ = 1;
  }
  void unlock() {
    if (--depth_ > 0) return;
    owner_ = std::thread::id();
    mutex_.unlock();
  }
  void lock_shared() {
    if (!mine()) mutex_.lock_shared();
  }
  void unlock_shared() {
    if (!mine()) mutex_.unlock_shared();
  }

 private:
  bool mine() const { return owner_.load() == std::this_thread::get_id(); }

  std::shared_mutex mutex_;
  std::atomic<std::thread::id> owner_{};
  int depth_ = 0;
};

}  // namespace deltaprop
