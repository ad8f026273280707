// What is random during training: masks and noise from the bits of random.h.
#pragma once

#include "../random.h"
#include "math.inl"
#include "table.h"

namespace {

// A unit is kept where its 32 random bits lie below (1 - rate) 2^32.
template <class T>
void dropout(const deltaprop::Dropout<T>& d) {
  const std::uint64_t limit = static_cast<std::uint64_t>((1 - d.rate) * 4294967296.0);
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
    for (size_t j = 0; j < d.n; ++j) y[j] = mask[j] ? x[j] * d.scale + d.shift : d.dropped;
  }
}

template <class T>
void dropout_grad(const T* dy, const std::uint8_t* mask, T scale, T* dx, size_t n) {
  for (size_t j = 0; j < n; ++j) dx[j] = mask[j] ? dy[j] * scale : T{0};
}

// Standard normal numbers for the units [first, first + 2 kLanes) of a row, by the transform of Box and Muller (1958):
// two words make sqrt(-2 ln u) (cos phi, sin phi). 24 bits of the one are u; of the other, two are signs and 24 are phi
// between 0 and pi / 2. With t = phi - pi / 4 the pair is sqrt(-ln u) (cos t - sin t, cos t + sin t).
template <class T>
void normal_numbers(const deltaprop::GaussianNoise<T>& g, size_t row, size_t first, T* z) {
  constexpr size_t n = kLanes<T>;
  std::uint32_t angle_bits[n];
  alignas(64) T u[n], phi[n], along[n], across[n];
  for (size_t i = 0; i < n; i += 2) {
    const Philox bits =
        philox(static_cast<std::uint32_t>(g.first_row + row), static_cast<std::uint32_t>(first / 4 + i / 2),
               static_cast<std::uint32_t>(g.step), static_cast<std::uint32_t>(g.step >> 32), g.seed, g.op);
    for (size_t k = 0; k < 2; ++k) {
      u[i + k] = static_cast<T>(static_cast<std::int32_t>(bits.word[2 * k] >> 8) + 1);
      angle_bits[i + k] = bits.word[2 * k + 1];
      phi[i + k] = static_cast<T>(static_cast<std::int32_t>(bits.word[2 * k + 1] << 2 >> 8));
    }
  }
  const T step = static_cast<T>(1.5707963267948966 / 16777216), start = static_cast<T>(-0.7853981633974483);
  const Vec<T> radius = sqrt(-log<T>(load(u) * broadcast(static_cast<T>(0x1p-24))));
  const SinCos<T> t = sin_cos<T>(fma(load(phi), broadcast(step), broadcast(start)));
  store(along, radius * (t.cos - t.sin));
  store(across, radius * (t.cos + t.sin));
  for (size_t i = 0; i < n; ++i) {
    z[2 * i] = angle_bits[i] >> 31 ? -along[i] : along[i];
    z[2 * i + 1] = angle_bits[i] >> 30 & 1 ? -across[i] : across[i];
  }
}

// y = x + deviation z, or y = x noise with noise = 1 + deviation z, where the noise is kept.
template <class T>
void gaussian_noise(const deltaprop::GaussianNoise<T>& g) {
  const Vec<T> deviation = broadcast(static_cast<T>(g.deviation)), one = broadcast(T{1});
  for (size_t r = 0; r < g.rows; ++r)
    for (size_t j = 0; j < g.n; j += 2 * kLanes<T>) {
      alignas(64) T z[2 * kLanes<T>];
      normal_numbers(g, r, j, z);
      for (size_t i = j; i < g.n && i < j + 2 * kLanes<T>; i += kLanes<T>) {
        const Vec<T> x = load(g.x + r * g.x_stride + i), noise = load(z + (i - j));
        if (!g.noise) {
          store(g.y + r * g.y_stride + i, fma(noise, deviation, x));
          continue;
        }
        const Vec<T> factor = fma(noise, deviation, one);
        store(g.noise + r * g.noise_stride + i, factor);
        store(g.y + r * g.y_stride + i, x * factor);
      }
    }
}

}  // namespace
