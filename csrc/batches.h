// The caller's arrays: any element type and strides, memory-mapped or not. Rows are converted as a batch is filled, so
// the data set is never copied whole.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.h"

namespace deltaprop {

inline size_t bytes(Scalar type) {
  switch (type) {
    case Scalar::boolean:
    case Scalar::int8:
    case Scalar::uint8: return 1;
    case Scalar::int16:
    case Scalar::uint16: return 2;
    case Scalar::int32:
    case Scalar::uint32:
    case Scalar::float32: return 4;
    default: return 8;
  }
}

struct Source {
  const char* data = nullptr;
  Scalar type = Scalar::float32;
  size_t rows = 0, width = 0;
  std::ptrdiff_t row_stride = 0;          // in bytes
  std::vector<std::ptrdiff_t> offsets{};  // of each element of a row, where a row is not contiguous

  const char* row(std::int64_t i) const { return data + i * row_stride; }

  // Converts rows order[0], order[1], ..., or without an order the rows from `first` on, and zeroes the padding up to
  // `padded` columns.
  template <class T>
  void read(const std::int64_t* order, size_t first, size_t count, T* y, size_t y_stride, size_t padded,
            const Kernels<T>& kernels) const;

  // Asks for row i to be brought nearer.
  void prefetch(std::int64_t i) const {
    if (!offsets.empty()) return;
    const char* const begin = row(i);
    const char* const end = begin + width * bytes(type);
    const size_t into_line = reinterpret_cast<std::uintptr_t>(begin) % 64;
    for (const char* at = begin - into_line; at < end; at += 64) __builtin_prefetch(at, 0, 2);
  }

  // A row can be read where it lies, without a copy.
  template <class T>
  bool in_place() const;

  bool all_finite() const;
};

// What one call works on, in the order of the plan's inputs, targets and weights. A source without data is left out; a
// weight left out means ones.
struct Batches {
  std::vector<Source> inputs, targets, weights;
};

}  // namespace deltaprop
