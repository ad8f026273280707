// Optimiser steps on one span of a variable, and clipping.
// The update rules are those of Keras; 1 - beta is formed in double, because 1 - 0.999f is 5e-5 off.
#pragma once

#include "gemm.inl"
#include "table.h"
#include "vec.h"

namespace {

using deltaprop::OuterProduct;
using deltaprop::UpdateSpan;

// Each rule holds an optimiser's constants in registers and gives the new w of one register; its slots change in place.
// Where w stays as it is when the gradient is zero, a rule with divisions says so by kIdles, and `idle` is all that
// happens then, with the same bits: half of the inputs of a layer behind a ReLU are zero.

// w -= rate g
template <class T>
struct Sgd {
  const Vec<T> rate;
  explicit Sgd(const UpdateSpan<T>& u) : rate(constant<T>(u.rate)) {}
  Vec<T> operator()(size_t, Vec<T> w, Vec<T> g, T* const*) const { return fma(-rate, g, w); }
};

// v = momentum v - rate g; w += v, or with Nesterov's correction w += momentum v - rate g
template <class T, bool kNesterov>
struct MomentumRule {
  const Vec<T> rate, momentum;
  explicit MomentumRule(const UpdateSpan<T>& u) : rate(constant<T>(u.rate)), momentum(constant<T>(u.constants[0])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    const Vec<T> v = fma(momentum, load(slot[0] + j), -(rate * g));
    store(slot[0] + j, v);
    return kNesterov ? w + fma(momentum, v, -(rate * g)) : w + v;
  }
};
template <class T>
using Momentum = MomentumRule<T, false>;
template <class T>
using Nesterov = MomentumRule<T, true>;

// v = rho v + (1 - rho) g^2; w -= rate g / sqrt(v + epsilon), centred or through a momentum where asked for
template <class T, bool kMomentum, bool kCentered>
struct RmspropRule {
  const Vec<T> rate, rho, rest, momentum, epsilon;
  explicit RmspropRule(const UpdateSpan<T>& u)
      : rate(constant<T>(u.rate)),
        rho(constant<T>(u.constants[0])),
        rest(constant<T>(1 - u.constants[0])),
        momentum(constant<T>(u.constants[1])),
        epsilon(positive<T>(u.constants[2])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    const Vec<T> v = fma(rho, load(slot[0] + j), rest * (g * g));
    store(slot[0] + j, v);
    Vec<T> variance = v;
    if constexpr (kCentered) {
      const Vec<T> mean = fma(rho, load(slot[2] + j), rest * g);
      store(slot[2] + j, mean);
      variance = max(Vec<T>{}, fma(-mean, mean, v));  // rounding can make it negative
    }
    Vec<T> step = rate * g / sqrt(variance + epsilon);
    if constexpr (kMomentum) {
      step = fma(momentum, load(slot[1] + j), step);
      store(slot[1] + j, step);
    }
    return w - step;
  }
  static constexpr bool kIdles = !kMomentum && !kCentered;
  void idle(size_t j, T* const* slot) const { store(slot[0] + j, rho * load(slot[0] + j)); }
};
template <class T>
using Rmsprop = RmspropRule<T, false, false>;
template <class T>
using RmspropMomentum = RmspropRule<T, true, false>;
template <class T>
using CenteredRmsprop = RmspropRule<T, true, true>;

// m += (1 - beta1)(g - m); v += (1 - beta2)(g^2 - v); w -= rate m / (sqrt(v) + epsilon), with the rate already
// corrected for the bias of m and v (Kingma & Ba 2015, section 2, last paragraph)
template <class T, bool kAmsgrad>
struct AdamRule {
  const Vec<T> rate, epsilon, gain1, gain2;
  explicit AdamRule(const UpdateSpan<T>& u)
      : rate(constant<T>(u.rate)),
        epsilon(positive<T>(u.constants[2])),
        gain1(constant<T>(1 - u.constants[0])),
        gain2(constant<T>(1 - u.constants[1])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    Vec<T> m = load(slot[0] + j), v = load(slot[1] + j);
    m = fma(gain1, g - m, m);
    v = fma(gain2, fma(g, g, -v), v);
    store(slot[0] + j, m);
    store(slot[1] + j, v);
    if constexpr (kAmsgrad) {
      v = max(load(slot[2] + j), v);
      store(slot[2] + j, v);
    }
    return w - rate * m / (sqrt(v) + epsilon);
  }
};
template <class T>
using Adam = AdamRule<T, false>;
template <class T>
using Amsgrad = AdamRule<T, true>;

// a += g^2; w -= rate g / sqrt(a + epsilon)
template <class T>
struct Adagrad {
  const Vec<T> rate, epsilon;
  explicit Adagrad(const UpdateSpan<T>& u) : rate(constant<T>(u.rate)), epsilon(positive<T>(u.constants[0])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    const Vec<T> a = fma(g, g, load(slot[0] + j));
    store(slot[0] + j, a);
    return w - rate * g / sqrt(a + epsilon);
  }
  static constexpr bool kIdles = true;
  void idle(size_t, T* const*) const {}
};

// a = rho a + (1 - rho) g^2; the step d = sqrt(s + epsilon) / sqrt(a + epsilon) g, with s = rho s + (1 - rho) d^2 after
// it; w -= rate d
template <class T>
struct Adadelta {
  const Vec<T> rate, rho, rest, epsilon;
  explicit Adadelta(const UpdateSpan<T>& u)
      : rate(constant<T>(u.rate)),
        rho(constant<T>(u.constants[0])),
        rest(constant<T>(1 - u.constants[0])),
        epsilon(positive<T>(u.constants[1])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    const Vec<T> a = fma(rho, load(slot[0] + j), rest * (g * g));
    const Vec<T> s = load(slot[1] + j);
    const Vec<T> d = sqrt((s + epsilon) / (a + epsilon)) * g;
    store(slot[0] + j, a);
    store(slot[1] + j, fma(rho, s, rest * (d * d)));
    return fma(-rate, d, w);
  }
};

// m += (1 - beta1)(g - m); u = max(beta2 u, |g|); w -= rate m / (u + epsilon), the rate corrected for the bias of m
template <class T>
struct Adamax {
  const Vec<T> rate, gain1, beta2, epsilon;
  explicit Adamax(const UpdateSpan<T>& u)
      : rate(constant<T>(u.rate)),
        gain1(constant<T>(1 - u.constants[0])),
        beta2(constant<T>(u.constants[1])),
        epsilon(positive<T>(u.constants[2])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    Vec<T> m = load(slot[0] + j);
    m = fma(gain1, g - m, m);
    const Vec<T> u = max(beta2 * load(slot[1] + j), abs<T>(g));
    store(slot[0] + j, m);
    store(slot[1] + j, u);
    return w - rate * m / (u + epsilon);
  }
};

// m and v as in Adam; w -= rate (m + share (g - m)) / (sqrt(v) + scale epsilon), with the share of g in the step and
// the scale of this step
template <class T>
struct Nadam {
  const Vec<T> rate, gain1, gain2, share, epsilon;
  explicit Nadam(const UpdateSpan<T>& u)
      : rate(constant<T>(u.rate)),
        gain1(constant<T>(1 - u.constants[0])),
        gain2(constant<T>(1 - u.constants[1])),
        share(constant<T>(u.more[0])),
        epsilon(positive<T>(u.more[1] * u.constants[2])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    Vec<T> m = load(slot[0] + j), v = load(slot[1] + j);
    m = fma(gain1, g - m, m);
    v = fma(gain2, fma(g, g, -v), v);
    store(slot[0] + j, m);
    store(slot[1] + j, v);
    return w - rate * fma(share, g - m, m) / (sqrt(v) + epsilon);
  }
};

// w -= rate sign(m + (1 - beta1)(g - m)); m += (1 - beta2)(g - m)
template <class T>
struct Lion {
  const Vec<T> rate, gain1, gain2;
  explicit Lion(const UpdateSpan<T>& u)
      : rate(constant<T>(u.rate)), gain1(constant<T>(1 - u.constants[0])), gain2(constant<T>(1 - u.constants[1])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    const Vec<T> m = load(slot[0] + j), change = g - m;
    store(slot[0] + j, fma(gain2, change, m));
    return w - with_sign_of<T>(fma(gain1, change, m), rate);
  }
};

// The step grows while the gradient keeps its sign; where the sign has changed, it shrinks and is not taken.
template <class T>
struct Rprop {
  const Vec<T> rate, minus, plus, least, most;
  explicit Rprop(const UpdateSpan<T>& u)
      : rate(constant<T>(u.rate)),
        minus(constant<T>(u.constants[0])),
        plus(constant<T>(u.constants[1])),
        least(constant<T>(u.constants[2])),
        most(constant<T>(u.constants[3])) {}
  Vec<T> operator()(size_t j, Vec<T> w, Vec<T> g, T* const* slot) const {
    const Vec<T> sign = with_sign_of<T>(g, broadcast(T{1})), agreement = sign * load(slot[0] + j);
    const Vec<T> before = load(slot[1] + j);
    const Vec<T> shrunk = select<T>(agreement < Vec<T>{}, max(least, minus * before), before);
    const Vec<T> step = select<T>(agreement > Vec<T>{}, min(most, plus * before), shrunk);
    const Vec<T> taken = select<T>(agreement < Vec<T>{}, Vec<T>{}, sign);
    store(slot[0] + j, taken);
    store(slot[1] + j, step);
    return w - rate * taken * step;
  }
};

// A rule with the span that it works on, after the decoupled decay of w, which AdamW and every weight_decay share.
template <class T, template <class> class Rule>
struct Step {
  const UpdateSpan<T>& span;
  const Vec<T> decay;
  const Rule<T> rule;
  explicit Step(const UpdateSpan<T>& u) : span(u), decay(constant<T>(u.decay)), rule(u) {}
  void operator()(size_t j, Vec<T> g) const {
    Vec<T> w = load(span.w + j);
    w = fma(-decay, w, w);
    store(span.w + j, rule(j, w, g, span.slot));
  }
};

template <class Rule, class = void>
constexpr bool kCanIdle = false;
template <class Rule>
constexpr bool kCanIdle<Rule, decltype(void(Rule::kIdles))> = Rule::kIdles;

// The gradient of a single row is formed on the way: its memory would cost as much as the update.
template <class T, template <class> class Rule>
void update(const UpdateSpan<T>& span) {
  const UpdateSpan<T> u = span;  // in registers: a store could change the span itself
  const Step<T, Rule> step(u);
  if (u.g) {
    for (size_t j = 0; j < u.n; j += kLanes<T>) step(j, load(u.g + j));
    return;
  }
  for (size_t k = 0; k * u.width < u.n; ++k) {
    if constexpr (kCanIdle<Rule<T>>) {
      if (u.x[k] == 0 && u.decay == 0) {
        for (size_t j = 0; j < u.width; j += kLanes<T>) step.rule.idle(k * u.width + j, u.slot);
        continue;
      }
    }
    const Vec<T> x = broadcast(u.x[k]);
#pragma GCC unroll 4
    for (size_t j = 0; j < u.width; j += kLanes<T>) step(k * u.width + j, fma(x, load(u.dy + j), Vec<T>{}));
  }
}

// A piece of a gradient that its update has yet to use up: from g on, of the elements [at, end) of the span.
template <class T>
struct Waiting {
  const T* g = nullptr;
  size_t at = 0, end = 0;
  bool odd = false;  // which half of the scratch it lies in
};

// Tiles of an outer product, each of which is used up while the next is formed: the divider, which the FMAs do not
// need, works beside them. The product's g is scratch for two tiles.
template <class T, template <class> class Rule>
struct UpdateTile {
  const OuterProduct<T>& operands;
  const Step<T, Rule> step;
  Waiting<T>& waiting;

