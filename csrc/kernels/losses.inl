// Losses and metrics, a row at a time: the value of each row, and where asked for the gradient of the batch's mean.
// Normalisations are Keras's; matched losses are computed from the activation a, so they are finite for every finite a.
#pragma once

#include "math.inl"
#include "table.h"

namespace {

using deltaprop::LossRows;

// Keras's: probabilities are clipped to [epsilon, 1 - epsilon] before a logarithm; the gradient is zero where that
// bites.
template <class T>
constexpr T kProbabilityEpsilon = static_cast<T>(1e-7);

template <class T>
inline T row_factor(const LossRows<T>& a, size_t r) {
  return a.scale * a.weight[r];
}

// The first column with the largest value.
template <class T>
inline size_t argmax(const T* p, size_t n) {
  size_t best = 0;
  for (size_t j = 1; j < n; ++j) best = p[j] > p[best] ? j : best;
  return best;
}

// ---- losses that are a sum over the outputs; value and slope are those of one output, mean tells whether 1/n is in
// front

struct MeanSquaredError {
  static constexpr bool mean = true;
  template <class T>
  static Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) {
    return (p - y) * (p - y);
  }
  template <class T>
  static Vec<T> slope(Vec<T> p, Vec<T> y) {
    return T{2} * (p - y);
  }
};

struct HalfSquaredError {
  static constexpr bool mean = false;
  template <class T>
  static Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) {
    return T{0.5} * ((p - y) * (p - y));
  }
  template <class T>
  static Vec<T> slope(Vec<T> p, Vec<T> y) {
    return p - y;
  }
};

struct MeanAbsoluteError {
  static constexpr bool mean = true;
  template <class T>
  static Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) {
    return abs<T>(p - y);
  }
  template <class T>
  static Vec<T> slope(Vec<T> p, Vec<T> y) {
    const Vec<T> one = broadcast(T{1});
    return select<T>(p > y, one, select<T>(p < y, -one, p - y));  // zero at zero, and a NaN stays one
  }
};

struct BinaryCrossentropy {
  static constexpr bool mean = true;
  template <class T>
  static Vec<T> clip(Vec<T> p) {
    const Vec<T> low = broadcast(kProbabilityEpsilon<T>), high = broadcast(T{1} - kProbabilityEpsilon<T>);
    return select<T>(p < low, low, select<T>(p > high, high, p));
  }
  template <class T>
  static Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) {
    const Vec<T> q = clip<T>(p);
    return -(y * log<T>(q) + (T{1} - y) * log<T>(T{1} - q));
  }
  template <class T>
  static Vec<T> slope(Vec<T> p, Vec<T> y) {
    const Vec<T> q = clip<T>(p);
    return select<T>(q == p, (q - y) / (q * (T{1} - q)), p - q - (p - q));
  }
};

// -log max(p, 1 - p) is log(1 + exp(-|z|)): one logarithm, and no probability that rounds to zero.
struct SigmoidBinaryCrossentropy {
  static constexpr bool mean = true;
  template <class T>
  static Vec<T> value(Vec<T> p, Vec<T> z, Vec<T> y) {
    return max(Vec<T>{}, z) - z * y - log<T>(max(p, T{1} - p));
  }
  template <class T>
  static Vec<T> slope(Vec<T> p, Vec<T> y) {
    return p - y;
  }
};

struct BinaryAccuracy {
  static constexpr bool mean = true;
  template <class T>
  static Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) {
    const Vec<T> one = broadcast(T{1});
    return select<T>(select<T>(p > broadcast(T{0.5}), one, Vec<T>{}) == y, one, Vec<T>{});
  }
  template <class T>
  static Vec<T> slope(Vec<T>, Vec<T>) {
    return Vec<T>{};
  }
};

