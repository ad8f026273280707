// Metrics: values of rows, which are averaged as losses are, and tallies, which add rows to sums of their own.
#pragma once

#include "losses.inl"

namespace {

using deltaprop::TallyRows;

// The first column with the largest value.
template <class T>
inline size_t argmax(const T* p, size_t n) {
  size_t best = 0;
  for (size_t j = 1; j < n; ++j) best = p[j] > p[best] ? j : best;
  return best;
}

// ---- values of rows

// constants: the threshold.
template <class T>
struct BinaryAccuracy {
  static constexpr bool mean = true;
  Vec<T> threshold;
  explicit BinaryAccuracy(const double* c) : threshold(constant<T>(c, 0)) {}
  Vec<T> value(Vec<T> p, Vec<T>, Vec<T> y) const {
    const Vec<T> one = broadcast(T{1});
    return select<T>(select<T>(p > threshold, one, Vec<T>{}) == y, one, Vec<T>{});
  }
  Vec<T> slope(Vec<T>, Vec<T>, Vec<T>) const { return Vec<T>{}; }
};

template <class T, bool kClassIds>
void categorical_accuracy(const LossRows<T>& a) {
  for (size_t r = 0; r < a.rows; ++r) {
    const T* y = a.target + r * a.target_stride;
    const size_t label = kClassIds ? static_cast<size_t>(*y) : argmax(y, a.n);
    a.value[r] = argmax(a.prediction + r * a.prediction_stride, a.n) == label;
  }
}

// Whether fewer than k outputs are larger than that of the class. constants: k.
template <class T, bool kClassIds>
void top_k_categorical_accuracy(const LossRows<T>& a) {
  const T k = static_cast<T>(a.constants[0]);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    const Vec<T> own = broadcast(p[kClassIds ? static_cast<size_t>(*y) : argmax(y, a.n)]);
    Lanes16<T> larger(0);
    for (size_t j = 0; j < a.n; j += kLanes<T>)
      larger.add(j, select<T>(before<T>(j, a.n) & (load(p + j) > own), broadcast(T{1}), Vec<T>{}));
    a.value[r] = larger.sum()[0] < k && own[0] == own[0];
  }
}

// ---- tallies, in row order

template <class T>
inline double row_weight(const TallyRows<T>& a, size_t r) {
  return a.weight ? static_cast<double>(a.weight[r]) : 1.0;
}

// Per output, and there for targets of no and of yes, how much weight lies between which thresholds: the constants, in
// ascending order. Where they are evenly spaced from 0 to 1 the first guess is right but for rounding.
template <class T>
void tally_thresholds(const TallyRows<T>& a) {
  const size_t count = a.constant_count;
  const double last = static_cast<double>(count - 1);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    const double weight = row_weight(a, r);
    for (size_t j = 0; j < a.n; ++j) {
      const double x = static_cast<double>(p[j]);
      size_t above = static_cast<size_t>(x > 0 ? x < 1 ? x * last : last : 0.0);  // thresholds below x
      while (above < count && x > a.constants[above]) ++above;
      while (above > 0 && !(x > a.constants[above - 1])) --above;
      const bool yes = a.class_ids ? static_cast<size_t>(*y) == j : y[j] > T{0.5};
      a.sums[(2 * j + yes) * (count + 1) + above] += weight;
    }
  }
}

// How much weight each class has under which prediction, (class, predicted class); a single output is the second of two
// classes where it is above the threshold. constants: the threshold.
template <class T>
void tally_confusion(const TallyRows<T>& a) {
  const size_t classes = a.n > 1 ? a.n : 2;
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    const size_t predicted = a.n > 1 ? argmax(p, a.n) : static_cast<double>(*p) > a.constants[0];
    const size_t truth = a.class_ids ? static_cast<size_t>(*y) : a.n > 1 ? argmax(y, a.n) : *y > T{0.5};
    a.sums[truth * classes + predicted] += row_weight(a, r);
  }
}

// Per output: the sums of w, w y, w y^2 and w (y - p)^2.
template <class T>
void tally_moments(const TallyRows<T>& a) {
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.prediction + r * a.prediction_stride;
    const T* y = a.target + r * a.target_stride;
    const double weight = row_weight(a, r);
    for (size_t j = 0; j < a.n; ++j) {
      const double target = static_cast<double>(y[j]), error = target - static_cast<double>(p[j]);
      double* sums = a.sums + 4 * j;
      sums[0] += weight;
      sums[1] += weight * target;
      sums[2] += weight * (target * target);
      sums[3] += weight * (error * error);
    }
  }
}

}  // namespace