  template <size_t R, size_t V>
  void run(const OuterProduct<T>& p, size_t k) const {
    constexpr size_t width = V * kLanes<T>;
    T* const g = p.g + (waiting.odd ? 0 : kTileRows * width);
    OuterProductTile<T>{p}.template form<R, V>(p, k, g, width, [&] {
      if (waiting.at < waiting.end) advance();
    });
    finish();
    waiting = {g, k * width, (k + R) * width, !waiting.odd};
  }

  void finish() const {
    while (waiting.at < waiting.end) advance();
  }

  void advance() const {
    step(waiting.at, load(waiting.g));
    waiting.at += kLanes<T>;
    waiting.g += kLanes<T>;
  }
};

template <class T, template <class> class Rule>
void outer_product_update(const OuterProduct<T>& p, const UpdateSpan<T>& u) {
  const Step<T, Rule> step(u);
  constexpr size_t kFewest = kTileRows - 1, kScratchRows = 2 * kTileRows;
  if (lowest_tile(p.depth, kTileRows) >= kFewest) {
    Waiting<T> waiting;
    const UpdateTile<T, Rule> tile{p, step, waiting};
    run_tiles<T, kPanelVectors, kTileRows, kFewest>(tile, p.width, p.depth);
    tile.finish();
    return;
  }
  // Lower tiles occur among few rows only, and are not worth their code.
  OuterProduct<T> part = p;
  for (size_t k = 0; k < p.depth; k += kScratchRows, part.x += kScratchRows) {
    part.depth = p.depth - k < kScratchRows ? p.depth - k : kScratchRows;
    run_tiles<T>(OuterProductTile<T>{part}, p.width, part.depth);
    for (size_t j = 0; j < part.depth * p.width; j += kLanes<T>) step(k * p.width + j, load(p.g + j));
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

template <class T>
void ema(const T* w, T momentum, T* average, size_t n) {
  const Vec<T> keep = broadcast(momentum);
  for (size_t j = 0; j < n; j += kLanes<T>) {
    const Vec<T> x = load(w + j);
    store(average + j, fma(keep, load(average + j) - x, x));
  }
}

}  // namespace
