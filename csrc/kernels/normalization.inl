// Batch and layer normalisation, and standardising with given statistics.
#pragma once

#include "table.h"
#include "vec.h"

namespace {

// Down the rows in one chain, and relative to the first row, so that equal numbers have exactly themselves as mean.
template <class T>
void batch_norm(const deltaprop::BatchNorm<T>& b) {
  const Vec<T> rows = broadcast(static_cast<T>(b.rows)), epsilon = broadcast(static_cast<T>(b.epsilon));
  const Vec<T> keep = broadcast(static_cast<T>(b.momentum)), take = broadcast(static_cast<T>(1 - b.momentum));
  for (size_t j = 0; j < b.width; j += kLanes<T>) {
    const Mask<T> valid = before<T>(j, b.valid);
    const auto each_row = [&](const auto& f) {
      for (size_t r = 0; r < b.rows; ++r) f(r, load(b.x + r * b.x_stride + j));
    };
    const Vec<T> first = load(b.x + j);
    Vec<T> sum{}, squares{};
    each_row([&](size_t, Vec<T> x) { sum = sum + (x - first); });
    const Vec<T> mean = first + sum / rows;
    each_row([&](size_t, Vec<T> x) { squares = fma(x - mean, x - mean, squares); });
    const Vec<T> variance = squares / rows, inverse = T{1} / sqrt(variance + epsilon);
    each_row(
        [&](size_t r, Vec<T> x) { store(b.y + r * b.y_stride + j, select<T>(valid, (x - mean) * inverse, Vec<T>{})); });
    store(b.inverse + j, select<T>(valid, inverse, Vec<T>{}));
    const auto follow = [&](T* moving, Vec<T> value) {
      store(moving + j, select<T>(valid, fma(load(moving + j), keep, value * take), Vec<T>{}));
    };
    follow(b.moving_mean, mean);
    follow(b.moving_variance, variance);
  }
}

// dx = (dy - mean dy - y mean(dy y)) / deviation, with means over the rows.
template <class T>
void batch_norm_grad(const deltaprop::BatchNormGrad<T>& b) {
  const Vec<T> rows = broadcast(static_cast<T>(b.rows));
  for (size_t j = 0; j < b.width; j += kLanes<T>) {
    const Mask<T> valid = before<T>(j, b.valid);
    const auto each_row = [&](const auto& f) {
      for (size_t r = 0; r < b.rows; ++r) f(r, load(b.dy + r * b.dy_stride + j), load(b.y + r * b.y_stride + j));
    };
    Vec<T> sum{}, dot{};
    each_row([&](size_t, Vec<T> dy, Vec<T> y) {
      sum = sum + dy;
      dot = fma(dy, y, dot);
    });
    const Vec<T> mean = sum / rows, slope = dot / rows, inverse = load(b.inverse + j);
    each_row([&](size_t r, Vec<T> dy, Vec<T> y) {
      store(b.dx + r * b.dx_stride + j, select<T>(valid, fma(-y, slope, dy - mean) * inverse, Vec<T>{}));
    });
  }
}

template <class T>
void standardize(const deltaprop::Standardize<T>& s) {
  const Vec<T> epsilon = broadcast(static_cast<T>(s.epsilon)), floor = broadcast(static_cast<T>(s.floor));
  for (size_t j = 0; j < to_units<T>(s.n); j += kLanes<T>) {
    const Mask<T> valid = before<T>(j, s.n);
    const Vec<T> deviation = sqrt(max(load(s.variance + j) + epsilon, floor));
    const Vec<T> mean = s.mean ? load(s.mean + j) : Vec<T>{};
    const Vec<T> factor = s.invert ? deviation : T{1} / deviation;
    for (size_t r = 0; r < s.rows; ++r) {
      const Vec<T> x = load(s.x + r * s.x_stride + j);
      const Vec<T> y = s.invert ? fma(x, factor, mean) : (x - mean) * factor;
      store(s.y + r * s.y_stride + j, select<T>(valid, y, Vec<T>{}));
    }
  }
}

template <class T>
void layer_norm(const T* x, T* y, T* inverse, size_t n, bool centred, T epsilon) {
  const Vec<T> count = broadcast(static_cast<T>(n));
  Vec<T> mean{};
  if (centred) {
    Lanes16<T> sum(0);
    for (size_t j = 0; j < n; j += kLanes<T>) sum.add(j, select<T>(before<T>(j, n), load(x + j), Vec<T>{}));
    mean = sum.sum() / count;
  }
  Lanes16<T> squares(0);
  for (size_t j = 0; j < n; j += kLanes<T>) {
    const Vec<T> d = select<T>(before<T>(j, n), load(x + j) - mean, Vec<T>{});
    squares.add_product(j, d, d);
  }
  const Vec<T> factor = T{1} / sqrt(squares.sum() / count + broadcast(epsilon));
  for (size_t j = 0; j < to_units<T>(n); j += kLanes<T>)
    store(y + j, select<T>(before<T>(j, n), (load(x + j) - mean) * factor, Vec<T>{}));
  if (inverse) *inverse = factor[0];
}

// dx = (dy - mean dy - y mean(dy y)) / deviation, with means over the row; without the first where it was not centred.
template <class T>
void layer_norm_grad(const T* dy, const T* y, T inverse, T* dx, size_t n, bool centred) {
  const Vec<T> count = broadcast(static_cast<T>(n));
  Lanes16<T> sum(0), dot(0);
  for (size_t j = 0; j < n; j += kLanes<T>) {
    const Vec<T> d = select<T>(before<T>(j, n), load(dy + j), Vec<T>{});
    sum.add(j, d);
    dot.add_product(j, d, load(y + j));
  }
  const Vec<T> mean = centred ? sum.sum() / count : Vec<T>{}, slope = dot.sum() / count;
  for (size_t j = 0; j < to_units<T>(n); j += kLanes<T>)
    store(dx + j,
          select<T>(before<T>(j, n), fma(-load(y + j), slope, load(dy + j) - mean) * broadcast(inverse), Vec<T>{}));
}

template <class T>
void multiply(const T* x, const T* w, T* y, size_t n) {
  for (size_t j = 0; j < n; j += kLanes<T>) store(y + j, load(x + j) * load(w + j));
}

// g = (x * dy) summed over the rows, or added to g.
template <class T>
void add_products(const T* x, size_t x_stride, const T* dy, size_t dy_stride, size_t rows, size_t n, T* g,
                  bool accumulate) {
  for (size_t j = 0; j < n; j += kLanes<T>) {
    Vec<T> sum = accumulate ? load(g + j) : Vec<T>{};
    for (size_t r = 0; r < rows; ++r) sum = fma(load(x + r * x_stride + j), load(dy + r * dy_stride + j), sum);
    store(g + j, sum);
  }
}

}  // namespace
