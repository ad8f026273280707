// Activations and their derivatives on spans of whole registers, softmax and its logarithm on rows.
#pragma once

#include "math.inl"
#include "table.h"

namespace {

// Each activation has a value, and the first and second derivative from what these read: the output a, or the input z.
// `alpha` is the one constant that some have. None gives a NaN or loses its digits to an overflow where z is finite.

// Most second derivatives of piecewise linear functions.
template <class T>
struct Straight {
  using V = Vec<T>;
  static V curvature(V, V) { return V{}; }
};

template <class T>
inline Vec<T> one_where(Mask<T> m) {
  return select<T>(m, broadcast(T{1}), Vec<T>{});
}

template <class T>
struct Linear : Straight<T> {
  using V = Vec<T>;
  static V value(V z, V) { return z; }
  static V derivative(V, V) { return broadcast(T{1}); }
};

template <class T>
struct Relu : Straight<T> {
  using V = Vec<T>;
  static V value(V z, V) { return max(V{}, z); }
  static V derivative(V a, V) { return one_where<T>(a > V{}); }
};

template <class T>
struct Sigmoid {
  using V = Vec<T>;
  static V value(V z, V) { return sigmoid<T>(z); }
  static V derivative(V a, V) { return a * (T{1} - a); }
  static V curvature(V a, V) { return a * (T{1} - a) * (T{1} - (a + a)); }
};

template <class T>
struct Tanh {
  using V = Vec<T>;
  static V value(V z, V) { return tanh<T>(z); }
  static V derivative(V a, V) { return fma(-a, a, broadcast(T{1})); }
  static V curvature(V a, V alpha) { return T{-2} * a * derivative(a, alpha); }
};

// Neither has a derivative that could be followed: plans that would train through them are not made. A NaN stays.
template <class T>
struct UnitStep : Straight<T> {
  using V = Vec<T>;
  static V value(V z, V) { return select<T>(z > V{}, broadcast(T{1}), select<T>(z <= V{}, V{}, z)); }
  static V derivative(V, V) { return V{}; }
};

template <class T>
struct Sign : Straight<T> {
  using V = Vec<T>;
  static V value(V z, V) { return select<T>(z >= V{}, broadcast(T{1}), select<T>(z < V{}, broadcast(T{-1}), z)); }
  static V derivative(V, V) { return V{}; }
};

template <class T>
struct LeakyRelu : Straight<T> {
  using V = Vec<T>;
  static V value(V z, V alpha) { return select<T>(z > V{}, z, alpha * z); }
  static V derivative(V a, V alpha) { return select<T>(a > V{}, broadcast(T{1}), alpha); }
};

template <class T>
struct Relu6 : Straight<T> {
  using V = Vec<T>;
  static V value(V z, V alpha) { return min(alpha, max(V{}, z)); }
  static V derivative(V a, V alpha) { return one_where<T>((a > V{}) & (a < alpha)); }
};

template <class T>
struct HardTanh : Straight<T> {
  using V = Vec<T>;
  static V value(V z, V) { return min(broadcast(T{1}), max(broadcast(T{-1}), z)); }
  static V derivative(V a, V) { return one_where<T>(abs<T>(a) < broadcast(T{1})); }
};

template <class T>
struct HardSigmoid : Straight<T> {
  using V = Vec<T>;
  static V value(V z, V) { return min(broadcast(T{6}), max(V{}, z + T{3})) / T{6}; }
  static V derivative(V a, V) { return one_where<T>((a > V{}) & (a < broadcast(T{1}))) / T{6}; }
};

template <class T>
struct Elu {
  using V = Vec<T>;
  static V value(V z, V alpha) { return select<T>(z > V{}, z, alpha * expm1<T>(z)); }
  static V derivative(V a, V alpha) { return select<T>(a > V{}, broadcast(T{1}), a + alpha); }
  static V curvature(V a, V alpha) { return select<T>(a > V{}, V{}, a + alpha); }
};

// The constants of Klambauer et al. 2017: activations tend to mean 0 and variance 1.
template <class T>
struct Selu {
  using V = Vec<T>;
  static constexpr T kScale = T(1.0507009873554804934193349852946), kAlpha = T(1.6732632423543772848170429916717);
  static constexpr T kFloor = kScale * kAlpha;
  static V value(V z, V) { return select<T>(z > V{}, kScale * z, kFloor * expm1<T>(z)); }
  static V derivative(V a, V) { return select<T>(a > V{}, broadcast(kScale), a + kFloor); }
  static V curvature(V a, V) { return select<T>(a > V{}, V{}, a + kFloor); }
};

template <class T>
struct Celu {
  using V = Vec<T>;
  static V value(V z, V alpha) { return select<T>(z > V{}, z, alpha * expm1<T>(z / alpha)); }
  static V derivative(V a, V alpha) { return select<T>(a > V{}, broadcast(T{1}), a / alpha + T{1}); }
  static V curvature(V a, V alpha) { return select<T>(a > V{}, V{}, (a / alpha + T{1}) / alpha); }
};

// z Phi(z), the normal distribution's.
template <class T>
struct Gelu {
  using V = Vec<T>;
  static constexpr T kSqrtHalf = T(0.70710678118654752440084436210485),
                     kDensity = T(0.39894228040143267793994605993438);
  static V cdf(V z) { return fma(broadcast(T{0.5}), erf<T>(kSqrtHalf * z), broadcast(T{0.5})); }
  // Beyond, the density is 0, and squares could overflow.
  static V near(V z) { return min(broadcast(T{40}), max(broadcast(T{-40}), z)); }
  static V density(V z) { return kDensity * exp<T>(T{-0.5} * (z * z)); }
  static V value(V z, V) { return z * cdf(z); }
  static V derivative(V z, V) { return fma(near(z), density(near(z)), cdf(z)); }
  static V curvature(V z, V) { return density(near(z)) * (T{2} - near(z) * near(z)); }
};

// z sigmoid(v) for v = 2 sqrt(2 / pi) (z + 0.044715 z^3), which is its tanh form with fewer steps.
template <class T>
struct GeluTanh {
  using V = Vec<T>;
  static constexpr T kRate = T(1.5957691216057307117597842397375), kCubic = T(0.044715) * kRate;
  static V inner(V z) { return z * fma(broadcast(kCubic) * z, z, broadcast(kRate)); }
  static V slope(V z) { return fma(broadcast(3 * kCubic) * z, z, broadcast(kRate)); }
  // Beyond, the sigmoid is 0 or 1, and squares could overflow.
  static V near(V z) { return min(broadcast(T{30}), max(broadcast(T{-30}), z)); }
  static V value(V z, V) { return z * sigmoid<T>(inner(z)); }
  static V derivative(V z, V) {
    z = near(z);
    const Logistic<T> s(inner(z));
    return fma(z * slope(z), s.up * s.down, s.up);
  }
  static V curvature(V z, V) {
    z = near(z);
    const Logistic<T> s(inner(z));
    const V v = slope(z), bend = fma((s.down - s.up) * v, v, 6 * kCubic * z);
    return s.up * s.down * fma(z, bend, v + v);
  }
};

template <class T>
struct Silu {
  using V = Vec<T>;
  static V value(V z, V) { return z * sigmoid<T>(z); }
  static V derivative(V z, V) {
    const Logistic<T> s(z);
    return s.up * fma(z, s.down, broadcast(T{1}));
  }
  static V curvature(V z, V) {
    const Logistic<T> s(z);
    return s.up * s.down * fma(z, s.down - s.up, broadcast(T{2}));
  }
};

// z t with t = tanh(ln(1 + e^z)) = m / (m + 2), m = e^z (e^z + 2): one exponential, which stops where t is 1.
template <class T>
struct Mish {
  using V = Vec<T>;
  static V near(V z) { return min(broadcast(MathConstants<T>::kTanhOne), z); }
  static V gate(V e) { return fma(e, e, e + e) / fma(e, e, e + e + T{2}); }
  static V gate_slope(V e) { return T{4} * e * (e + T{1}) / (fma(e, e, e + e + T{2}) * fma(e, e, e + e + T{2})); }
  static V value(V z, V) { return z * gate(exp<T>(near(z))); }
  static V derivative(V z, V) { return fma(near(z), gate_slope(exp<T>(near(z))), gate(exp<T>(near(z)))); }
  static V curvature(V z, V) {
    const V e = exp<T>(near(z)), bend = (T{1} - (e + e) * gate(e)) / (e + T{1});
    return gate_slope(e) * fma(near(z), bend, broadcast(T{2}));
  }
};

// ln(1 + e^z); the derivative sigmoid(z) is 1 - e^-a.
template <class T>
struct Softplus {
  using V = Vec<T>;
  static V value(V z, V) { return max(V{}, z) + log1p<T>(exp<T>(-abs<T>(z))); }
  static V derivative(V a, V) { return -expm1<T>(-a); }
  static V curvature(V a, V) { return -expm1<T>(-a) * exp<T>(-a); }
};

template <class T>
struct Softsign {
  using V = Vec<T>;
  static V rest(V a) { return T{1} - abs<T>(a); }
  static V value(V z, V) { return z / (T{1} + abs<T>(z)); }
  static V derivative(V a, V) { return rest(a) * rest(a); }
  static V curvature(V a, V) {
    return select<T>(a < V{}, broadcast(T{2}), broadcast(T{-2})) * rest(a) * rest(a) * rest(a);
  }
};

template <class T>
struct Exponential {
  using V = Vec<T>;
  static V value(V z, V) { return exp<T>(z); }
  static V derivative(V a, V) { return a; }
  static V curvature(V a, V) { return a; }
};

template <class T, template <class> class F>
void activation(const T* z, T* a, size_t n, T alpha) {
  for (size_t j = 0; j < n; j += kLanes<T>) store(a + j, F<T>::value(load(z + j), broadcast(alpha)));
}

template <class T, template <class> class F>
void activation_grad(const T* da, const T* s, T* dz, size_t n, T alpha) {
  for (size_t j = 0; j < n; j += kLanes<T>)
    store(dz + j, load(da + j) * F<T>::derivative(load(s + j), broadcast(alpha)));
}

template <class T, template <class> class F>
void activation_curvature(const T* da, const T* t, const T* s, T* dz, size_t n, T alpha) {
  for (size_t j = 0; j < n; j += kLanes<T>)
    store(dz + j, fma(load(da + j) * load(t + j), F<T>::curvature(load(s + j), broadcast(alpha)), load(dz + j)));
}

template <class T, template <class> class F>
constexpr deltaprop::ActivationKernels<T> kActivation = {activation<T, F>, activation_grad<T, F>,
                                                         activation_curvature<T, F>};

template <class T>
inline Vec<T> slope_at(const T* alpha, bool shared, size_t j) {
  return shared ? broadcast(alpha[0]) : load(alpha + j);
}

template <class T>
void prelu(const T* z, const T* alpha, bool shared, T* a, size_t n) {
  for (size_t j = 0; j < n; j += kLanes<T>) store(a + j, LeakyRelu<T>::value(load(z + j), slope_at(alpha, shared, j)));
}

template <class T>
void prelu_grad(const T* da, const T* z, const T* alpha, bool shared, T* dz, size_t n) {
  for (size_t j = 0; j < n; j += kLanes<T>)
    store(dz + j, load(da + j) * LeakyRelu<T>::derivative(load(z + j), slope_at(alpha, shared, j)));
}

template <class T>
void prelu_grad_alpha(const deltaprop::PreluGradient<T>& p) {
  const auto term = [&](size_t r, size_t j) {
    const Vec<T> z = load(p.z + r * p.z_stride + j);
    return select<T>((z < Vec<T>{}) & before<T>(j, p.n), load(p.da + r * p.da_stride + j) * z, Vec<T>{});
  };
  if (p.shared) {
    Lanes16<T> sum(0);
    for (size_t r = 0; r < p.rows; ++r)
      for (size_t j = 0; j < p.n; j += kLanes<T>) sum.add(j, term(r, j));
    p.g[0] = sum.sum()[0] + (p.accumulate ? p.g[0] : T{0});
    return;
  }
  for (size_t j = 0; j < p.n; j += kLanes<T>) {
    Vec<T> sum = p.accumulate ? load(p.g + j) : Vec<T>{};
    for (size_t r = 0; r < p.rows; ++r) sum = sum + term(r, j);
    store(p.g + j, sum);
  }
}

// p = exp(z - max z) / sum, one row; the shift makes every exponent at most zero.
template <class T>
void softmax(const T* z, T* p, size_t n) {
  const Vec<T> shift = row_maximum(z, n);
  Lanes16<T> sum(0);
  const size_t padded = to_units<T>(n);
  for (size_t j = 0; j < padded; j += kLanes<T>) {
    const Vec<T> e = select<T>(before<T>(j, n), exp<T>(load(z + j) - shift), Vec<T>{});
    sum.add(j, e);
    store(p + j, e);
  }
  const Vec<T> total = sum.sum();
  for (size_t j = 0; j < padded; j += kLanes<T>)
    store(p + j, select<T>(before<T>(j, n), load(p + j) / total, Vec<T>{}));
}

// dz = p (dp - sum dp p), one row.
template <class T>
void softmax_grad(const T* dp, const T* p, T* dz, size_t n) {
  Lanes16<T> dot(0);
  for (size_t j = 0; j < n; j += kLanes<T>)
    dot.add(j, select<T>(before<T>(j, n), load(dp + j) * load(p + j), Vec<T>{}));
  const Vec<T> mean = dot.sum();
  for (size_t j = 0; j < to_units<T>(n); j += kLanes<T>)
    store(dz + j, select<T>(before<T>(j, n), load(p + j) * (load(dp + j) - mean), Vec<T>{}));
}

// dz += d/dz (dp . J t) at fixed dp and t, with the Jacobian J = diag(p) - p p', one row:
// p (dp - dp.p) (t - t.p) less p times the sum of that.
template <class T>
void softmax_curvature(const T* dp, const T* t, const T* p, T* dz, size_t n) {
  Lanes16<T> up(0), along(0), both(0);
  for (size_t j = 0; j < n; j += kLanes<T>) {
    const auto inside = before<T>(j, n);
    const Vec<T> q = select<T>(inside, load(p + j), Vec<T>{});
    up.add(j, select<T>(inside, load(dp + j) * q, Vec<T>{}));
    along.add(j, select<T>(inside, load(t + j) * q, Vec<T>{}));
  }
  const Vec<T> u = up.sum(), a = along.sum();
  const auto term = [&](size_t j) {
    return select<T>(before<T>(j, n), load(p + j) * ((load(dp + j) - u) * (load(t + j) - a)), Vec<T>{});
  };
  for (size_t j = 0; j < n; j += kLanes<T>) both.add(j, term(j));
  const Vec<T> sum = both.sum();
  for (size_t j = 0; j < n; j += kLanes<T>) {
    const Vec<T> change = select<T>(before<T>(j, n), fma(-sum, load(p + j), term(j)), Vec<T>{});
    store(dz + j, load(dz + j) + change);
  }
}

// a = z - max z - ln sum exp(z - max z), one row.
template <class T>
void log_softmax(const T* z, T* a, size_t n) {
  const Vec<T> shift = row_maximum(z, n);
  Lanes16<T> sum(0);
  for (size_t j = 0; j < n; j += kLanes<T>)
    sum.add(j, select<T>(before<T>(j, n), exp<T>(load(z + j) - shift), Vec<T>{}));
  const Vec<T> log_sum = log<T>(sum.sum());
  for (size_t j = 0; j < to_units<T>(n); j += kLanes<T>)
    store(a + j, select<T>(before<T>(j, n), (load(z + j) - shift) - log_sum, Vec<T>{}));
}

// dz = da - exp(a) sum da, one row.
template <class T>
void log_softmax_grad(const T* da, const T* a, T* dz, size_t n) {
  Lanes16<T> sum(0);
  for (size_t j = 0; j < n; j += kLanes<T>) sum.add(j, select<T>(before<T>(j, n), load(da + j), Vec<T>{}));
  const Vec<T> total = sum.sum();
  for (size_t j = 0; j < to_units<T>(n); j += kLanes<T>)
    store(dz + j, select<T>(before<T>(j, n), fma(-exp<T>(load(a + j)), total, load(da + j)), Vec<T>{}));
}

}  // namespace