template <class T, class L>
void elementwise_loss(const LossRows<T>& a) {
  const T share = L::mean ? T{1} / static_cast<T>(a.n) : T{1};
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    const T* z = a.logits ? a.logits + r * a.logits_stride : p;
    Lanes16<T> sum(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>)
      sum.add(j, select<T>(before<T>(j, a.n), L::template value<T>(load(p + j), load(z + j), load(y + j)), Vec<T>{}));
    a.value[r] = sum.sum()[0] * share;
    if (!a.delta) continue;
    const Vec<T> factor = broadcast(row_factor(a, r) * share);
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>)
      store(delta + j, select<T>(before<T>(j, a.n), factor * L::template slope<T>(load(p + j), load(y + j)), Vec<T>{}));
  }
}

// ---- cross-entropies over one of n classes

// -log softmax(z)_k = (max z - z_k) - log max p: the largest probability is at least 1/n, so its logarithm is always
// good.
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

template <class T>
void softmax_categorical_crossentropy(const LossRows<T>& a) {
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* z = a.logits + r * a.logits_stride;
    const T* y = a.target + r * a.target_stride;
    const Vec<T> largest = row_maximum(z, a.n), log_norm = log<T>(row_maximum(p, a.n));
    Lanes16<T> sum(0), mass(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>) {
      const auto inside = before<T>(j, a.n);
      sum.add(j, select<T>(inside, load(y + j) * ((largest - load(z + j)) - log_norm), Vec<T>{}));
      mass.add(j, select<T>(inside, load(y + j), Vec<T>{}));
    }
    a.value[r] = sum.sum()[0];
    if (!a.delta) continue;
    const Vec<T> factor = broadcast(row_factor(a, r)), total = mass.sum();
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>)
      store(delta + j, select<T>(before<T>(j, a.n), (load(p + j) * total - load(y + j)) * factor, Vec<T>{}));
  }
}

// From probabilities, which are first divided by their sum s as in Keras: value -sum y_k log q_k with q = p / s, and
// d/dp_j = (g_j - sum g_k q_k) / s with g_k = -y_k / q_k.
template <class T, bool kSparse>
void probability_crossentropy(const LossRows<T>& a) {
  const Vec<T> low = broadcast(kProbabilityEpsilon<T>), high = broadcast(T{1} - kProbabilityEpsilon<T>);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    const auto target = [&](size_t j) {
      if constexpr (!kSparse) return load(y + j);
      const Vec<T> column = iota<T>() + broadcast(static_cast<T>(j));
      return select<T>(column == broadcast(y[0]), broadcast(T{1}), Vec<T>{});
    };
    Lanes16<T> mass(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>) mass.add(j, select<T>(before<T>(j, a.n), load(p + j), Vec<T>{}));
    const Vec<T> total = mass.sum();

    const auto slope = [&](size_t j, Vec<T> q, Vec<T> clipped) {
      return select<T>(q == clipped, -target(j) / clipped, Vec<T>{});
    };
    const auto clip = [&](Vec<T> q) { return select<T>(q < low, low, select<T>(q > high, high, q)); };
    Lanes16<T> sum(0), dot(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>) {
      const auto inside = before<T>(j, a.n);
      const Vec<T> q = load(p + j) / total, clipped = clip(q);
      sum.add(j, select<T>(inside, -target(j) * log<T>(clipped), Vec<T>{}));
      dot.add(j, select<T>(inside, slope(j, q, clipped) * q, Vec<T>{}));
    }
    a.value[r] = sum.sum()[0];
    if (!a.delta) continue;
    const Vec<T> factor = broadcast(row_factor(a, r)) / total, mean = dot.sum();
    T* delta = a.delta + r * a.delta_stride;
    for (size_t j = 0; j < to_units<T>(a.n); j += kLanes<T>) {
      const Vec<T> q = load(p + j) / total;
      store(delta + j, select<T>(before<T>(j, a.n), factor * (slope(j, q, clip(q)) - mean), Vec<T>{}));
    }
  }
}

template <class T, bool kSparse>
void categorical_accuracy(const LossRows<T>& a) {
  for (size_t r = 0; r < a.rows; ++r) {
    const T* y = a.target + r * a.target_stride;
    const size_t label = kSparse ? static_cast<size_t>(*y) : argmax(y, a.n);
    a.value[r] = argmax(a.prediction + r * a.prediction_stride, a.n) == label;
  }
}

}  // namespace
