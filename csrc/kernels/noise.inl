// What is random during training: masks and noise from the bits of random.h.
#pragma once

#include "../random.h"
#include "math.inl"
#include "table.h"

namespace {

template <size_t... kIndex>
constexpr Words count_up(Indices<kIndex...>) {
  return Words{kIndex...};
}

// Philox as in random.h, of several counters side by side: word k of counter i is the lower half of word[k][i], and
// whatever the upper half is.
struct Counters {
  static constexpr size_t kCount = kVectorBytes / 8, kUnits = 4 * kCount;
  Words word[4];

  // For kUnits units of a row, from the unit `first` on.
  template <class Draw>
  Counters(const Draw& d, size_t row, size_t first) {
    word[0] = Words{} + (d.first_row + row);
    word[1] = count_up(MakeIndices<kCount>{}) + first / 4;
    word[2] = Words{} + d.step;
    word[3] = word[2] >> 32;
    std::uint32_t k0 = d.seed, k1 = d.op;
    for (int round = 0; round < 10; ++round, k0 += kPhiloxKeys[0], k1 += kPhiloxKeys[1]) {
      const Words p0 = multiply_halves(word[0], Words{} + kPhiloxFactors[0]);
      const Words p1 = multiply_halves(word[2], Words{} + kPhiloxFactors[1]);
      word[0] = (p1 >> 32) ^ word[1] ^ k0;
      word[1] = p1;
      word[2] = (p0 >> 32) ^ word[3] ^ k1;
      word[3] = p0;
    }
    for (Words& w : word) w = w & 0xFFFFFFFF;
  }
};

// The lanes whose byte is not zero.
template <class T>
inline Mask<T> of_bytes(const std::uint8_t* bytes) {
  std::uint8_t b __attribute__((vector_size(kLanes<T>)));
  __builtin_memcpy(&b, bytes, sizeof b);
  return __builtin_convertvector(b, Mask<T>) != Mask<T>{};
}

// A unit is kept where its 32 random bits lie below (1 - rate) 2^32.
template <class T>
void dropout(const deltaprop::Dropout<T>& d) {
  const Words limit = Words{} + static_cast<std::uint64_t>((1 - d.rate) * 4294967296.0);
  for (size_t r = 0; r < d.rows; ++r) {
    const T* const x = d.x + r * d.x_stride;
    T* const y = d.y + r * d.y_stride;
    std::uint8_t* const mask = d.mask + r * d.mask_stride;
    for (size_t j = 0; j < d.n; j += Counters::kUnits) {
      const Counters bits(d, r, j);
      Words kept{};  // a byte for each unit
      for (size_t k = 0; k < 4; ++k) kept |= (Words)(bits.word[k] < limit) & (std::uint64_t{1} << 8 * k);
      const auto bytes = __builtin_convertvector(kept, HalfWords);
      if (j + sizeof bytes <= d.n)
        __builtin_memcpy(mask + j, &bytes, sizeof bytes);
      else
        __builtin_memcpy(mask + j, &bytes, d.n - j);
    }
    for (size_t j = 0; j < d.n; j += kLanes<T>)
      store(y + j, select<T>(of_bytes<T>(mask + j), load(x + j) * d.scale + d.shift, broadcast(d.dropped)));
  }
}

template <class T>
void dropout_grad(const T* dy, const std::uint8_t* mask, T scale, T* dx, size_t n) {
  for (size_t j = 0; j < n; j += kLanes<T>)
    store(dx + j, select<T>(of_bytes<T>(mask + j), load(dy + j) * scale, Vec<T>{}));
}

// Standard normal numbers for 2 kLanes units, from the counter `first` on, by the transform of Box and Muller (1958):
// two words make sqrt(-2 ln u) (cos phi, sin phi). 24 bits of the one are u; of the other, two are signs and 24 are phi
// between 0 and pi / 2. With t = phi - pi / 4 the pair is sqrt(-ln u) (cos t - sin t, cos t + sin t).
template <class T>
void normal_numbers(const Counters& bits, size_t first, T* z) {
  constexpr size_t n = kLanes<T>;
  std::uint32_t angle_bits[n];
  alignas(64) T u[n], phi[n], along[n], across[n];
  for (size_t i = 0; i < n; ++i) {
    const std::uint32_t radius_bits = static_cast<std::uint32_t>(bits.word[i % 2 * 2][first + i / 2]);
    angle_bits[i] = static_cast<std::uint32_t>(bits.word[i % 2 * 2 + 1][first + i / 2]);
    u[i] = static_cast<T>(static_cast<std::int32_t>(radius_bits >> 8) + 1);
    phi[i] = static_cast<T>(static_cast<std::int32_t>(angle_bits[i] << 2 >> 8));
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
  const auto add = [&](size_t r, size_t j, Vec<T> noise) {
    const Vec<T> x = load(g.x + r * g.x_stride + j);
    if (!g.noise) return store(g.y + r * g.y_stride + j, fma(noise, deviation, x));
    const Vec<T> factor = fma(noise, deviation, one);
    store(g.noise + r * g.noise_stride + j, factor);
    store(g.y + r * g.y_stride + j, x * factor);
  };
  for (size_t r = 0; r < g.rows; ++r)
    for (size_t j = 0; j < g.n; j += Counters::kUnits) {
      const Counters bits(g, r, j);
      for (size_t i = j; i < g.n && i < j + Counters::kUnits; i += 2 * kLanes<T>) {
        alignas(64) T z[2 * kLanes<T>];
        normal_numbers(bits, (i - j) / 4, z);
        add(r, i, load(z));
        if (i + kLanes<T> < g.n) add(r, i + kLanes<T>, load(z + kLanes<T>));
      }
    }
}

}  // namespace
