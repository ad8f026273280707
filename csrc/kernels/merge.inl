// Sums of spans of whole registers: where the branches of a network meet, and where their gradients do.
#pragma once

#include "table.h"
#include "vec.h"

namespace {

// y = c x, or y += c x
template <class T>
void combine(const T* x, T c, T* y, size_t n, bool add) {
  for (size_t j = 0; j < n; j += kLanes<T>)
    store(y + j, add ? fma(broadcast(c), load(x + j), load(y + j)) : c * load(x + j));
}

}  // namespace
