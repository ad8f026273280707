// One operation of a plan, run by one thread of a team on its share of the work, and which operations need a barrier.
#pragma once

#include <vector>

#include "parallel.h"
#include "workspace.h"

namespace deltaprop {

// Which rows of which batch a run is at. Every thread computes its own copy.
struct Position {
  size_t rows = 0;        // in this block
  size_t first_row = 0;   // of this block in the batch
  size_t batch_rows = 0;  // what means are taken over
  std::uint64_t step = 0;
  std::uint32_t seed = 0;
  bool training = false;
  bool last_block() const { return first_row + rows == batch_rows; }
  // Of this step: the rate with the optimiser's corrections, the plain learning rate, and what the rule needs beside.
  const double* scalars = nullptr;
};

template <class T>
struct Case;

// What runs an operation; never null for a kind of the vocabulary.
template <class T>
using Operation = void (*)(const Case<T>&);
template <class T>
Operation<T> operation_of(Kind kind);

// For each op of [first, last): whether threads must meet before it, because since they last met another thread's share
// of what it touches was written, or what it writes was read.
template <class T>
std::vector<bool> barriers(const Workspace<T>& work, size_t first, size_t last);

}  // namespace deltaprop
