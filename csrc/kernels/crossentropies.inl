// Cross-entropies, plain and focal: from probabilities, or matched with the sigmoid or softmax that made them, and then
// computed from its input, so that they are finite for every finite one.
#pragma once

#include "losses.inl"

namespace {

template <class T>
inline Vec<T> probability(Vec<T> p) {
  return clip<T>(p, kLossEpsilon<T>, T{1} - kLossEpsilon<T>);
}

// Label smoothing: a share of the target, and what is spread over all n outcomes. constants: the smoothing.
template <class T>
struct Smoothing {
  Vec<T> keep, spread;
  Smoothing(const double* constants, double n)
      : keep(broadcast(static_cast<T>(1 - constants[0]))), spread(broadcast(static_cast<T>(constants[0] / n))) {}
  Vec<T> operator()(Vec<T> y) const { return y * keep + spread; }
};

// base^exponent for a base of at least epsilon, where its logarithm is harmless.
template <class T>
inline Vec<T> power(Vec<T> base, Vec<T> exponent) {
  return exp<T>(exponent * log<T>(max(broadcast(kLossEpsilon<T>), base)));
}

// ---- over yes or no, summed over the outputs as in losses.inl. constants: the smoothing

template <class T>
struct BinaryCrossentropy {
  static constexpr bool mean = true;
  Smoothing<T> smooth;
  explicit BinaryCrossentropy(const double* c) : smooth(c, 2) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> target) const {
    const Vec<T> q = probability<T>(p), y = smooth(target);
    return -(y * log<T>(q) + (T{1} - y) * log<T>(T{1} - q));
  }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> target) const {
    const Vec<T> q = probability<T>(p), y = smooth(target);
    return select<T>(q == p, (q - y) / (q * (T{1} - q)), p - p);
  }
  static Vec<T> chain(Vec<T> p) { return select<T>(clip<T>(p, T{0}, T{1}) == p, broadcast(T{1}), p - p); }
};

// -log max(p, 1 - p) is log(1 + exp(-|z|)): one logarithm, and no probability that rounds to zero.
template <class T>
struct SigmoidBinaryCrossentropy {
  static constexpr bool mean = true;
  Smoothing<T> smooth;
  explicit SigmoidBinaryCrossentropy(const double* c) : smooth(c, 2) {}
  Vec<T> value(Vec<T> p, Vec<T> z, Vec<T> target) const {
    return max(Vec<T>{}, z) - z * smooth(target) - log<T>(max(p, T{1} - p));
  }
  Vec<T> slope(Vec<T> p, Vec<T>, Vec<T> target) const { return p - smooth(target); }
  static Vec<T> chain(Vec<T> p) { return p * (T{1} - p); }  // dp / dz
};

// w miss^gamma times a cross-entropy, where miss is the probability of the other answer. constants: the smoothing,
// gamma, and the weights w of yes and no.
template <class T, template <class> class Crossentropy>
struct Focal {
  static constexpr bool mean = true;
  Crossentropy<T> crossentropy;
  Vec<T> gamma, yes, no;
  explicit Focal(const double* c)
      : crossentropy(c), gamma(constant<T>(c, 1)), yes(constant<T>(c, 2)), no(constant<T>(c, 3)) {}

  static Vec<T> miss(Vec<T> prediction, Vec<T> y) {
    const Vec<T> p = clip<T>(prediction, T{0}, T{1});  // an output need not be a probability
    return max(broadcast(kLossEpsilon<T>), y * (T{1} - p) + (T{1} - y) * p);
  }
  Vec<T> factor(Vec<T> p, Vec<T> y) const { return (y * yes + (T{1} - y) * no) * power<T>(miss(p, y), gamma); }
  Vec<T> value(Vec<T> p, Vec<T> z, Vec<T> target) const {
    return factor(p, crossentropy.smooth(target)) * crossentropy.value(p, z, target);
  }
  Vec<T> slope(Vec<T> p, Vec<T> z, Vec<T> target) const {
    const Vec<T> y = crossentropy.smooth(target);
    const Vec<T> focus = gamma * (T{1} - T{2} * y) * Crossentropy<T>::chain(p) / miss(p, y);
    return factor(p, y) * (focus * crossentropy.value(p, z, target) + crossentropy.slope(p, z, target));
  }
};
template <class T>
using BinaryFocalCrossentropy = Focal<T, BinaryCrossentropy>;
template <class T>
using SigmoidBinaryFocalCrossentropy = Focal<T, SigmoidBinaryCrossentropy>;

// ---- over one of n classes: a term is a function of the logarithm of one probability; value, and slope by the
// logarithm

template <class T>
struct ClassIds {
  const LossRows<T>& a;
  explicit ClassIds(const LossRows<T>& rows) : a(rows) {}
  Vec<T> target(size_t r, size_t j) const {
    const Vec<T> column = iota<T>() + broadcast(static_cast<T>(j));
    return select<T>(column == broadcast(a.target[r * a.target_stride]), broadcast(T{1}), Vec<T>{});
  }
  Vec<T> value(size_t, Vec<T> y, Vec<T>, Vec<T> log_p) const { return -y * log_p; }
  Vec<T> slope(size_t, Vec<T> y, Vec<T>, Vec<T>) const { return -y; }
};

