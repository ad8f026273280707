// What is random during training: masks and noise from the bits of random.h.
#pragma once

#include "../random.h"
#include "table.h"

namespace {

// A unit is kept where its 32 random bits lie below (1 - rate) 2^32; kept units are scaled so that the mean stays.
template <class T>
void dropout(const deltaprop::Dropout<T>& d) {
  const double keep = 1 - d.rate;
  const T scale = static_cast<T>(1 / keep);
  const std::uint64_t limit = static_cast<std::uint64_t>(keep * 4294967296.0);
  for (size_t r = 0; r < d.rows; ++r) {
    const T* x = d.x + r * d.x_stride;
    T* y = d.y + r * d.y_stride;
    std::uint8_t* mask = d.mask + r * d.mask_stride;
    for (size_t j = 0; j < d.n; j += 4) {
      const Philox bits =
          philox(static_cast<std::uint32_t>(d.first_row + r), static_cast<std::uint32_t>(j / 4),
                 static_cast<std::uint32_t>(d.step), static_cast<std::uint32_t>(d.step >> 32), d.seed, d.op);
      for (size_t i = 0; i < 4; ++i) mask[j + i] = bits.word[i] < limit;
    }
    for (size_t j = 0; j < d.n; ++j) y[j] = mask[j] ? x[j] * scale : T{0};
  }
}

template <class T>
void dropout_grad(const T* dy, const std::uint8_t* mask, T scale, T* dx, size_t n) {
  for (size_t j = 0; j < n; ++j) dx[j] = mask[j] ? dy[j] * scale : T{0};
}

}  // namespace
