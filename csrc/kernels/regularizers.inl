// Penalties on weights and activations, and the norms that constraints hold weights to.
#pragma once

#include "table.h"
#include "vec.h"

namespace {

using deltaprop::NormLimits;
using deltaprop::Panels;

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

// One row: sixteen partial sums, as every reduction of a row.
template <class T>
T activity(const T* a, T l1, T l2, size_t n) {
  const Vec<T> plus = broadcast(l1), slope = broadcast(l2);
  Lanes16<T> sum(0);
  for (size_t j = 0; j < n; j += kLanes<T>) {
    const Vec<T> x = abs<T>(load(a + j));
    sum.add(j, select<T>(before<T>(j, n), x * fma(slope, x, plus), Vec<T>{}));
  }
  return sum.sum()[0];
}

// Of weights, whose padding is zero, or of a row, whose padding is not to be read.
template <class T>
void penalty_grad(const T* w, T l1, T l2, T* g, size_t n) {
  const Vec<T> plus = broadcast(l1), slope = broadcast(2 * l2);
  const auto gradient = [&](size_t j) {
    const Vec<T> x = load(w + j);
    return fma(slope, x, with_sign_of<T>(x, plus));
  };
  size_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) store(g + j, load(g + j) + gradient(j));
  if (j < n) store(g + j, load(g + j) + select<T>(before<T>(j, n), gradient(j), Vec<T>{}));
}

// What weights of a norm are multiplied by; the small number is Keras's.
template <class T>
inline Vec<T> norm_factor(Vec<T> squares, const NormLimits<T>& limits) {
  const Vec<T> norm = sqrt(squares);
  const Vec<T> inside = min(max(norm, broadcast(limits.low)), broadcast(limits.high));
  return fma(broadcast(limits.rate), inside, limits.rest * norm) / (norm + broadcast(static_cast<T>(1e-7)));
}

template <class T>
void limit_column_norms(T* w, size_t depth, size_t width, const NormLimits<T>& limits) {
  for (size_t j = 0; j < width; j += kLanes<T>) {
    Vec<T> squares{};
    for (size_t k = 0; k < depth; ++k) {
      const Vec<T> x = load(w + k * width + j);
      squares = fma(x, x, squares);
    }
    const Vec<T> factor = norm_factor<T>(squares, limits);
    for (size_t k = 0; k < depth; ++k) store(w + k * width + j, load(w + k * width + j) * factor);
  }
}

// f(place of a register, its column) along row k of all panels.
template <class T, class F>
inline void each_column(T* w, size_t depth, const Panels& panels, size_t k, const F& f) {
  for (size_t p = 0; p < panels.count; ++p) {
    const size_t first = panels.first(p), width = panels.width(p);
    for (size_t j = 0; j < width; j += kLanes<T>) f(w + depth * first + k * width + j, first + j);
  }
}

template <class T>
inline void add_squares(T* w, size_t depth, const Panels& panels, size_t k, Lanes16<T>& sum) {
  each_column(w, depth, panels, k, [&](T* x, size_t column) { sum.add_product(column, load(x), load(x)); });
}

template <class T>
inline void scale_row(T* w, size_t depth, const Panels& panels, size_t k, Vec<T> factor) {
  each_column(w, depth, panels, k, [&](T* x, size_t) { store(x, load(x) * factor); });
}

template <class T>
void limit_row_norms(T* w, size_t depth, const Panels& panels, size_t from, size_t to, const NormLimits<T>& limits) {
  for (size_t k = from; k < to; ++k) {
    Lanes16<T> sum(0);
    add_squares(w, depth, panels, k, sum);
    scale_row(w, depth, panels, k, norm_factor<T>(sum.sum(), limits));
  }
}

template <class T>
void limit_norm(T* w, size_t depth, const Panels& panels, const NormLimits<T>& limits) {
  Lanes16<T> sum(0);
  for (size_t k = 0; k < depth; ++k) add_squares(w, depth, panels, k, sum);
  const Vec<T> factor = norm_factor<T>(sum.sum(), limits);
  for (size_t k = 0; k < depth; ++k) scale_row(w, depth, panels, k, factor);
}

}  // namespace
