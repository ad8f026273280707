// Runs a plan on the caller's data: whole epochs, evaluations, predictions, or single operations for tests.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "batches.h"
#include "operations/operations.h"
#include "thread_choice.h"

namespace deltaprop {

// Called between blocks at most ten times a second, on the calling thread, with the steps that are done; false stops
// the run before the next update.
using KeepGoing = std::function<bool(size_t steps)>;

struct Pass {
  const Batches* data = nullptr;
  const std::int64_t* order = nullptr;  // rows of the data in the order of the pass; null: as they lie
  size_t samples = 0, batch = 0;
  size_t first_step = 0, last_step = 0;  // batches of the pass to run
  const double* scalars = nullptr;       // (steps of the pass, scalars_per_step), see Position
  size_t scalars_per_step = 2;
  std::uint64_t step = 0;  // optimiser steps before the pass
  std::uint32_t seed = 0;
  bool update = false;  // training, with backward and update; else forward and loss only
  unsigned threads = 1;
  KeepGoing keep_going;
};

enum class Outcome { finished, stopped, diverged };  // stopped: by the hook, or by a host operation that failed

struct PassResult {
  Outcome outcome;
  size_t steps;  // updates that are done
};

template <class T>
class Executor {
 public:
  // variables: by buffer, for every parameter and slot of the plan. host: what calls Python for host operations.
  Executor(Plan plan, std::vector<std::shared_ptr<Variable<T>>> variables, const Kernels<T>& kernels,
           Host<T> host = nullptr);
  ~Executor() { delete spare_.load(); }

  const Plan& plan() const { return plan_; }
  // Operations of one row through the spans that a run uses: what the choice of threads goes by.
  double flops(bool training) const;

  // Adds to the counters; a loss that is not finite stops before the update of its batch.
  PassResult run(const Pass& pass);
  void reset_counters();
  const std::vector<double>& sums(int buffer) const { return training_.sums.at(static_cast<size_t>(buffer)); }

  // outputs: (rows, width) each, C order. Any number of threads may predict at once. A host operation that fails ends
  // it early.
  void predict(const std::vector<Source>& inputs, size_t rows, const std::vector<T*>& outputs, unsigned threads);

  // The same for few rows that lie in memory as the first layer reads them, on this thread: one input, one output.
  // False if the plan has more, reads its input otherwise, or calls Python.
  bool predict_few(const T* input, size_t rows, T* output);

  // A copy of parameters, slots and counters, and the way back to it.
  void snapshot();
  void restore();

  // ---- one operation at a time, on one batch that is kept
  void prepare(const Position& at, const std::vector<double>& scalars);
  void step(size_t first, size_t last, unsigned threads, size_t repeats = 1);
  Workspace<T>& workspace() { return training_; }
  const Position& position() const { return position_; }

 private:
  std::unique_ptr<Workspace<T>> take_workspace();
  void give_back(std::unique_ptr<Workspace<T>> work);
  void gather_block(const Pass& pass, size_t start, size_t rows, const Team& team);
  void refresh_mirrors() const;
  bool parameters_are_finite() const;
  void predict_block(Workspace<T>& work, const std::vector<Source>& inputs, size_t from, size_t to,
                     const std::vector<T*>& outputs) const;
  void execute(size_t op, Workspace<T>& work, const Position& at, const Team& team) const;
  void run_forward(Workspace<T>& work, size_t rows) const;
  void copy_output(const Workspace<T>& work, size_t output, size_t rows, T* to) const;

  Plan plan_;
  Host<T> host_;
  bool calls_host_ = false;  // in the forward span
  const Kernels<T>& kernels_;
  Workspace<T> training_;
  ThreadChoice choice_;
  std::vector<Operation<T>> operations_;  // by op of the plan
  std::vector<bool> barriers_;
  std::vector<bool> readable_in_place_;  // by plan input: only contractions read it
  std::vector<T> saved_;
  std::vector<std::vector<double>> saved_sums_;
  Position position_;
  std::vector<double> position_scalars_;
  std::atomic<Workspace<T>*> spare_{nullptr};  // an inference workspace that one call may take without a lock
  std::mutex free_mutex_;
  std::vector<std::unique_ptr<Workspace<T>>> free_;  // inference workspaces that no call uses now
};

}  // namespace deltaprop
