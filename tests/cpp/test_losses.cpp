// The losses and metrics of every level: values and gradients against the formulas in long double, also where logits
// are huge and probabilities 0 or 1; weights, padding and the absent gradient.
#include <algorithm>

#include "check.h"
#include "parallel.h"

using check::Matrix;
using check::name;
using deltaprop::Activation;
using deltaprop::Kernels;
using deltaprop::Loss;
using deltaprop::LossRows;

namespace {

using Real = long double;

constexpr size_t kWidths[] = {1, 3, 10, 17, 129};
constexpr size_t kRows = 6;
constexpr const char* kNames[] = {"mse",
                                  "mae",
                                  "half_squared_error",
                                  "huber",
                                  "log_cosh",
                                  "mape",
                                  "msle",
                                  "poisson",
                                  "kl_divergence",
                                  "hinge",
                                  "squared_hinge",
                                  "categorical_hinge",
                                  "cosine_similarity",
                                  "quantile",
                                  "gaussian_nll",
                                  "binary_crossentropy",
                                  "binary_focal_crossentropy",
                                  "categorical_crossentropy",
                                  "sparse_categorical_crossentropy",
                                  "categorical_focal_crossentropy",
                                  "sigmoid_binary_crossentropy",
                                  "sigmoid_binary_focal_crossentropy",
                                  "softmax_categorical_crossentropy",
                                  "softmax_sparse_categorical_crossentropy",
                                  "softmax_categorical_focal_crossentropy",
                                  "binary_accuracy",
                                  "categorical_accuracy",
                                  "sparse_categorical_accuracy",
                                  "top_k_categorical_accuracy",
                                  "sparse_top_k_categorical_accuracy"};
static_assert(sizeof kNames / sizeof *kNames == size(Loss::count), "a loss lacks its name");

bool sparse(Loss l) {
  return l == Loss::sparse_categorical_crossentropy || l == Loss::softmax_sparse_categorical_crossentropy ||
         l == Loss::sparse_categorical_accuracy || l == Loss::sparse_top_k_categorical_accuracy;
}
bool matched(Loss l) { return l >= Loss::sigmoid_binary_crossentropy && l < Loss::binary_accuracy; }
bool softmax_matched(Loss l) { return matched(l) && l >= Loss::softmax_categorical_crossentropy; }
bool metric(Loss l) { return l >= Loss::binary_accuracy; }
bool of_classes(Loss l) {
  return l == Loss::categorical_crossentropy || l == Loss::categorical_focal_crossentropy || softmax_matched(l) ||
         l == Loss::categorical_accuracy || l == Loss::top_k_categorical_accuracy || l == Loss::categorical_hinge ||
         sparse(l);
}
// Whether the outputs are numbers of any size, not probabilities.
bool of_numbers(Loss l) { return l < Loss::binary_crossentropy && l != Loss::kl_divergence; }
// Whether values or gradients grow with the square of the outputs, or are divided by tiny targets: 1e30 is too much.
bool overflows(Loss l) {
  return l == Loss::mse || l == Loss::half_squared_error || l == Loss::squared_hinge || l == Loss::gaussian_nll ||
         l == Loss::mape;
}

constexpr double kSmoothing = 0.125, kGamma = 2, kDelta = 0.75, kYes = 0.25, kNo = 0.75, kLeastVariance = 1e-6;
double alpha_of(size_t j) { return 0.25 * static_cast<double>(j % 3 + 1); }

std::vector<double> constants(Loss l, size_t n) {
  switch (l) {
    case Loss::huber: return {kDelta};
    case Loss::quantile:
      return n % 3 == 0   ? std::vector<double>{0.125, 0.5, 0.75}
             : n % 2 == 0 ? std::vector<double>{0.25, 0.75}
                          : std::vector<double>{0.25};
    case Loss::gaussian_nll: return {kLeastVariance, 0.5};
    case Loss::binary_focal_crossentropy:
    case Loss::sigmoid_binary_focal_crossentropy: return {kSmoothing, kGamma, kYes, kNo};
    case Loss::binary_crossentropy:
    case Loss::categorical_crossentropy:
    case Loss::softmax_categorical_crossentropy: return {kSmoothing};
    case Loss::sigmoid_binary_crossentropy: return {0};
    case Loss::categorical_focal_crossentropy:
    case Loss::softmax_categorical_focal_crossentropy: {
      std::vector<double> c = {kSmoothing, kGamma};
      for (size_t j = 0; j < n; ++j) c.push_back(alpha_of(j));
      return c;
    }
    case Loss::binary_accuracy: return {0.5};
    case Loss::top_k_categorical_accuracy:
    case Loss::sparse_top_k_categorical_accuracy: return {2};
    default: return {};
  }
}

size_t target_width(Loss l, size_t n) {
  return sparse(l) ? 1 : l == Loss::quantile ? n / constants(l, n).size() : l == Loss::gaussian_nll ? n / 2 : n;
}

// What goes in, (kRows, n) or (kRows).
template <class T>
struct Inputs {
  size_t n;
  std::vector<T> prediction, logits, target, label, weight;
};

// What the rows are like: numbers of ordinary size, logits of that size, or probabilities that are mostly 0 and 1.
struct Setting {
  const char* name;
  double logits;
  bool certain;
};
constexpr Setting kSettings[] = {
    {"ordinary", 3, false}, {"logits up to 1e4", 1e4, false}, {"logits up to 1e30", 1e30, false}, {"0 and 1", 3, true}};

template <class T>
Inputs<T> make(const Kernels<T>& k, Loss l, const Setting& setting, size_t n) {
  check::Random random(n + 1000 * size(l));
  Inputs<T> in;
  in.n = n;
  in.logits = random.vector<T>(kRows * n, -setting.logits, setting.logits);
  in.weight = random.vector<T>(kRows, 0.5, 3);
  in.weight[1] = 0;
  in.prediction = in.logits;
  const size_t padded = check::to_units<T>(n);
  for (size_t r = 0; r < kRows; ++r) {
    std::vector<T> z(padded), p(padded);
    std::copy_n(&in.logits[r * n], n, z.begin());
    if (softmax_matched(l) || (of_classes(l) && !setting.certain && !of_numbers(l))) {
      k.softmax(z.data(), p.data(), n);
    } else if (!of_classes(l) && !of_numbers(l)) {
      k.activation[size(Activation::sigmoid)].value(z.data(), p.data(), padded, 0);
    } else {
      p = z;
    }
    if (setting.certain && !matched(l))
      for (size_t j = 0; j < n; ++j) p[j] = of_classes(l) ? T(j == r % n) : T(random.bits() & 1);
    std::copy_n(p.begin(), n, &in.prediction[r * n]);

    // Hard targets in half of the rows; the last column is the label of the first, the predicted one that of the third.
    const size_t label = r == 0 ? n - 1 : r == 2 ? r % n : random.bits() % n;
    in.label.push_back(static_cast<T>(label));
    Real total = 0;
    std::vector<Real> soft(n);
    for (Real& y : soft) total += y = random.uniform(0, 1);
    for (size_t j = 0; j < n; ++j) {
      T y = static_cast<T>(of_classes(l) ? soft[j] / total : soft[j]);
      if (r % 2 == 0 || metric(l)) y = of_classes(l) ? T(j == label) : T(soft[j] > 0.5L);
      in.target.push_back(y);
    }
  }
  return in;
}

// What should come out of one row, and how far off each may be, in units of epsilon.
struct Expected {
  Real value = 0, value_error = 0;
  std::vector<Real> slope, slope_error;  // before weight / rows
};

template <class T>
Expected expect(Loss l, const Inputs<T>& in, size_t r) {
  const size_t n = in.n;
  const T* p = &in.prediction[r * n];
  const T* z = &in.logits[r * n];
  const auto label = static_cast<size_t>(in.label[r]);
  const auto y = [&](size_t j) -> Real { return sparse(l) ? j == label : in.target[r * n + j]; };
  const std::vector<double> c = constants(l, n);
  // Keras's clip, with the constants as T has them.
  const Real low = static_cast<T>(1e-7), high = T{1} - static_cast<T>(1e-7);
  const auto clip = [&](Real q) { return std::min(std::max(q, low), high); };
  const Real chain = 4 + static_cast<Real>(n) / 16;  // roundings of a sum over the row
  Expected e;
  e.slope.assign(n, 0);
  e.slope_error.assign(n, 0);
  const auto each = [&](Real share, const auto& term) {  // term: value, slope, and what cannot be avoided in the value
    Real size = 0, unavoidable = 0;
    for (size_t j = 0; j < n; ++j) {
      const auto [value, slope, error] = term(j);
      e.value += share * value;
      size += share * std::abs(value);
      unavoidable += share * error;
      e.slope[j] = share * slope;
      e.slope_error[j] += 6 * std::abs(e.slope[j]);
    }
    e.value_error = (chain + 2) * size + unavoidable;
  };
  struct Term {
    Real value, slope, error;
  };
  const Real mean = 1 / static_cast<Real>(n);

  const Real least = static_cast<T>(1e-7);
  const auto smooth = [&](Real target, Real outcomes) {
    return c.empty() ? target : target * (1 - static_cast<Real>(c[0])) + static_cast<Real>(c[0]) / outcomes;
  };
  const auto side = [&](size_t j) -> Real { return y(j) == 0 ? -1 : y(j); };
  // The focal form of a binary cross-entropy b with slope g, where chain is dp / d what g is by.
  const auto focal = [&](Term plain, Real q, Real target, Real chain_rule) {
    const Real miss = std::max(target * (1 - q) + (1 - target) * q, least);
    const Real factor = (target * kYes + (1 - target) * kNo) * miss * miss;
    const Real turn = kGamma * (1 - 2 * target) * chain_rule / miss * plain.value;
    return Term{factor * plain.value, factor * (turn + plain.slope),
                factor * (40 * std::abs(plain.value) + plain.error)};
  };

  switch (l) {
    case Loss::mse:
      each(mean, [&](size_t j) { return Term{(p[j] - y(j)) * (p[j] - y(j)), 2 * (p[j] - y(j)), 0}; });
      break;
    case Loss::half_squared_error:
      each(1, [&](size_t j) { return Term{(p[j] - y(j)) * (p[j] - y(j)) / 2, p[j] - y(j), 0}; });
      break;
    case Loss::mae:
      each(mean, [&](size_t j) {
        const Real d = p[j] - y(j);
        return Term{std::abs(d), d > 0 ? 1.0L : d < 0 ? -1.0L : 0.0L, 0};
      });
      break;
    case Loss::huber:
      each(mean, [&](size_t j) {
        const Real d = p[j] - y(j), bent = std::min<Real>(std::abs(d), kDelta);
        return Term{bent * (std::abs(d) - bent / 2), d < 0 ? -bent : bent, 0};
      });
      break;
    case Loss::log_cosh:
      each(mean, [&](size_t j) {
        const Real d = p[j] - y(j), size = std::abs(d);
        return Term{size + std::log1p(std::expm1(-2 * size) / 2), std::tanh(d), 6 * size};
      });
      break;
    case Loss::mape:
      each(mean, [&](size_t j) {
        const Real d = p[j] - y(j), percent = 100 / std::max(std::abs(y(j)), least);
        return Term{std::abs(d) * percent, d > 0 ? percent : d < 0 ? -percent : 0, 0};
      });
      break;
    case Loss::msle:
      each(mean, [&](size_t j) {
        const Real of_p = std::log1p(std::max<Real>(p[j], least)), of_y = std::log1p(std::max(y(j), least));
        const Real d = of_p - of_y, off = 4 * (of_p + of_y);
        e.slope_error[j] = p[j] < least ? 0 : mean * 2 * off / (1 + p[j]);
        return Term{d * d, p[j] < least ? 0 : 2 * d / (1 + p[j]),
                    2 * std::abs(d) * off + off * off * check::epsilon<T>()};
      });
      break;
    case Loss::poisson:
      each(mean, [&](size_t j) {
        const Real rate = std::max<Real>(p[j], 0), part = y(j) * std::log(rate + least);
        e.slope_error[j] = p[j] < 0 ? 0 : 4 * mean * (1 + y(j) / (rate + least));
        return Term{rate - part, p[j] < 0 ? 0 : 1 - y(j) / (rate + least), 4 * (rate + std::abs(part) + y(j))};
      });
      break;
    case Loss::kl_divergence:
      each(1, [&](size_t j) {
        const auto inside = [&](Real x) { return std::min(std::max(x, least), 1.0L); };
        const Real q = inside(p[j]), share = inside(y(j)), ratio = std::log(share / q);
        return Term{share * ratio, q == p[j] ? -share / q : 0, share * (4 + 4 * std::abs(ratio))};
      });
      break;
    case Loss::hinge:
      each(mean, [&](size_t j) {
        const Real margin = 1 - side(j) * p[j];
        return Term{std::max(margin, 0.0L), margin > 0 ? -side(j) : 0, 2 + 2 * std::abs(Real{p[j]})};
      });
      break;
    case Loss::squared_hinge:
      each(mean, [&](size_t j) {
        const Real margin = std::max(1 - side(j) * p[j], 0.0L), off = 2 + 2 * std::abs(Real{p[j]});
        e.slope_error[j] = 4 * mean * off;
        return Term{margin * margin, -2 * side(j) * margin, 2 * margin * off + off * off * check::epsilon<T>()};
      });
      break;
    case Loss::categorical_hinge: {
      size_t rival = 0;
      Real own = 0, size = 0;
      for (size_t j = 0; j < n; ++j) {
        if ((1 - y(j)) * p[j] > (1 - y(rival)) * p[rival]) rival = j;
        own += y(j) * p[j], size += std::abs(y(j) * p[j]);
      }
      const Real margin = (1 - y(rival)) * p[rival] - own + 1;
      e.value = std::max(margin, 0.0L);
      e.value_error = (chain + 2) * (size + std::abs(p[rival]) + 1);
      for (size_t j = 0; j < n; ++j) {
        e.slope[j] = margin > 0 ? (j == rival ? 1 - y(j) : 0) - y(j) : 0;
        e.slope_error[j] = 4 * (1 + std::abs(y(j)));
      }
      break;
    }
    case Loss::cosine_similarity: {
      Real pp = 0, yy = 0, py = 0, size = 0;
      for (size_t j = 0; j < n; ++j) {
        pp += Real(p[j]) * p[j], yy += y(j) * y(j), py += p[j] * y(j), size += std::abs(p[j] * y(j));
      }
      const Real length = std::max(std::sqrt(pp), least), other = std::max(std::sqrt(yy), least);
      e.value = -py / (length * other);
      e.value_error = (2 * chain + 8) * size / (length * other);
      for (size_t j = 0; j < n; ++j) {
        e.slope[j] = ((length > least ? p[j] / length * -e.value : 0) - y(j) / other) / length;
        e.slope_error[j] = (3 * chain + 12) / length;
      }
      break;
    }
    case Loss::quantile:
      each(mean, [&](size_t j) {
        const size_t width = n / c.size();
        const Real q = c[j / width], d = in.target[r * n + j % width] - p[j];
        return Term{std::max(q * d, (q - 1) * d), d > 0 ? -q : d < 0 ? 1 - q : 0, 0};
      });
      break;
    case Loss::gaussian_nll: {
      const size_t width = n / 2;
      const Real share = 1 / static_cast<Real>(width);
      for (size_t j = 0; j < width; ++j) {
        const Real d = p[j] - in.target[r * n + j], v = std::max<Real>(p[width + j], static_cast<T>(kLeastVariance));
        e.value += share * ((std::log(v) + d * d / v) / 2 + c[1]);
        e.value_error += share * (chain + 6) * (std::abs(std::log(v)) + d * d / v + 1);
        e.slope[j] = share * d / v;
        e.slope[width + j] = share * (1 / v - d * d / (v * v)) / 2;
        e.slope_error[j] = 6 * std::abs(e.slope[j]);
        e.slope_error[width + j] = 6 * share * (1 / v + d * d / (v * v));
      }
      break;
    }
    case Loss::binary_crossentropy:
    case Loss::binary_focal_crossentropy:
      each(mean, [&](size_t j) {
        const Real q = clip(p[j]), target = smooth(y(j), 2);
        const Real value = -(target * std::log(q) + (1 - target) * std::log(1 - q));
        const Term plain{value, q == p[j] ? (q - target) / (q * (1 - q)) : 0, 4 + 4 * std::abs(value)};
        return l == Loss::binary_crossentropy ? plain : focal(plain, p[j], target, 1);
      });
      for (size_t j = 0; j < n; ++j) {
        const Real q = clip(p[j]);
        e.slope_error[j] += 4 * mean / (q * (1 - q)) + (l == Loss::binary_crossentropy ? 0 : 2000 * mean);
      }
      break;
    case Loss::sigmoid_binary_crossentropy:
    case Loss::sigmoid_binary_focal_crossentropy:
      each(mean, [&](size_t j) {
        const Real x = z[j], s = x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
        const Real target = smooth(y(j), 2);
        const Real value = std::max(x, 0.0L) - x * target + std::log1p(std::exp(-std::abs(x)));
        // A soft target's part of a huge logit is rounded.
        const Term plain{value, s - target, 4 + (target == 0 || target == 1 ? 0 : 2 * std::abs(x))};
        return l == Loss::sigmoid_binary_crossentropy ? plain : focal(plain, s, target, s * (1 - s));
      });
      for (Real& error : e.slope_error) error += (l == Loss::sigmoid_binary_crossentropy ? 2 : 100) * mean;
      break;
    case Loss::softmax_categorical_focal_crossentropy:
    case Loss::categorical_focal_crossentropy: {
      const bool logits = matched(l);
      const Real largest = *std::max_element(z, z + n);
      Real total = 0, slopes = 0, off = 0;
      for (size_t j = 0; j < n; ++j) total += logits ? std::exp(z[j] - largest) : p[j];
      std::vector<Real> probability(n), slope(n);
      for (size_t j = 0; j < n; ++j) {
        const Real share = logits ? std::exp(z[j] - largest) / total : p[j] / total, q = logits ? share : clip(share);
        const Real log_q = logits ? z[j] - largest - std::log(total) : std::log(q), miss = std::max(1 - q, least);
        const Real weight = static_cast<Real>(alpha_of(j)) * smooth(y(j), static_cast<Real>(n));
        e.value -= weight * miss * miss * log_q;
        e.value_error +=
            weight * (std::abs(log_q) * (2 * miss * chain + (chain + 40) * miss * miss) + miss * miss * chain);
        e.value_error += weight * std::abs(log_q) * chain * chain * check::epsilon<T>();
        slope[j] = q == share ? weight * (kGamma * miss * q * log_q - miss * miss) : 0;
        probability[j] = q;
        slopes += slope[j];
        off += weight * (kGamma * q * std::abs(log_q) * (chain + 40 * miss) + 2 * miss * chain + 40 * miss * miss +
                         chain * chain * check::epsilon<T>());
      }
      for (size_t j = 0; j < n; ++j) {
        e.slope[j] = logits ? slope[j] - probability[j] * slopes : (slope[j] / probability[j] - slopes) / total;
        e.slope_error[j] = logits ? 4 * off : 4 * off / (probability[j] * total);
      }
      break;
    }
    case Loss::softmax_categorical_crossentropy:
    case Loss::softmax_sparse_categorical_crossentropy: {
      const Real largest = *std::max_element(z, z + n);
      Real total = 0, mass = 0;
      const auto target = [&](size_t j) { return smooth(y(j), static_cast<Real>(n)); };
      for (size_t j = 0; j < n; ++j) total += std::exp(z[j] - largest), mass += target(j);
      each(1, [&](size_t j) {
        const Real value = target(j) * ((largest - z[j]) + std::log(total));
        return Term{value, std::exp(z[j] - largest) / total * mass - target(j), chain * target(j)};
      });
      for (Real& error : e.slope_error) error += 2 * chain;
      break;
    }
    case Loss::categorical_crossentropy:
    case Loss::sparse_categorical_crossentropy: {
      Real total = 0, dot = 0, dot_size = 0;
      for (size_t j = 0; j < n; ++j) total += p[j];
      const auto target = [&](size_t j) { return smooth(y(j), static_cast<Real>(n)); };
      const auto g = [&](size_t j) { return clip(p[j] / total) == p[j] / total ? -target(j) * total / p[j] : 0; };
      for (size_t j = 0; j < n; ++j) dot += g(j) * p[j] / total, dot_size += std::abs(g(j) * p[j] / total);
      each(1, [&](size_t j) {
        const Real q = clip(p[j] / total);
        return Term{-target(j) * std::log(q), (g(j) - dot) / total, target(j) * (chain + std::abs(std::log(q)))};
      });
      for (size_t j = 0; j < n; ++j) e.slope_error[j] = 3 * chain * (std::abs(g(j)) + dot_size) / total;
      break;
    }
    case Loss::binary_accuracy:
      each(mean, [&](size_t j) { return Term{(p[j] > T{0.5}) == (y(j) == 1) ? 1.0L : 0.0L, 0, 0}; });
      break;
    case Loss::categorical_accuracy:
    case Loss::sparse_categorical_accuracy: {
      size_t best = 0, truth = 0;
      for (size_t j = 1; j < n; ++j) {
        if (p[j] > p[best]) best = j;
        if (y(j) > y(truth)) truth = j;
      }
      e.value = best == truth;
      break;
    }
    case Loss::top_k_categorical_accuracy:
    case Loss::sparse_top_k_categorical_accuracy: {
      size_t truth = 0, larger = 0;
      for (size_t j = 1; j < n; ++j)
        if (y(j) > y(truth)) truth = j;
      for (size_t j = 0; j < n; ++j) larger += p[j] > p[truth];
      e.value = larger < 2;
      break;
    }
    case Loss::count: break;
  }
  return e;
}

// The kernel on rows in memory of their own. Padding of what it reads is NaN, except that of a softmax, which is zero.
template <class T>
struct Run {
  std::vector<T> value;
  Matrix<T> delta;

