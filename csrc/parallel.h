// Threads: teams, barriers and each thread's floating-point mode. The only file that knows OpenMP.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <sched.h>
#endif

namespace deltaprop {

// Flushes denormals while it lives: the moments of dead units decay into them and would slow every update down. The
// caller's mode comes back on every way out.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(saved_ | (std::uint64_t{1} << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }

 private:
  std::uint64_t saved_;
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

// One thread's place in a team, and the team's barrier.
class Team {
 public:
  struct Barrier {
    alignas(64) std::atomic<unsigned> arrived{0};
    alignas(64) std::atomic<unsigned> phase{0};
  };

  Team(Barrier& barrier, unsigned thread, unsigned size) : thread(thread), size(size), barrier_(barrier) {}

  const unsigned thread, size;

  // Spins for a while, then yields: an own barrier costs some 40 ns where OpenMP's costs 240, and a busy neighbour is
  // let in.
  void sync() {
    if (size == 1) return;
    const unsigned phase = barrier_.phase.load(std::memory_order_relaxed);
    if (barrier_.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
      barrier_.arrived.store(0, std::memory_order_relaxed);
      barrier_.phase.store(phase + 1, std::memory_order_release);
      return;
    }
    for (unsigned spins = 0; barrier_.phase.load(std::memory_order_acquire) == phase; ++spins) pause(spins);
  }

  // This thread's part of n items, as even as can be.
  std::size_t begin(std::size_t n) const { return n * thread / size; }
  std::size_t end(std::size_t n) const { return n * (thread + 1) / size; }

 private:
  static void pause(unsigned spins) {
    if (spins < 2000) {
#if defined(__x86_64__)
      _mm_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
      return;
    }
#if defined(__unix__) || defined(__APPLE__)
    sched_yield();
#endif
  }

  Barrier& barrier_;
};

// libgomp's threads do not survive a fork, and a parallel region in the child would wait for them for ever (GCC bug
// 60035).
inline bool& forked() {
  static bool flag = false;
  return flag;
}

inline void watch_for_fork() {
#if defined(__unix__) || defined(__APPLE__)
  pthread_atfork(nullptr, nullptr, [] { forked() = true; });
#endif
}

// Processors that this process may use: the affinity mask, and OMP_NUM_THREADS where set.
inline unsigned processors() {
#if defined(_OPENMP)
  return static_cast<unsigned>(omp_get_max_threads() < omp_get_num_procs() ? omp_get_max_threads()
                                                                           : omp_get_num_procs());
#else
  return 1;
#endif
}

constexpr bool has_openmp() {
#if defined(_OPENMP)
  return true;
#else
  return false;
#endif
}

// Runs f(team) on n threads, the caller's among them; f must not throw.
template <class F>
void run_team(unsigned n, const F& f) {
  Team::Barrier barrier;
#if defined(_OPENMP)
  if (n > 1 && !forked()) {
#pragma omp parallel num_threads(static_cast<int>(n))
    {
      FlushDenormals flush;
      Team team(barrier, static_cast<unsigned>(omp_get_thread_num()), static_cast<unsigned>(omp_get_num_threads()));
      f(team);
    }
    return;
  }
#endif
  (void)n;
  FlushDenormals flush;
  Team team(barrier, 0, 1);
  f(team);
}

}  // namespace deltaprop
