// Losses whose value is a sum or a mean over the outputs, and those of whole rows: the value of each row, and where
// asked for the gradient of the batch's mean. Normalisations are Keras's. Cross-entropies are in crossentropies.inl.
#pragma once

#include "math.inl"
#include "table.h"

namespace {

using deltaprop::LossRows;

// Keras's: what would be divided by zero, or has a logarithm, is kept at least this far from zero; the gradient is zero
// where that bites.
template <class T>
constexpr T kLossEpsilon = static_cast<T>(1e-7);

template <class T>
inline T row_factor(const LossRows<T>& a, size_t r) {
  return a.scale * a.weight[r];
}

template <class T>
inline Vec<T> clip(Vec<T> x, T low, T high) {
  const Vec<T> l = broadcast(low), h = broadcast(high);
  return select<T>(x < l, l, select<T>(x > h, h, x));  // a NaN stays one
}

// d|e| / de: zero at zero, and a NaN stays one.
template <class T>
inline Vec<T> slope_of_abs(Vec<T> e) {
  const Vec<T> one = broadcast(T{1});
  return select<T>(e > Vec<T>{}, one, select<T>(e < Vec<T>{}, -one, e));
}

// f(column) in the lanes of a register that starts at column j; zero from column n on.
template <class T, class F>
inline Vec<T> by_column(size_t j, size_t n, const F& f) {
  T v[kLanes<T>] = {};
  for (size_t i = 0; i < kLanes<T> && j + i < n; ++i) v[i] = f(j + i);
  return load(v);
}

template <class T>
inline Vec<T> constant(const double* constants, size_t i) {
  return broadcast(static_cast<T>(constants[i]));
}

// ---- losses that are a sum over the outputs; value and slope are those of one output with the prediction p, what went
// into the last activation z (matched losses only) and the target y; mean tells whether 1/n is in front

template <class T>
struct MeanSquaredError {
  static constexpr bool mean = true;
  explicit MeanSquaredError(const double*) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const { return (p - y) * (p - y); }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const { return T{2} * (p - y); }
};

template <class T>
struct HalfSquaredError {
  static constexpr bool mean = false;
  explicit HalfSquaredError(const double*) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const { return T{0.5} * ((p - y) * (p - y)); }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const { return p - y; }
};

template <class T>
struct MeanAbsoluteError {
  static constexpr bool mean = true;
  explicit MeanAbsoluteError(const double*) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const { return abs<T>(p - y); }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const { return slope_of_abs<T>(p - y); }
};

// With c = min(|e|, delta): c (|e| - c / 2), which is e^2 / 2 and then a line.
template <class T>
struct Huber {
  static constexpr bool mean = true;
  Vec<T> delta;
  explicit Huber(const double* c) : delta(constant<T>(c, 0)) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const {
    const Vec<T> size = abs<T>(p - y), c = min(delta, size);
    return c * (size - T{0.5} * c);
  }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const {
    const Vec<T> c = min(delta, abs<T>(p - y));
    return select<T>(p < y, -c, c);
  }
};

// log cosh e = |e| + log((1 + exp(-2 |e|)) / 2), where nothing overflows.
template <class T>
struct LogCosh {
  static constexpr bool mean = true;
  explicit LogCosh(const double*) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const {
    const Vec<T> size = abs<T>(p - y);
    return size + log1p<T>(T{0.5} * expm1<T>(T{-2} * size));
  }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const { return tanh<T>(p - y); }
};

template <class T>
struct MeanAbsolutePercentageError {
  static constexpr bool mean = true;
  explicit MeanAbsolutePercentageError(const double*) {}
  static Vec<T> percent(Vec<T> y) { return T{100} / max(broadcast(kLossEpsilon<T>), abs<T>(y)); }
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const { return abs<T>(p - y) * percent(y); }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const { return slope_of_abs<T>(p - y) * percent(y); }
};

template <class T>
struct MeanSquaredLogarithmicError {
  static constexpr bool mean = true;
  explicit MeanSquaredLogarithmicError(const double*) {}
  static Vec<T> positive(Vec<T> x) { return max(broadcast(kLossEpsilon<T>), x); }
  static Vec<T> difference(Vec<T> p, Vec<T> y) { return log1p<T>(positive(p)) - log1p<T>(positive(y)); }
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const { return difference(p, y) * difference(p, y); }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const {
    const Vec<T> g = T{2} * difference(p, y) / (T{1} + positive(p));
    return select<T>(p < broadcast(kLossEpsilon<T>), Vec<T>{}, g);
  }
};

template <class T>
struct Poisson {
  static constexpr bool mean = true;
  explicit Poisson(const double*) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const {
    const Vec<T> rate = max(Vec<T>{}, p);
    return rate - y * log<T>(rate + kLossEpsilon<T>);
  }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const {
    return select<T>(p < Vec<T>{}, Vec<T>{}, T{1} - y / (p + kLossEpsilon<T>));
  }
};

template <class T>
struct KLDivergence {
  static constexpr bool mean = false;
  explicit KLDivergence(const double*) {}
  static Vec<T> share(Vec<T> x) { return clip<T>(x, kLossEpsilon<T>, T{1}); }
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const { return share(y) * log<T>(share(y) / share(p)); }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const {
    const Vec<T> q = share(p);
    return select<T>(q == p, -share(y) / q, p - p);
  }
};

// Classes are -1 and 1; a target of 0 stands for -1.
template <class T>
inline Vec<T> side(Vec<T> y) {
  return select<T>(y == Vec<T>{}, broadcast(T{-1}), y);
}

template <class T>
struct Hinge {
  static constexpr bool mean = true;
  explicit Hinge(const double*) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const { return max(Vec<T>{}, T{1} - side<T>(y) * p); }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const {
    const Vec<T> margin = T{1} - side<T>(y) * p;
    return select<T>(margin > Vec<T>{}, -side<T>(y), select<T>(margin <= Vec<T>{}, Vec<T>{}, margin));
  }
};

template <class T>
struct SquaredHinge {
  static constexpr bool mean = true;
  explicit SquaredHinge(const double*) {}
  static Vec<T> margin(Vec<T> p, Vec<T> y) { return max(Vec<T>{}, T{1} - side<T>(y) * p); }
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const { return margin(p, y) * margin(p, y); }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> y) const { return T{-2} * side<T>(y) * margin(p, y); }
};