  Run(const Kernels<T>& k, Loss l, const Inputs<T>& in, bool with_delta, size_t rows = kRows)
      : value(rows), delta(rows, check::to_units<T>(in.n), check::to_units<T>(in.n) + check::unit<T>(), 1) {
    const size_t n = in.n, padded = check::to_units<T>(n), wide = target_width(l, n);
    const size_t padded_target = wide == 1 && n > 1 ? 1 : check::to_units<T>(wide);
    const std::vector<double> numbers = constants(l, n);
    Matrix<T> prediction(rows, padded, padded + check::unit<T>(), 1), logits(rows, padded, padded, 3);
    Matrix<T> target(rows, padded_target, padded_target, 1), weight(1, rows, rows, 1);
    if (softmax_matched(l)) prediction.fill(0);
    prediction.assign(in.prediction.data(), n, n);
    logits.assign(in.logits.data(), n, n);
    sparse(l) ? target.assign(in.label.data(), 1, 1) : target.assign(in.target.data(), n, wide);
    weight.assign(in.weight.data(), 0);
    LossRows<T> a{};
    a.prediction = prediction.data();
    a.prediction_stride = prediction.stride();
    a.logits = matched(l) ? logits.data() : nullptr;
    a.logits_stride = matched(l) ? logits.stride() : 0;
    a.target = target.data();
    a.target_stride = target.stride();
    a.weight = with_delta ? weight.data() : nullptr;
    a.value = value.data();
    a.delta = with_delta ? delta.data() : nullptr;
    a.delta_stride = delta.stride();
    a.rows = rows;
    a.n = n;
    a.scale = T{1} / static_cast<T>(kRows);
    a.constants = numbers.data();
    a.constant_count = numbers.size();
    k.loss[size(l)](a);
  }
};

template <class T>
void test_loss(const Kernels<T>& k, Loss l, const Setting& setting, size_t n) {
  if (overflows(l) && setting.logits > 1e10) return;
  const std::string what = name(k) + " " + kNames[size(l)] + ", n = " + std::to_string(n) + ", " + setting.name;
  const Inputs<T> in = make(k, l, setting, n);
  Run<T> run(k, l, in, true);
  check::Close values(what + ", values"), deltas(what + ", deltas");
  bool finite = true;
  for (size_t r = 0; r < kRows; ++r) {
    const Expected e = expect(l, in, r);
    finite &= static_cast<bool>(std::isfinite(run.value[r]));
    values.add(r, run.value[r], e.value, e.value_error * check::epsilon<T>() + std::numeric_limits<T>::min());
    if (metric(l)) continue;
    const Real factor = static_cast<Real>(in.weight[r]) / kRows;
    for (size_t j = 0; j < n; ++j) {
      finite &= static_cast<bool>(std::isfinite(run.delta.row(r)[j]));
      deltas.add(r * n + j, run.delta.row(r)[j], factor * e.slope[j],
                 factor * (e.slope_error[j] + 4 * std::abs(e.slope[j])) * check::epsilon<T>() +
                     2 * std::numeric_limits<T>::min());
    }
  }
  check::that(finite, what + ": not finite");
  check::that(run.delta.untouched_outside(), what + ": written outside of delta");
  if (!metric(l)) check::that(run.delta.zero(n, check::to_units<T>(n)), what + ": the padding of delta is not zero");

  Run<T> silent(k, l, in, false);
  check::that(check::same_bits(silent.value, run.value), what + ": other values without delta");
  const T canary = Matrix<T>::canary();
  check::that(check::same_bits(silent.delta.data(), &canary, 1), what + ": a delta that was not asked for");

  // A row is on its own, whatever rows come with it, and the same on every level with this arithmetic.
  Run<T> alone(k, l, in, true, 1);
  check::that(check::same_bits(&alone.value[0], &run.value[0], 1) &&
                  check::same_bits(alone.delta.data(), run.delta.data(), metric(l) ? 0 : n),
              what + ": other bits for one row alone");
  Run<T> peer(check::peer(k), l, in, true);
  bool same = check::same_bits(peer.value, run.value);
  for (size_t r = 0; r < kRows && !metric(l); ++r) same &= check::same_bits(peer.delta.row(r), run.delta.row(r), n);
  check::that(same, what + ": other bits than on " + check::peer(k).isa);
}

// A NaN in one row is its value and its delta, and nobody else's.
template <class T>
void test_nan_stays_in_its_row(const Kernels<T>& k, Loss l, size_t n) {
  if (metric(l)) return;
  Inputs<T> in = make(k, l, kSettings[0], n);
  const size_t bad = 3;
  for (size_t j = 0; j < n; ++j)
    if (softmax_matched(l) || j == n - 1)
      in.prediction[bad * n + j] = in.logits[bad * n + j] = std::numeric_limits<T>::quiet_NaN();
  in.label[bad] = static_cast<T>(n - 1);
  Run<T> run(k, l, in, true);
  const std::string what = name(k) + " " + kNames[size(l)] + ", n = " + std::to_string(n) + " with a NaN";
  bool leaked = false;
  for (size_t r = 0; r < kRows; ++r) {
    if (r == bad) continue;
    leaked |= std::isnan(run.value[r]);
    for (size_t j = 0; j < n; ++j) leaked |= std::isnan(run.delta.row(r)[j]);
  }
  check::that(std::isnan(run.value[bad]), what + ": the value hides it");
  check::that(std::isnan(run.delta.row(bad)[n - 1]), what + ": delta hides it");
  check::that(!leaked, what + ": it leaves its row");
  check::that(run.delta.zero(n, check::to_units<T>(n)), what + ": the padding of delta is not zero");
}

// The first of equal columns counts, on both sides.
template <class T>
void test_accuracy_of_ties(const Kernels<T>& k) {
  Inputs<T> in;
  in.n = 3;
  in.weight.assign(kRows, 1);
  for (size_t r = 0; r < kRows; ++r) {
    for (T p : {T{0.2}, T{0.4}, T{0.4}}) in.prediction.push_back(p);
    for (size_t j = 0; j < 3; ++j) in.target.push_back(j == r % 3);
    in.label.push_back(static_cast<T>(r % 3));
  }
  in.logits = in.prediction;
  for (Loss l : {Loss::categorical_accuracy, Loss::sparse_categorical_accuracy}) {
    const Run<T> run(k, l, in, false);
    for (size_t r = 0; r < kRows; ++r)
      check::that(run.value[r] == (r % 3 == 1), name(k) + " " + kNames[size(l)] + " of a tie");
  }
  in.prediction.assign(kRows * 3, T{0.5});
  in.target.assign(kRows * 3, T{0});
  check::that(Run<T>(k, Loss::binary_accuracy, in, false).value[0] == 1, name(k) + " binary_accuracy: 0.5 counts as 0");
}

}  // namespace

int main() {
  const deltaprop::FlushDenormals mode;  // as the executor runs them
  check::each_table([](const auto& k) {
    for (size_t l = 0; l < size(Loss::count); ++l)
      for (size_t width : kWidths) {
        const size_t n = static_cast<Loss>(l) == Loss::gaussian_nll ? 2 * width : width;
        for (const Setting& setting : kSettings) test_loss(k, static_cast<Loss>(l), setting, n);
        test_nan_stays_in_its_row(k, static_cast<Loss>(l), n);
      }
    test_accuracy_of_ties(k);
  });
  return check::summary();
}
