// Optimiser steps on one span of a variable, and what happens to gradients on the way: penalties, clipping, norms.
// The update rules are those of Keras; 1 - beta is formed in double, because 1 - 0.999f is 5e-5 off.
#pragma once

#include "table.h"
#include "vec.h"

namespace {

using deltaprop::UpdateSpan;

template <class T>
inline Vec<T> constant(double x) {
  return broadcast(static_cast<T>(x));
}

// Runs step(j, w, g) over the span after the decoupled decay of w, which AdamW and every weight_decay share. The gradient of a
// single row is formed on the way: its memory would cost as much as the update.
template <class T, class Step>
inline void each_register(const UpdateSpan<T>& u, const Step& step) {
  const Vec<T> decay = constant<T>(u.decay);
  const auto at = [&](size_t j, Vec<T> g) {
    Vec<T> w = load(u.w + j);
    w = fma(-decay, w, w);
    store(u.w + j, step(j, w, g));
  };
  if (u.g) {
    for (size_t j = 0; j < u.n; j += kLanes<T>) at(j, load(u.g + j));
    return;
  }
  for (size_t k = 0; k * u.width < u.n; ++k) {
    const Vec<T> x = broadcast(u.x[k]);
    for (size_t j = 0; j < u.width; j += kLanes<T>) at(k * u.width + j, fma(x, load(u.dy + j), Vec<T>{}));
  }
}

// w -= rate g
template <class T>
void sgd(const UpdateSpan<T>& u) {
  const Vec<T> rate = constant<T>(u.rate);
  each_register(u, [&](size_t, Vec<T> w, Vec<T> g) { return fma(-rate, g, w); });
}

// v = momentum v - rate g; w += v, or with Nesterov's correction w += momentum v - rate g
template <class T, bool kNesterov>
void momentum(const UpdateSpan<T>& u) {
  const Vec<T> rate = constant<T>(u.rate), momentum = constant<T>(u.constants[0]);
  each_register(u, [&](size_t j, Vec<T> w, Vec<T> g) {
    const Vec<T> v = fma(momentum, load(u.slot[0] + j), -(rate * g));
    store(u.slot[0] + j, v);
    return kNesterov ? w + fma(momentum, v, -(rate * g)) : w + v;
  });
}

// v = rho v + (1 - rho) g^2; w -= rate g / sqrt(v + epsilon), centred or through a momentum where asked for
template <class T, bool kMomentum, bool kCentered>
void rmsprop(const UpdateSpan<T>& u) {
  const Vec<T> rate = constant<T>(u.rate), rho = constant<T>(u.constants[0]), rest = constant<T>(1 - u.constants[0]);
  const Vec<T> momentum = constant<T>(u.constants[1]), epsilon = constant<T>(u.constants[2]);
  each_register(u, [&](size_t j, Vec<T> w, Vec<T> g) {
    const Vec<T> v = fma(rho, load(u.slot[0] + j), rest * (g * g));
    store(u.slot[0] + j, v);
    Vec<T> variance = v;
    if constexpr (kCentered) {
      const Vec<T> mean = fma(rho, load(u.slot[2] + j), rest * g);
      store(u.slot[2] + j, mean);
      variance = fma(-mean, mean, v);
    }
    Vec<T> step = rate * g / sqrt(variance + epsilon);
    if constexpr (kMomentum) {
      step = fma(momentum, load(u.slot[1] + j), step);
      store(u.slot[1] + j, step);
    }
    return w - step;
  });
}

// m += (1 - beta1)(g - m); v += (1 - beta2)(g^2 - v); w -= rate m / (sqrt(v) + epsilon), with the rate already corrected for
// the bias of m and v (Kingma & Ba 2015, section 2, last paragraph)
template <class T, bool kAmsgrad>
void adam(const UpdateSpan<T>& u) {
  const Vec<T> rate = constant<T>(u.rate), epsilon = constant<T>(u.constants[2]);
  const Vec<T> gain1 = constant<T>(1 - u.constants[0]), gain2 = constant<T>(1 - u.constants[1]);
  each_register(u, [&](size_t j, Vec<T> w, Vec<T> g) {
    Vec<T> m = load(u.slot[0] + j), v = load(u.slot[1] + j);
    m = fma(gain1, g - m, m);
    v = fma(gain2, fma(g, g, -v), v);
    store(u.slot[0] + j, m);
    store(u.slot[1] + j, v);
    if constexpr (kAmsgrad) {
      v = max(load(u.slot[2] + j), v);
      store(u.slot[2] + j, v);
    }
    return w - rate * m / (sqrt(v) + epsilon);
  });
}

// sum += term(w) over one panel: one FMA-free chain down each column, then the columns in order, in double.
template <class T, class Term>
inline void panel_sum(const T* w, size_t depth, size_t width, double* sum, const Term& term) {
  for (size_t j = 0; j < width; j += kLanes<T>) {
    Vec<T> column{};
    for (size_t k = 0; k < depth; ++k) column = column + term(load(w + k * width + j));
    for (size_t i = 0; i < kLanes<T>; ++i) *sum += static_cast<double>(column[i]);
  }
}

template <class T>
void square_sum(const T* g, size_t depth, size_t width, double* sum) {
  panel_sum(g, depth, width, sum, [](Vec<T> x) { return x * x; });
}

// l1 sum |w| + l2 sum w^2, as in Keras: no 1/2 in front of l2.
template <class T>
void penalty(const T* w, size_t depth, size_t width, T l1, T l2, double* sum) {
  const Vec<T> a = broadcast(l1), b = broadcast(l2);
  panel_sum(w, depth, width, sum, [&](Vec<T> x) { return abs<T>(x) * fma(b, abs<T>(x), a); });
}

template <class T>
void penalty_grad(const T* w, T l1, T l2, T* g, size_t n) {
  const Vec<T> plus = broadcast(l1), slope = broadcast(2 * l2);
  for (size_t j = 0; j < n; j += kLanes<T>) {
    const Vec<T> x = load(w + j);
    const Vec<T> sign = select<T>(x > Vec<T>{}, plus, select<T>(x < Vec<T>{}, -plus, Vec<T>{}));
    store(g + j, load(g + j) + fma(slope, x, sign));
  }
}

template <class T>
void scale(T* g, T factor, size_t n) {
  const Vec<T> f = broadcast(factor);
  for (size_t j = 0; j < n; j += kLanes<T>) store(g + j, load(g + j) * f);
}

template <class T>
void clip(T* g, T limit, size_t n) {
  const Vec<T> high = broadcast(limit);
  for (size_t j = 0; j < n; j += kLanes<T>) {
    const Vec<T> x = load(g + j);
    store(g + j, select<T>(x > high, high, select<T>(x < -high, -high, x)));
  }
}

}  // namespace