template <class T>
struct OneHot {
  const LossRows<T>& a;
  Smoothing<T> smooth;
  explicit OneHot(const LossRows<T>& rows) : a(rows), smooth(rows.constants, static_cast<double>(rows.n)) {}
  Vec<T> target(size_t r, size_t j) const { return smooth(load(a.target + r * a.target_stride + j)); }
  Vec<T> value(size_t, Vec<T> y, Vec<T>, Vec<T> log_p) const { return -y * log_p; }
  Vec<T> slope(size_t, Vec<T> y, Vec<T>, Vec<T>) const { return -y; }
};

// -alpha_j (1 - p)^gamma y log p. constants: the smoothing, gamma, and alpha for each class.
template <class T>
struct OneHotFocal {
  OneHot<T> plain;
  Vec<T> gamma;
  explicit OneHotFocal(const LossRows<T>& rows) : plain(rows), gamma(constant<T>(rows.constants, 1)) {}
  Vec<T> target(size_t r, size_t j) const { return plain.target(r, j); }
  Vec<T> alpha(size_t j) const {
    return by_column<T>(j, plain.a.n, [&](size_t c) { return static_cast<T>(plain.a.constants[2 + c]); });
  }
  Vec<T> value(size_t j, Vec<T> y, Vec<T> p, Vec<T> log_p) const {
    return -alpha(j) * power<T>(T{1} - p, gamma) * y * log_p;
  }
  Vec<T> slope(size_t j, Vec<T> y, Vec<T> p, Vec<T> log_p) const {
    const Vec<T> miss = max(broadcast(kLossEpsilon<T>), T{1} - p);
    return alpha(j) * power<T>(miss, gamma) * y * (gamma * p * log_p / miss - T{1});
  }
};

// The class-ids case alone: -log softmax(z)_k = (max z - z_k) - log max p, where the largest probability is at least
// 1/n, so that its logarithm is always good.
template <class T>
void softmax_sparse_categorical_crossentropy(const LossRows<T>& a) {
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* z = a.logits + r * a.logits_stride;
    const size_t label = static_cast<size_t>(a.target[r * a.target_stride]);
    a.value[r] = (row_maximum(z, a.n)[0] - z[label]) - log<T>(row_maximum(p, a.n))[0];
    if (!a.delta) continue;
    const T factor = row_factor(a, r);
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) store(delta + j, load(p + j) * factor);
    delta[label] = (p[label] - 1) * factor;
  }
}

// With log p = z - max z + log max p. The slopes s_j by the logarithms give s_j - p_j sum s by the logits.
template <class T, template <class> class Term>
void softmax_crossentropy(const LossRows<T>& a) {
  const Term<T> term(a);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* z = a.logits + r * a.logits_stride;
    const Vec<T> largest = row_maximum(z, a.n), log_norm = log<T>(row_maximum(p, a.n));
    const auto log_p = [&](size_t j) { return (load(z + j) - largest) + log_norm; };
    Lanes16<T> sum(0), slopes(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>) {
      const auto inside = before<T>(j, a.n);
      const Vec<T> y = term.target(r, j);
      sum.add(j, select<T>(inside, term.value(j, y, load(p + j), log_p(j)), Vec<T>{}));
      slopes.add(j, select<T>(inside, term.slope(j, y, load(p + j), log_p(j)), Vec<T>{}));
    }
    a.value[r] = sum.sum()[0];
    if (!a.delta) continue;
    const Vec<T> factor = broadcast(row_factor(a, r)), total = slopes.sum();
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) {
      const Vec<T> slope = term.slope(j, term.target(r, j), load(p + j), log_p(j));
      store(delta + j, select<T>(before<T>(j, a.n), (slope - load(p + j) * total) * factor, Vec<T>{}));
    }
  }
}

// From probabilities, which are first divided by their sum s as in Keras, q = p / s, and then clipped: with slopes s_j
// by log q_j, zero where that bites, d/dp_j = (s_j / q_j - sum s_k) / s.
template <class T, template <class> class Term>
void probability_crossentropy(const LossRows<T>& a) {
  const Term<T> term(a);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    Lanes16<T> mass(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>) mass.add(j, select<T>(before<T>(j, a.n), load(p + j), Vec<T>{}));
    const Vec<T> total = mass.sum();
    const auto slope = [&](size_t j, Vec<T> q, Vec<T> clipped) {
      return select<T>(q == clipped, term.slope(j, term.target(r, j), clipped, log<T>(clipped)), Vec<T>{});
    };
    Lanes16<T> sum(0), slopes(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>) {
      const auto inside = before<T>(j, a.n);
      const Vec<T> q = load(p + j) / total, clipped = probability<T>(q);
      sum.add(j, select<T>(inside, term.value(j, term.target(r, j), clipped, log<T>(clipped)), Vec<T>{}));
      slopes.add(j, select<T>(inside, slope(j, q, clipped), Vec<T>{}));
    }
    a.value[r] = sum.sum()[0];
    if (!a.delta) continue;
    const Vec<T> factor = broadcast(row_factor(a, r)) / total, mean = slopes.sum();
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) {
      const Vec<T> q = load(p + j) / total, clipped = probability<T>(q);
      store(delta + j, select<T>(before<T>(j, a.n), factor * (slope(j, q, clipped) / clipped - mean), Vec<T>{}));
    }
  }
}

}  // namespace