template <class T, template <class> class L>
void elementwise_loss(const LossRows<T>& a) {
  const L<T> loss(a.constants);
  const T share = L<T>::mean ? T{1} / static_cast<T>(a.n) : T{1};
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    const T* z = a.logits ? a.logits + r * a.logits_stride : p;
    Lanes16<T> sum(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>)
      sum.add(j, select<T>(before<T>(j, a.n), loss.value(load(p + j), load(z + j), load(y + j)), Vec<T>{}));
    a.value[r] = sum.sum()[0] * share;
    if (!a.delta) continue;
    const Vec<T> factor = broadcast(row_factor(a, r) * share);
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) {
      const Vec<T> slope = loss.slope(load(p + j), load(z + j), load(y + j));
      store(delta + j, select<T>(before<T>(j, a.n), factor * slope, Vec<T>{}));
    }
  }
}

// ---- losses with more outputs than targets: the outputs are blocks as wide as the target

// The pinball loss: block q of the outputs is the quantile constants[q].
template <class T>
void quantile(const LossRows<T>& a) {
  const size_t width = a.n / a.constant_count;
  const T share = T{1} / static_cast<T>(a.n);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    T* delta = a.delta ? a.delta + r * a.delta_stride : nullptr;
    const Vec<T> factor = broadcast(delta ? row_factor(a, r) * share : T{0});
    Lanes16<T> sum(0);
    size_t block = 0, column = 0;  // of the next output
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) {
      T level[kLanes<T>] = {}, target[kLanes<T>] = {};
      for (size_t i = 0; i < kLanes<T> && j + i < a.n; ++i) {
        level[i] = static_cast<T>(a.constants[block]);
        target[i] = y[column];
        if (++column == width) column = 0, ++block;
      }
      const auto inside = before<T>(j, a.n);
      const Vec<T> e = load(target) - load(p + j), q = load(level), zero{};
      sum.add(j, select<T>(inside, max(q * e, (q - T{1}) * e), zero));
      if (!delta) continue;
      const Vec<T> slope = select<T>(e > zero, -q, select<T>(e < zero, T{1} - q, e));
      store(delta + j, select<T>(inside, factor * slope, zero));
    }
    a.value[r] = sum.sum()[0] * share;
  }
}

