// Activations and their derivatives on spans of whole registers, and softmax on rows.
#pragma once

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

}  // namespace
