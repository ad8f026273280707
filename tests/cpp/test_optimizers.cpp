// Optimiser steps of every level against the update rules in long double, and what happens to gradients before:
// penalties, norms, clipping. Padding stays zero through all of it.
#include <algorithm>

#include "check.h"
#include "parallel.h"

using check::Matrix;
using check::name;
using deltaprop::Kernels;
using deltaprop::Optimizer;
using deltaprop::UpdateSpan;

namespace {

using Real = long double;

constexpr size_t kNone = 9;

struct Rule {
  Optimizer optimizer;
  const char* name;
  std::vector<double> constants;  // in the order of the constructor
  size_t epsilon = kNone;         // which of them it is
  double start[2] = {0, 0};       // of the slots
};
// Those of the steps: Nadam's share and scale.
const double kMore[] = {0.2, 0.7};
// The betas and rhos are Keras's defaults, and ones whose 1 - beta is far from what float makes of it.
const Rule kRules[] = {
    {Optimizer::sgd, "sgd", {}},
    {Optimizer::momentum, "momentum", {0.9}},
    {Optimizer::nesterov, "nesterov", {0.9}},
    {Optimizer::rmsprop, "rmsprop", {0.9, 0, 1e-7}, 2},
    {Optimizer::rmsprop_momentum, "rmsprop_momentum", {0.9, 0.5, 1e-7}, 2},
    {Optimizer::centered_rmsprop, "centered_rmsprop", {0.9, 0.5, 1e-7}, 2},
    {Optimizer::adam, "adam", {0.9, 0.999, 1e-7}, 2},
    {Optimizer::adam, "adam with a long memory", {0.99, 0.99999, 1e-8}, 2},
    {Optimizer::amsgrad, "amsgrad", {0.9, 0.999, 1e-7}, 2},
    {Optimizer::adagrad, "adagrad", {1e-7}, 0, {0.1}},
    {Optimizer::adadelta, "adadelta", {0.95, 1e-7}, 1},
    {Optimizer::adamax, "adamax", {0.9, 0.999, 1e-7}, 2},
    {Optimizer::nadam, "nadam", {0.9, 0.999, 1e-7}, 2},
    {Optimizer::lion, "lion", {0.9, 0.99}},
    {Optimizer::rprop, "rprop", {0.5, 1.2, 1e-6, 50}, kNone, {0, 0.01}},
    {Optimizer::rprop, "rprop between narrow bounds", {0.5, 1.2, 0.009, 0.012}, kNone, {0, 0.01}},
};

struct State {
  Real w, slot[3];
};

Real sign(Real x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

// What the slots hold before the first step, of `valid` elements that are not padding.
template <class T>
void start_slots(const Rule& rule, T* const slots[3], size_t valid) {
  for (size_t i = 0; i < 2; ++i) std::fill_n(slots[i], valid, static_cast<T>(rule.start[i]));
}

// One step in long double; returns the size of what was added, which roundings are relative to.
Real step(const Rule& rule, State& s, Real g, Real rate, Real decay) {
  const auto c = [&](size_t i) -> Real { return rule.constants[i]; };
  Real& v = s.slot[0];
  const Real before = s.w;
  s.w -= decay * s.w;
  switch (rule.optimizer) {
    case Optimizer::sgd: s.w -= rate * g; break;
    case Optimizer::momentum:
      v = c(0) * v - rate * g;
      s.w += v;
      break;
    case Optimizer::nesterov:
      v = c(0) * v - rate * g;
      s.w += c(0) * v - rate * g;
      break;
    case Optimizer::rmsprop:
    case Optimizer::rmsprop_momentum:
    case Optimizer::centered_rmsprop: {
      v = c(0) * v + static_cast<Real>(1 - rule.constants[0]) * g * g;
      Real variance = v;
      if (rule.optimizer == Optimizer::centered_rmsprop) {
        s.slot[2] = c(0) * s.slot[2] + static_cast<Real>(1 - rule.constants[0]) * g;
        variance -= s.slot[2] * s.slot[2];
      }
      Real change = rate * g / std::sqrt(variance + c(2));
      if (rule.optimizer != Optimizer::rmsprop) change = s.slot[1] = c(1) * s.slot[1] + change;
      s.w -= change;
      break;
    }
    case Optimizer::adam:
    case Optimizer::amsgrad: {
      s.slot[0] += static_cast<Real>(1 - rule.constants[0]) * (g - s.slot[0]);
      s.slot[1] += static_cast<Real>(1 - rule.constants[1]) * (g * g - s.slot[1]);
      Real variance = s.slot[1];
      if (rule.optimizer == Optimizer::amsgrad) variance = s.slot[2] = std::max(s.slot[2], variance);
      s.w -= rate * s.slot[0] / (std::sqrt(variance) + c(2));
      break;
    }
    case Optimizer::adagrad:
      v += g * g;
      s.w -= rate * g / std::sqrt(v + c(0));
      break;
    case Optimizer::adadelta: {
      v = c(0) * v + static_cast<Real>(1 - rule.constants[0]) * g * g;
      const Real change = std::sqrt(s.slot[1] + c(1)) / std::sqrt(v + c(1)) * g;
      s.slot[1] = c(0) * s.slot[1] + static_cast<Real>(1 - rule.constants[0]) * change * change;
      s.w -= rate * change;
      break;
    }
    case Optimizer::adamax:
      v += static_cast<Real>(1 - rule.constants[0]) * (g - v);
      s.slot[1] = std::max(c(1) * s.slot[1], std::abs(g));
      s.w -= rate * v / (s.slot[1] + c(2));
      break;
    case Optimizer::nadam: {
      s.slot[0] += static_cast<Real>(1 - rule.constants[0]) * (g - s.slot[0]);
      s.slot[1] += static_cast<Real>(1 - rule.constants[1]) * (g * g - s.slot[1]);
      const Real mean = (1 - kMore[0]) * s.slot[0] + kMore[0] * g;
      s.w -= rate * mean / (std::sqrt(s.slot[1]) + kMore[1] * c(2));
      break;
    }
    case Optimizer::lion: {
      s.w -= rate * sign(c(0) * v + static_cast<Real>(1 - rule.constants[0]) * g);
      v = c(1) * v + static_cast<Real>(1 - rule.constants[1]) * g;
      break;
    }
    case Optimizer::rprop: {
      const Real agreement = sign(g) * v;
      v = sign(g);
      if (agreement > 0) s.slot[1] = std::min(c(1) * s.slot[1], c(3));
      if (agreement < 0) s.slot[1] = std::max(c(0) * s.slot[1], c(2)), v = 0;
      s.w -= rate * v * s.slot[1];
      break;
    }
    case Optimizer::count: break;
  }
  return std::abs(before) + std::abs(s.w - before);
}

template <class T>
void run(const Kernels<T>& k, const Rule& rule, T* w, const T* g, T* const slots[3], size_t n, double rate,
         double decay) {
  UpdateSpan<T> u{};
  u.w = w;
  u.g = g;
  for (size_t i = 0; i < 3; ++i) u.slot[i] = slots[i];
  u.n = n;
  u.rate = rate;
  u.decay = decay;
  u.constants = rule.constants.data();
  u.more = kMore;
  k.update[size(rule.optimizer)](u);
}

template <class T>
void test_update(const Kernels<T>& k, const Rule& rule, double decay) {
  constexpr size_t kSteps = 8;
  const std::string what = name(k) + " " + rule.name + (decay > 0 ? " with decay" : "");
  // The last unit is padding: parameters, gradients and slots of zero.
  const size_t unit = check::unit<T>(), n = 5 * unit, valid = n - unit;
  check::Random random(7);
  Matrix<T> w(1, n, n, 1), g(1, n, n, 3), a(1, n, n, 1), b(1, n, n, 5), c(1, n, n, 1);
  Matrix<T>* const slot[3] = {&a, &b, &c};
  T* const slots[3] = {a.data(), b.data(), c.data()};
  for (Matrix<T>* m : {&w, &g, &a, &b, &c}) m->fill(0);
  const auto start = random.vector<T>(valid);
  w.assign(start.data(), 0, valid);

  // The same on the peer level, in plain memory.
  std::vector<T> peer_w(w.data(), w.data() + n), peer_slots[3];
  for (auto& s : peer_slots) s.assign(n, 0);
  T* const peers[3] = {peer_slots[0].data(), peer_slots[1].data(), peer_slots[2].data()};

  start_slots(rule, slots, valid);
  start_slots(rule, peers, valid);
  std::vector<State> exact(n);
  for (size_t j = 0; j < n; ++j) exact[j] = {w.data()[j], {a.data()[j], b.data()[j], 0}};
  check::Close close(what);
  std::vector<Real> size(n, 0);
  for (size_t s = 0; s < kSteps; ++s) {
    const double rate = 0.1 / static_cast<double>(s + 1);
    // Gradients of very different sizes, and some that are exactly zero.
    auto gradient = random.vector<T>(valid, -2, 2);
    for (size_t j = 0; j < valid; ++j) gradient[j] *= static_cast<T>(j % 4 == 0 ? 1e-4 : j % 7 == 0 ? 0 : 1);
    g.assign(gradient.data(), 0, valid);
    run(k, rule, w.data(), g.data(), slots, n, rate, decay);
    run(check::peer(k), rule, peer_w.data(), g.data(), peers, n, rate, decay);
    for (size_t j = 0; j < valid; ++j) {
      // An update's roundings are relative to what it adds up; the roots of RMSprop halve the errors below them.
      size[j] += 12 * step(rule, exact[j], g.data()[j], rate, decay);
      close.add(j, w.data()[j], exact[j].w, size[j] * check::epsilon<T>());
      for (size_t i = 0; i < 3; ++i) {
        const Real value = exact[j].slot[i];
        const Real change = i == 1 && rule.optimizer == Optimizer::rmsprop_momentum ? size[j] : std::abs(value) + 0.05L;
        if (value != 0)
          close.add((i + 1) * 1000 + j, slots[i][j], value, 12 * kSteps * (change + size[j]) * check::epsilon<T>());
      }
    }
  }
  bool same = check::same_bits(w.data(), peer_w.data(), n);
  for (size_t i = 0; i < 3; ++i) same &= check::same_bits(slots[i], peers[i], n);
  check::that(same, what + ": other bits than on " + check::peer(k).isa);
  bool zero = w.zero(valid, n), clean = w.untouched_outside();
  for (const auto* s : slot) zero &= const_cast<Matrix<T>*>(s)->zero(valid, n), clean &= s->untouched_outside();
  check::that(zero, what + ": padding does not stay zero");
  check::that(clean, what + ": written outside");
}

// The gradient of a single row is an outer product that the kernel forms itself; inputs that are zero in some steps.
template <class T>
void test_update_of_a_single_row(const Kernels<T>& k, const Rule& rule, double decay) {
  constexpr size_t kDepth = 5;
  const size_t width = 2 * check::unit<T>(), n = kDepth * width;
  check::Random random(13);
  const auto start = random.vector<T>(n), values = random.vector<T>(kDepth), dy = random.vector<T>(width);
  std::vector<T> x(kDepth), g(n), w[2] = {start, start}, slot[2][3];
  for (size_t formed : {0, 1}) {
    UpdateSpan<T> u{};
    u.w = w[formed].data();
    if (formed) {
      u.x = x.data();
      u.dy = dy.data();
      u.width = width;
    } else {
      u.g = g.data();
    }
    for (size_t i = 0; i < 3; ++i) {
      slot[formed][i].assign(n, 0);
      u.slot[i] = slot[formed][i].data();
    }
    start_slots(rule, u.slot, n);
    u.n = n;
    u.rate = 0.1;
    u.decay = decay;
    u.constants = rule.constants.data();
    u.more = kMore;
    for (size_t s = 0; s < 5; ++s) {
      for (size_t i = 0; i < kDepth; ++i) x[i] = (i + s) % 3 == 0 ? (s % 2 ? T{0} : -T{0}) : values[i];
      for (size_t i = 0; i < n; ++i) g[i] = x[i / width] * dy[i % width];
      k.update[size(rule.optimizer)](u);
    }
  }
  bool same = check::same_bits(w[0], w[1]);
  for (size_t i = 0; i < 3; ++i) same &= check::same_bits(slot[0][i], slot[1][i]);
  check::that(same, name(k) + " " + rule.name + ": other bits where the kernel forms the gradient of a row");
}

// The update that forms its gradient as it goes is the outer product and the update, whatever the tiles.
template <class T>
void test_outer_product_update(const Kernels<T>& k, const Rule& rule) {
  for (size_t units = 1; units <= k.panel_units; ++units)
    for (size_t depth : {1, 2, 3, 5, 6, 7, 8, 11, 12, 13, 25, 129})
      for (size_t rows : {1, 3, 64}) {
        const size_t width = units * check::unit<T>(), valid = width - 3, n = depth * width;
        check::Random random(depth + rows);
        const auto x = random.vector<T>(rows * depth), dy = random.vector<T>(rows * width);
        std::vector<T> start(n, 0);
        for (size_t i = 0; i < n; ++i) start[i] = i % width < valid ? static_cast<T>(random.uniform(-1, 1)) : T{0};
        Matrix<T> w[2] = {{1, n, n, 1}, {1, n, n, 1}};
        std::vector<T> slot[2][3];
        for (size_t formed : {0, 1}) {
          const size_t size_of_g = formed ? 2 * k.tile_rows * width : n;  // scratch for two tiles
          Matrix<T> g(1, size_of_g, size_of_g, 3);
          w[formed].assign(start.data(), 0);
          deltaprop::OuterProduct<T> product{};
          product.x = x.data();
          product.dy = dy.data();
          product.g = g.data();
          product.x_stride = depth;
          product.dy_stride = width;
          product.rows = rows;
          product.depth = depth;
          product.width = width;
          product.valid = valid;
          UpdateSpan<T> u{};
          u.w = w[formed].data();
          for (size_t i = 0; i < 3; ++i) {
            slot[formed][i].assign(n, 0);
            u.slot[i] = slot[formed][i].data();
          }
          start_slots(rule, u.slot, n);
          u.n = n;
          u.rate = 0.1;
          u.decay = 0.01;
          u.constants = rule.constants.data();
          u.more = kMore;
          if (formed) {
            k.outer_product_update[size(rule.optimizer)](product, u);
          } else {
            k.outer_product(product);
            u.g = g.data();
            k.update[size(rule.optimizer)](u);
          }
          check::that(g.untouched_outside() && w[formed].untouched_outside(),
                      name(k) + " " + rule.name + ": written outside of the scratch or the parameters");
        }
        bool same = check::same_bits(w[0].data(), w[1].data(), n);
        for (size_t i = 0; i < 3; ++i) same &= check::same_bits(slot[0][i], slot[1][i]);
        check::that(same, name(k) + " " + rule.name + ": other bits where the gradient is formed on the way, " +
                              std::to_string(depth) + " x " + std::to_string(width) + " from " + std::to_string(rows));
      }
}

// The same gradient for a long time: the variance of centred RMSprop is then zero but for rounding, of either sign.
template <class T>
void test_constant_gradient(const Kernels<T>& k, const Rule& rule) {
  const size_t n = 64 * check::unit<T>();
  check::Random random(11);
  std::vector<T> w(n, 1), g = random.vector<T>(n, -1e3, 1e3), slot[3];
  for (auto& s : slot) s.assign(n, 0);
  T* const slots[3] = {slot[0].data(), slot[1].data(), slot[2].data()};
  bool finite = true;
  for (size_t s = 0; s < 1000; ++s) run(k, rule, w.data(), g.data(), slots, n, 1e-3, 0);
  for (T x : w) finite &= static_cast<bool>(std::isfinite(x));
  check::that(finite, name(k) + " " + rule.name + ": a constant gradient ends in NaN");
}

// Keras allows an epsilon of zero; padding must not become 0 / 0.
template <class T>
void test_padding_without_epsilon(const Kernels<T>& k, Rule rule) {
  if (rule.epsilon == kNone) return;
  rule.constants[rule.epsilon] = 0;
  const size_t n = 2 * check::unit<T>(), valid = check::unit<T>() / 2;
  std::vector<T> w(n, 0), g(n, 0), slot[3];
  for (auto& s : slot) s.assign(n, 0);
  for (size_t j = 0; j < valid; ++j) w[j] = g[j] = static_cast<T>(1 + j);
  T* const slots[3] = {slot[0].data(), slot[1].data(), slot[2].data()};
  run(k, rule, w.data(), g.data(), slots, n, 1e-3, 0);
  bool zero = true;
  for (size_t j = valid; j < n; ++j) zero &= w[j] == 0;
  check::that(zero, name(k) + " " + rule.name + ": padding is not zero with epsilon = 0");
}

// ---- gradients on their way

template <class T>
void test_sums(const Kernels<T>& k) {
  for (size_t depth : {1, 2, 17, 129})
    for (size_t units : {1, 3}) {
      const size_t width = units * check::unit<T>();
      check::Random random(depth);
      const auto values = random.vector<T>(depth * width, -3, 3);
      const T l1 = static_cast<T>(0.01), l2 = static_cast<T>(0.003);
      Real squares = 0, penalty = 0;
      for (T x : values) {
        squares += static_cast<Real>(x) * x;
        penalty += l1 * std::abs(static_cast<Real>(x)) + l2 * static_cast<Real>(x) * x;
      }
      Matrix<T> g(1, values.size(), values.size(), 1);
      g.assign(values.data(), 0);
      const std::string what = name(k) + " of " + std::to_string(depth) + " x " + std::to_string(width);
      const Real allowed = (3 + static_cast<Real>(depth)) * check::epsilon<T>();
      double sums[2] = {1, 2}, peer[2] = {1, 2};  // what was there is continued
      k.square_sum(g.data(), depth, width, &sums[0]);
      k.penalty(g.data(), depth, width, l1, l2, &sums[1]);
      check::peer(k).square_sum(g.data(), depth, width, &peer[0]);
      check::peer(k).penalty(g.data(), depth, width, l1, l2, &peer[1]);
      check::Close close(what + ", square_sum and penalty");
      close.add(0, sums[0], 1 + squares, allowed * (1 + squares));
      close.add(1, sums[1], 2 + penalty, allowed * (2 + penalty));
      check::that(check::same_bits(sums, peer, 2), what + ": other sums than on " + check::peer(k).isa);

      double one = 0, other = 0;
      k.penalty(g.data(), depth, width, l1, 0, &one);
      k.penalty(g.data(), depth, width, 0, l2, &other);
      close.add(2, one + other, penalty, 2 * allowed * penalty);
    }
}

template <class T>
void test_penalty_grad(const Kernels<T>& k) {
  const size_t n = 4 * check::unit<T>();
  check::Random random(2);
  auto weights = random.vector<T>(n, -3, 3);
  weights[0] = 0;
  weights[1] = -T{0};
  const auto start = random.vector<T>(n);
  Matrix<T> w(1, n, n, 1), g(1, n, n, 3);
  w.assign(weights.data(), 0);
  g.assign(start.data(), 0);
  const T l1 = static_cast<T>(0.01), l2 = static_cast<T>(0.3);
  k.penalty_grad(w.data(), l1, l2, g.data(), n);
  check::Close close(name(k) + " penalty_grad");
  for (size_t j = 0; j < n; ++j) {
    const Real x = weights[j], slope = 2 * l2 * x + l1 * (x > 0 ? 1 : x < 0 ? -1 : 0);
    close.add(j, g.data()[j], start[j] + slope, 3 * (std::abs(slope) + std::abs(start[j])) * check::epsilon<T>());
  }
  check::that(g.untouched_outside(), name(k) + " penalty_grad: written outside");
  g.fill(0);
  w.fill(0);
  k.penalty_grad(w.data(), l1, l2, g.data(), n);
  check::that(g.zero(0, n), name(k) + " penalty_grad: padding does not stay zero");
  w.fill(1);
  k.penalty_grad(w.data(), l1, l2, g.data(), n - 3);
  check::that(!g.zero(n - 4, n - 3) && g.zero(n - 3, n), name(k) + " penalty_grad: written behind a row");
}

template <class T>
void test_ema(const Kernels<T>& k) {
  const size_t n = 4 * check::unit<T>(), valid = n - 3;
  check::Random random(5);
  const auto weights = random.vector<T>(valid, -3, 3), start = random.vector<T>(valid, -3, 3);
  Matrix<T> w(1, n, n, 1), average(1, n, n, 3);
  w.fill(0);
  average.fill(0);
  w.assign(weights.data(), 0, valid);
  average.assign(start.data(), 0, valid);
  const double momentum = 0.99;
  check::Close close(name(k) + " ema");
  k.ema(w.data(), static_cast<T>(momentum), average.data(), n);
  for (size_t j = 0; j < valid; ++j)
    close.add(j, average.data()[j], momentum * start[j] + (1 - momentum) * static_cast<Real>(weights[j]),
              8 * check::epsilon<T>());
  check::that(average.zero(valid, n), name(k) + " ema: padding does not stay zero");
  k.ema(w.data(), 0, average.data(), n);
  check::that(check::same_bits(average.data(), w.data(), n), name(k) + " ema: no copy where nothing is kept");
  check::that(average.untouched_outside() && w.untouched_outside(), name(k) + " ema: written outside");
}

template <class T>
void test_scale_and_clip(const Kernels<T>& k) {
  const size_t n = 4 * check::unit<T>();
  check::Random random(4);
  const T nan = std::numeric_limits<T>::quiet_NaN(), inf = std::numeric_limits<T>::infinity();
  const auto values = random.vector<T>(n, -3, 3);
  Matrix<T> g(1, n, n, 1);
  g.assign(values.data(), 0);
  const T factor = static_cast<T>(0.3);
  k.scale(g.data(), factor, n);
  bool right = g.untouched_outside();
  for (size_t j = 0; j < n; ++j) right &= g.data()[j] == values[j] * factor;
  check::that(right, name(k) + " scale");

  g.assign(values.data(), 0);
  g.data()[0] = inf;
  g.data()[1] = -inf;
  g.data()[2] = nan;
  g.data()[3] = -T{0};
  k.clip(g.data(), 1, n);
  right = g.untouched_outside() && g.data()[0] == 1 && g.data()[1] == -1 && g.data()[3] == 0;
  for (size_t j = 4; j < n; ++j) right &= g.data()[j] == std::min(T{1}, std::max(T{-1}, values[j]));
  check::that(right, name(k) + " clip");
  check::that(std::isnan(g.data()[2]), name(k) + " clip hides a NaN");
}

}  // namespace

int main() {
  const deltaprop::FlushDenormals mode;  // as the executor runs them
  check::each_table([](const auto& k) {
    for (const Rule& rule : kRules) {
      test_update(k, rule, 0);
      test_update(k, rule, 0.01);
      for (double decay : {0.0, 0.01}) test_update_of_a_single_row(k, rule, decay);
      test_outer_product_update(k, rule);
      test_constant_gradient(k, rule);
      test_padding_without_epsilon(k, rule);
    }
    test_sums(k);
    test_penalty_grad(k);
    test_ema(k);
    test_scale_and_clip(k);
  });
  return check::summary();
}
