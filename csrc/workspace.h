// The memory of one run of a plan, and its plan: which buffer of rows lies where.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "plan.h"
#include "variable.h"

namespace deltaprop {

// Elements between rows: whole units, and never a multiple of 1 KB, which would map many rows to few cache sets.
template <class T>
constexpr size_t stride_of(size_t width) {
  const size_t unit = 64 / sizeof(T), padded = (width + unit - 1) / unit * unit;
  return padded * sizeof(T) % 1024 == 0 ? padded + unit : padded;
}

// Where the rows of a buffer lie: row r starts at data + r * stride. A mask's data are bytes.
template <class T>
struct Place {
  T* data = nullptr;
  size_t stride = 0;
};

// By buffer: as many zeros as a counter or scalar has numbers.
std::vector<std::vector<double>> zero_sums(const Plan& plan);

struct Position;
template <class T>
struct Workspace;

// Calls the Python function of a host operation; false if it failed.
template <class T>
using Host = std::function<bool(const Op&, Workspace<T>&, const Position&)>;

// The memory of one run of a plan.
template <class T>
struct Workspace {
  const Plan* plan = nullptr;
  const Kernels<T>* kernels = nullptr;
  std::vector<std::shared_ptr<Variable<T>>> variables;  // by buffer: parameters, slots and gradients
  std::vector<Place<T>> place;                          // by buffer of rows
  std::vector<Place<T>> own_place;        // the same in the arena: inputs may be read where the caller has them
  std::vector<std::vector<double>> sums;  // by buffer: counters and scalars
  std::unique_ptr<Slab> arena;
  std::vector<std::unique_ptr<Slab>> scratch;  // by thread: one panel's columns of all rows
  size_t capacity = 0;                         // rows
  std::vector<bool> forward_mirrors;           // by buffer: whether the mirror of a parameter is read going forward
  const Host<T>* host = nullptr;
  bool host_failed = false;

  // Room for so many rows and threads: every buffer has memory of its own.
  void reserve(size_t rows, unsigned threads);

  // A workspace for the forward span alone, on the same variables: buffers whose lives do not overlap share memory, and
  // what acts in training only passes its input through.
  std::unique_ptr<Workspace> for_inference(size_t rows) const;
};

}  // namespace deltaprop