// log v / 2 + (m - y)^2 / (2 v): the means m are the first half of the outputs, the variances v the other. As in torch
// v is kept at least epsilon, and has the gradient of that place, so that it can come back.
template <class T>
void gaussian_nll(const LossRows<T>& a) {
  const size_t width = a.n / 2;
  const T share = T{1} / static_cast<T>(width);
  const Vec<T> epsilon = constant<T>(a.constants, 0), offset = constant<T>(a.constants, 1);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    T* delta = a.delta ? a.delta + r * a.delta_stride : nullptr;
    const Vec<T> factor = broadcast(delta ? row_factor(a, r) * share : T{0});
    Lanes16<T> sum(0);
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) {
      const auto pair = [&](size_t c) { return c < width ? c : c - width; };
      const Vec<T> e = by_column<T>(j, a.n, [&](size_t c) { return p[pair(c)] - y[pair(c)]; });
      const Vec<T> v = max(epsilon, by_column<T>(j, a.n, [&](size_t c) { return p[width + pair(c)]; }));
      const Vec<T> scaled = e / v, half = broadcast(T{0.5});
      sum.add(j, select<T>(before<T>(j, width), half * (log<T>(v) + e * scaled) + offset, Vec<T>{}));
      if (!delta) continue;
      const Vec<T> slope = select<T>(before<T>(j, width), scaled, half * (T{1} / v - scaled * scaled));
      store(delta + j, select<T>(before<T>(j, a.n), factor * slope, Vec<T>{}));
    }
    a.value[r] = sum.sum()[0] * share;
  }
}

// ---- losses of a whole row

// max(0, 1 + the largest output of the other classes - that of the class): Keras's formula, with y one-hot.
template <class T>
void categorical_hinge(const LossRows<T>& a) {
  const Vec<T> one = broadcast(T{1}), zero{};
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    Lanes16<T> own(0);
    size_t rival = 0;
    for (size_t j = 0; j < a.n; j += kLanes<T>)
      own.add(j, select<T>(before<T>(j, a.n), load(y + j) * load(p + j), zero));
    for (size_t j = 1; j < a.n; ++j)
      if ((1 - y[j]) * p[j] > (1 - y[rival]) * p[rival]) rival = j;
    const Vec<T> margin = broadcast((1 - y[rival]) * p[rival]) - own.sum() + one;
    a.value[r] = max(zero, margin)[0];
    if (!a.delta) continue;
    const Vec<T> factor = broadcast(row_factor(a, r));
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) {
      const Vec<T> column = iota<T>() + broadcast(static_cast<T>(j));
      const Vec<T> slope = select<T>(column == broadcast(static_cast<T>(rival)), one - load(y + j), zero) - load(y + j);
      const Vec<T> bent = select<T>(margin > zero, slope, select<T>(margin <= zero, zero, margin));
      store(delta + j, select<T>(before<T>(j, a.n), factor * bent, zero));
    }
  }
}

// A row over its length, which is kept at least epsilon. Squares are those of x / max |x|: none overflows or vanishes.
template <class T>
struct Direction {
  T largest = 0, length, factor;
  bool clipped;

  Direction(const T* x, size_t n) {
    Lanes16<T> top(0), squares(0);
    for (size_t j = 0; j < n; j += kLanes<T>) top.raise(j, select<T>(before<T>(j, n), abs<T>(load(x + j)), Vec<T>{}));
    largest = top.maximum()[0];
    if (largest == 0) largest = 1;
    for (size_t j = 0; j < n; j += kLanes<T>) {
      const Vec<T> scaled = load(x + j) / largest;
      squares.add(j, select<T>(before<T>(j, n), scaled * scaled, Vec<T>{}));
    }
    const T norm = sqrt(squares.sum())[0];
    clipped = largest * norm < kLossEpsilon<T>;
    length = clipped ? kLossEpsilon<T> : largest * norm;
    factor = clipped ? largest / kLossEpsilon<T> : 1 / norm;
  }
  Vec<T> operator()(Vec<T> x) const { return x / largest * factor; }
};

// -cos of the angle between prediction and target.
template <class T>
void cosine_similarity(const LossRows<T>& a) {
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    const Direction<T> of_p(p, a.n), of_y(y, a.n);
    Lanes16<T> dot(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>)
      dot.add(j, select<T>(before<T>(j, a.n), of_p(load(p + j)) * of_y(load(y + j)), Vec<T>{}));
    const Vec<T> cosine = dot.sum(), turn = of_p.clipped ? Vec<T>{} : cosine;
    a.value[r] = -cosine[0];
    if (!a.delta) continue;
    const Vec<T> factor = broadcast(row_factor(a, r) / of_p.length);
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) {
      const Vec<T> slope = of_p(load(p + j)) * turn - of_y(load(y + j));
      store(delta + j, select<T>(before<T>(j, a.n), factor * slope, Vec<T>{}));
    }
  }
}

}  // namespace
