// Activations and their derivatives on spans of whole registers, softmax on rows, and dropout.
#pragma once

#include "../random.h"
#include "math.inl"
#include "table.h"

namespace {

struct Linear {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return z;
  }
  template <class T>
  static Vec<T> derivative(Vec<T>) {
    return broadcast(T{1});
  }
};

struct Relu {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return max(Vec<T>{}, z);
  }
  template <class T>
  static Vec<T> derivative(Vec<T> a) {
    return select<T>(a > Vec<T>{}, broadcast(T{1}), Vec<T>{});
  }
};

struct Sigmoid {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return sigmoid<T>(z);
  }
  template <class T>
  static Vec<T> derivative(Vec<T> a) {
    return a * (T{1} - a);
  }
};

struct Tanh {
  template <class T>
  static Vec<T> value(Vec<T> z) {
    return tanh<T>(z);
  }
  template <class T>
  static Vec<T> derivative(Vec<T> a) {
    return fma(-a, a, broadcast(T{1}));
  }
};

template <class T, class Function>
void activation(const T* z, T* a, size_t n) {
  for (size_t j = 0; j < n; j += kLanes<T>) store(a + j, Function::template value<T>(load(z + j)));
}

template <class T, class Function>
void activation_grad(const T* da, const T* s, T* dz, size_t n) {
  for (size_t j = 0; j < n; j += kLanes<T>) store(dz + j, load(da + j) * Function::template derivative<T>(load(s + j)));
}

// p = exp(z - max z) / sum, one row; the shift makes every exponent at most zero.
template <class T>
void softmax(const T* z, T* p, size_t n) {
  const T lowest = -static_cast<T>(__builtin_inf());
  Lanes16<T> largest(lowest);
  for (size_t j = 0; j < n; j += kLanes<T>)
    largest.raise(j, select<T>(before<T>(j, n), load(z + j), broadcast(lowest)));
  const Vec<T> shift = largest.maximum();

  Lanes16<T> sum(0);
  const size_t padded = to_units<T>(n);
  for (size_t j = 0; j < padded; j += kLanes<T>) {
    const Vec<T> e = select<T>(before<T>(j, n), exp<T>(load(z + j) - shift), Vec<T>{});
    sum.add(j, e);
    store(p + j, e);
  }
  const Vec<T> total = sum.sum();
  for (size_t j = 0; j < padded; j += kLanes<T>)
    store(p + j, select<T>(before<T>(j, n), load(p + j) / total, Vec<T>{}));
}

// dz = p (dp - sum dp p), one row.
template <class T>
void softmax_grad(const T* dp, const T* p, T* dz, size_t n) {
  Lanes16<T> dot(0);
  for (size_t j = 0; j < n; j += kLanes<T>)
    dot.add(j, select<T>(before<T>(j, n), load(dp + j) * load(p + j), Vec<T>{}));
  const Vec<T> mean = dot.sum();
  for (size_t j = 0; j < to_units<T>(n); j += kLanes<T>)
    store(dz + j, select<T>(before<T>(j, n), load(p + j) * (load(dp + j) - mean), Vec<T>{}));
}

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
