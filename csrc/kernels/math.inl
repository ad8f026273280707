// exp, log, tanh, sigmoid, expm1, log1p, erf, sine and cosine on the vector type: our own polynomials, so that every
// ISA level with FMA gives the same bits. No loops over memory live here (those are in activations.inl and losses.inl).
#pragma once

#include "vec.h"

namespace {

// Only element-wise IEEE operations, fma and integer arithmetic are used: one source for every level.
//
// Inputs and results below the smallest normal number count as zero, because the library runs with FTZ and DAZ set.
// Without them the functions differ only in results of that size; log takes such an input for 0 (-infinity) anyway.
//
// The largest errors in ulps (all float32 inputs, a sample of 57 million for float64), with FMA and without:
//            exp        log        tanh       sigmoid    expm1      log1p      erf
//   float32  0.91 1.19  0.96 0.96  1.37 1.35  1.65 1.98  1.53 1.65  1.56 1.54  1.73 1.73
//   float64  0.87 1.16  0.96 0.96  1.37 1.37  1.66 1.86  1.82 1.94  1.53 1.54  1.59 1.59
//
// The coefficients come from a Remez exchange in 200-bit arithmetic, for the interval and the error measure stated at
// each array. They were then rounded to T one by one from the lowest power up, each time refitting the higher ones to
// the minimax polynomial by weighted least squares at Chebyshev nodes. The stated errors are those of the rounded
// polynomials. Highest power first.
template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr int kMantissa = 23;
  static constexpr std::uint32_t kBias = 127, kOne = 0x3f800000, kSqrtHalf = 0x3f3504f3, kMantissaMask = 0x007fffff;
  static constexpr float kMinNormal = 0x1p-126f, kEps = 0x1p-24f;
  // The product of kLn2Hi with any exponent is exact even without FMA.
  static constexpr float kLog2e = 0x1.715476p+0f, kLn2Hi = 0x1.62e4p-1f, kLn2Lo = 0x1.7f7d1cp-20f;
  // The last arguments whose exp is finite, and normal.
  static constexpr float kExpMax = 0x1.62e42ep+6f, kExpMin = -0x1.5d589ep+6f;
  // Beyond these nothing changes any more: tanh(x) is 1, exp(-x) has the exponent field 0 and so is 0, exp(x) - 1
  // overflows, exp(-x) - 1 is -1.
  static constexpr float kTanhOne = 10, kExpZero = 88, kExpm1Max = 89, kExpm1One = 18;

  // exp(r) = 1 + r + r^2 kExp(r) for |r| <= ln 2 / 2; error 2^-26.1 relative to exp(r) - 1.
  static constexpr float kExp[] = {0x1.6b7594p-10f, 0x1.122792p-7f, 0x1.555714p-5f, 0x1.5554bp-3f, 0x1.fffffep-2f};

  // 2 atanh(s) = 2 s + s z kLog(z), z = s^2, for |s| <= 3 - 2 sqrt 2; error 2^-30.2 relative to 2 s.
  static constexpr float kLog[] = {0x1.31e088p-2f, 0x1.995ed6p-2f, 0x1.55557ap-1f};

  // tanh(x) = x + x z kTanh(z), z = x^2, for |x| <= kTanhSmall; error 2^-27.7 relative to tanh(x).
  static constexpr float kTanh[] = {-0x1.758facp-8f, 0x1.5211c4p-6f, -0x1.b838ap-5f, 0x1.110704p-3f, -0x1.555532p-2f};
  static constexpr float kTanhSmall = 0.625f;

  // erf(x) = x + x kErf(z), z = x^2, for |x| <= kErfSmall; error 2^-26.1 relative to erf(x).
  static constexpr float kErf[] = {-0x1.440b16p-11f, 0x1.4979b2p-8f, -0x1.b6e418p-6f,
                                   0x1.ce1fd2p-4f,   -0x1.8127p-2f,  0x1.06eba6p-3f};
  // erf(x) = 1 - exp(kLogErfc(x)) for kErfSmall <= x <= kErfOne; error 2^-29.1 absolute in erf(x).
  static constexpr float kLogErfc[] = {0x1.a33cdap-13f, -0x1.93f7c2p-9f, 0x1.6eb104p-6f,  -0x1.ab0236p-4f,
                                       -0x1.460d6p-1f,  -0x1.20bd5ap+0f, -0x1.2e7e0cp-13f};
  static constexpr float kErfSmall = 0.875f, kErfOne = 4;

  // sin(x) = x + x z kSin(z) and cos(x) = 1 - z / 2 + z^2 kCos(z), z = x^2, for |x| <= pi / 4; interpolated at
  // Chebyshev nodes, errors 2^-26.4 relative to x and 2^-30.7 absolute.
  static constexpr float kSin[] = {-0x1.9ac9bp-13f, 0x1.110c28p-7f, -0x1.555552p-3f};
  static constexpr float kCos[] = {0x1.9bd89cp-16f, -0x1.6c12d2p-10f, 0x1.555554p-5f};
};

template <>
struct MathConstants<double> {
  static constexpr int kMantissa = 52;
  static constexpr std::uint64_t kBias = 1023, kOne = 0x3ff0000000000000, kSqrtHalf = 0x3fe6a09e667f3bcd,
                                 kMantissaMask = 0x000fffffffffffff;
  static constexpr double kMinNormal = 0x1p-1022, kEps = 0x1p-53;
  static constexpr double kLog2e = 0x1.71547652b82fep+0, kLn2Hi = 0x1.62e42fefa38p-1, kLn2Lo = 0x1.ef35793c7673p-45;
  static constexpr double kExpMax = 0x1.62e42fefa39efp+9, kExpMin = -0x1.6232bdd7abcd2p+9;
  static constexpr double kTanhOne = 20, kExpZero = 709, kExpm1Max = 710, kExpm1One = 38;

  // As above, error 2^-61.5.
  static constexpr double kExp[] = {0x1.1f1a2c42ff1e1p-29,
                                    0x1.af5f1ac7c7ed9p-26,
                                    0x1.27e5133a810d8p-22,
                                    0x1.71ddf81775e79p-19,
                                    0x1.a01a018e10612p-16,
                                    0x1.a01a01b001339p-13,
                                    0x1.6c16c16c1aaf9p-10,
                                    0x1.111111110f658p-7,
                                    0x1.555555555554dp-5,
                                    0x1.5555555555559p-3,
                                    0x1p-1};

  // As above, error 2^-59.5.
  static constexpr double kLog[] = {0x1.2f0405f47794ep-3, 0x1.39a1e2ae64cf3p-3, 0x1.74663d1b0ff46p-3,
                                    0x1.c71c5213bf52p-3,  0x1.24924941e1a8cp-2, 0x1.999999997ff19p-2,
                                    0x1.5555555555592p-1};

  // As above, error 2^-61.2.
  static constexpr double kTanh[] = {0x1.9615eaf3de5a1p-18,  -0x1.facf63c430b66p-16, 0x1.801e194432616p-14,
                                     -0x1.f114125c2b4b3p-13, 0x1.350b9a3cc20fcp-11,  -0x1.7d9c35669d247p-10,
                                     0x1.d6d35a69b74e8p-9,   -0x1.226e32d0eadd3p-7,  0x1.664f4870ce396p-6,
                                     -0x1.ba1ba1b9d1c96p-5,  0x1.1111111110c55p-3,   -0x1.5555555555552p-2};
  static constexpr double kTanhSmall = 0.625;

  // As above, errors 2^-56.4 and 2^-59.5.
  static constexpr double kErf[] = {0x1.260606b561ad3p-34,  -0x1.453459517a7dap-30, 0x1.fc1076a332bdfp-27,
                                    -0x1.5f8e96c38442ep-23, 0x1.b9ed7a94e9dd7p-20,  -0x1.f4d31e2e132f8p-17,
                                    0x1.f9a33429ca7c9p-14,  -0x1.c02db4926fc77p-11, 0x1.565bcd126ecefp-8,
                                    -0x1.b82ce312ab11ap-6,  0x1.ce2f21a04361p-4,    -0x1.812746b0379fdp-2,
                                    0x1.06eba8214db69p-3};
  static constexpr double kLogErfc[] = {
      0x1.24784c88cf5f4p-40,  -0x1.a1f86332b81b7p-35, 0x1.17916129f329bp-30,  -0x1.d0a08780c7e56p-27,
      0x1.0c1376f187e1dp-23,  -0x1.c5c3faff9f763p-21, 0x1.20b0ec14a84dap-18,  -0x1.138283e01b716p-16,
      0x1.778fb2dde1556p-15,  -0x1.248f00d61695bp-14, -0x1.817e6bee19e15p-15, 0x1.51076e6db7077p-11,
      -0x1.d03cac00e4f4fp-10, 0x1.27efc9711e604p-12,  0x1.388e8ddc0c167p-6,   -0x1.a4d9a9feca074p-4,
      -0x1.45f4328ad1516p-1,  -0x1.20dd5565a092bp+0,  -0x1.8bf47525469dbp-23};
  static constexpr double kErfSmall = 1, kErfOne = 6;

  // As above, errors 2^-55.6 and 2^-59.9.
  static constexpr double kSin[] = {0x1.5e0b1bb0d0ed6p-33,  -0x1.ae600b0838506p-26, 0x1.71de37969008bp-19,
                                    -0x1.a01a019e83afcp-13, 0x1.1111111110bb2p-7,   -0x1.5555555555555p-3};
  static constexpr double kCos[] = {-0x1.907d9ca717f4bp-37, 0x1.1eeb68de5547bp-29,  -0x1.27e4fa17cd7a4p-22,
                                    0x1.a01a019f4ea39p-16,  -0x1.6c16c16c16967p-10, 0x1.5555555555555p-5};
};

template <class T>
inline Bits<T> bits(Vec<T> x) {
  return reinterpret_cast<Bits<T>>(x);
}

template <class T>
inline Vec<T> value(Bits<T> b) {
  return reinterpret_cast<Vec<T>>(b);
}

template <class T>
inline Bits<T> sign(Vec<T> x) {
  return bits<T>(x) & bits<T>(-Vec<T>{});
}

// Coefficients from the highest power down.
template <class T, size_t N>
inline Vec<T> horner(Vec<T> x, const T (&c)[N]) {
  Vec<T> y = broadcast(c[0]);
#pragma GCC unroll 32
  for (size_t i = 1; i < N; ++i) y = fma(y, x, broadcast(c[i]));
  return y;
}

// x = n ln 2 + r with |r| <= ln 2 / 2. Adding kShift rounds to an integer and leaves n + kOffset in the low bits of the
// sum. exponent() moves it to the exponent field: with the bias as offset that is the number 2^n.
template <class T, int kOffset>
struct Reduced {
  using C = MathConstants<T>;
  static constexpr T kShift = static_cast<T>(std::uint64_t{3} << (C::kMantissa - 1)) + kOffset;
  Vec<T> shifted, n, r;

  explicit Reduced(Vec<T> x) {
    shifted = fma(x, broadcast(C::kLog2e), broadcast(kShift));
    n = shifted - broadcast(kShift);
    r = fma(n, broadcast(-C::kLn2Lo), fma(n, broadcast(-C::kLn2Hi), x));
  }
  Bits<T> exponent() const { return bits<T>(shifted) << C::kMantissa; }
};

template <class T>
inline Vec<T> exp_polynomial(Vec<T> r) {
  const Vec<T> one = broadcast(T(1));
  return fma(fma(horner<T>(r, MathConstants<T>::kExp), r, one), r, one);
}

template <class T>
inline Vec<T> exp(Vec<T> x) {
  using C = MathConstants<T>;
  const Reduced<T, 0> a(x);
  // The exponent is added to the polynomial's own: 2^n can overflow where the product does not.
  const Vec<T> y = value<T>(bits<T>(exp_polynomial<T>(a.r)) + a.exponent());
  const Vec<T> infinity_or_nan = x + broadcast(T(__builtin_inf()));
  return select<T>(x < broadcast(C::kExpMin), Vec<T>{}, select<T>(x <= broadcast(C::kExpMax), y, infinity_or_nan));
}

// 2^n (exp(r) - 1) + (2^n - 1): no harmful cancellation, as n = 0 for small x. Everything is halved until the end
// because 2^n may overflow where the result does not.
template <class T>
inline Vec<T> expm1(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> half = broadcast(T(0.5));
  const Reduced<T, C::kBias - 1> a(min(broadcast(C::kExpm1Max), max(broadcast(-C::kExpm1One), x)));
  const Vec<T> p = fma(a.r * a.r, horner<T>(a.r, C::kExp), a.r);
  const Vec<T> scale = value<T>(a.exponent());
  const Vec<T> y = fma(scale, p, scale - half);
  const Vec<T> result = select<T>(scale == half, p, y + y);
  return value<T>(bits<T>(result) | sign<T>(x));  // for -0
}

// x = 2^k m for a normal x > 0, with m in [sqrt 1/2, sqrt 2).
template <class T>
struct Decomposed {
  using C = MathConstants<T>;
  static constexpr T kShift = static_cast<T>(std::uint64_t{1} << C::kMantissa);
  Bits<T> exponent;  // k + bias
  Vec<T> k, m;

  explicit Decomposed(Vec<T> x) {
    const Bits<T> b = bits<T>(x) + (C::kOne - C::kSqrtHalf);
    exponent = b >> C::kMantissa;
    // An integer in the low bits of a power of two, which is then taken away: this converts it on every level.
    k = value<T>(exponent | bits<T>(broadcast(kShift))) - broadcast(kShift + C::kBias);
    m = value<T>((b & C::kMantissaMask) + C::kSqrtHalf);
  }
  // 2^(1 - k): unlike that of 2^-k, its exponent field is never negative.
  Vec<T> twice_unscale() const { return value<T>((2 * C::kBias + 1 - exponent) << C::kMantissa); }
};

// k ln 2 + log(1 + f), where log(1 + f) = 2 atanh(s) with s = f / (2 + f), and 2 s = f - s f.
template <class T>
inline Vec<T> log_sum(Vec<T> k, Vec<T> f) {
  using C = MathConstants<T>;
  const Vec<T> s = f / (f + broadcast(T(2))), z = s * s;
  const Vec<T> t = s * fma(-z, horner<T>(z, C::kLog), f);
  return fma(k, broadcast(C::kLn2Hi), f - fma(k, broadcast(-C::kLn2Lo), t));
}

// -0 and everything below the normal numbers count as 0.
template <class T>
inline Vec<T> log_special(Vec<T> x, Vec<T> y) {
  using C = MathConstants<T>;
  const Vec<T> infinity = broadcast(T(__builtin_inf()));
  const Vec<T> not_positive = select<T>(x > broadcast(-C::kMinNormal), -infinity, broadcast(T(__builtin_nan(""))));
  return select<T>(x >= broadcast(C::kMinNormal), select<T>(x < infinity, y, x), not_positive);
}

template <class T>
inline Vec<T> log(Vec<T> x) {
  const Decomposed<T> d(x);
  return log_special<T>(x, log_sum<T>(d.k, d.m - broadcast(T(1))));
}

template <class T>
inline Vec<T> log1p(Vec<T> x) {
  const Vec<T> one = broadcast(T(1)), u = x + one;
  // What u lost in rounding, exact because it is taken from the larger of the two; it goes back in after the scaling.
  const Vec<T> lost = select<T>(x >= one, one - (u - x), x - (u - one));
  const Decomposed<T> d(u);
  const Vec<T> f = fma(broadcast(T(0.5)) * lost, d.twice_unscale(), d.m - one);
  const Vec<T> y = log_special<T>(u, log_sum<T>(d.k, f));
  return select<T>(abs<T>(x) < broadcast(MathConstants<T>::kEps), x, y);
}

// A polynomial for small x, 1 - 2 / (exp(2 x) + 1) beyond, where the error of the quotient counts for less and less.
template <class T>
inline Vec<T> tanh(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> a = abs<T>(x), z = a * a, one = broadcast(T(1));
  const Vec<T> small = fma(a * z, horner<T>(z, C::kTanh), a);
  const Vec<T> b = min(broadcast(C::kTanhOne), a);
  const Reduced<T, C::kBias> e(b + b);
  const Vec<T> large = one - broadcast(T(2)) / fma(exp_polynomial<T>(e.r), value<T>(e.exponent()), one);
  return value<T>(bits<T>(select<T>(a > broadcast(C::kTanhSmall), large, small)) | sign<T>(x));
}

// sigmoid(x) and sigmoid(-x). With e = exp(-|x|) and q = e / (1 + e) the larger is 1 - q and the smaller e - e q, where
// e never overflows and a small result keeps its digits. (q equals e - e q, but would have the rounding of 1 + e and of
// the quotient in full: 2.3 ulps.)
template <class T>
struct Logistic {
  using C = MathConstants<T>;
  Vec<T> up, down;

  explicit Logistic(Vec<T> x) {
    const Vec<T> one = broadcast(T(1));
    const Reduced<T, C::kBias> a(-min(broadcast(C::kExpZero), abs<T>(x)));
    const Vec<T> e = exp_polynomial<T>(a.r) * value<T>(a.exponent()), q = e / (e + one);
    const Mask<T> negative = x < Vec<T>{};
    const Vec<T> whole = select<T>(negative, e, one), other = select<T>(negative, one, e);
    up = fma(-whole, q, whole);
    down = fma(-other, q, other);
  }
};

template <class T>
inline Vec<T> sigmoid(Vec<T> x) {
  return Logistic<T>(x).up;
}

// A polynomial for small x, 1 - erfc(x) beyond, with the logarithm of erfc as a polynomial.
template <class T>
inline Vec<T> erf(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> a = abs<T>(x), one = broadcast(T(1));
  // Not fma(a, p, a): without FMA the product of a tiny a would be flushed to zero.
  const Vec<T> small = a * (horner<T>(a * a, C::kErf) + one);
  const Reduced<T, C::kBias> e(horner<T>(min(broadcast(C::kErfOne), a), C::kLogErfc));
  const Vec<T> large = fma(-exp_polynomial<T>(e.r), value<T>(e.exponent()), one);
  return value<T>(bits<T>(select<T>(a > broadcast(C::kErfSmall), large, small)) | sign<T>(x));
}

template <class T>
struct SinCos {
  Vec<T> sin, cos;
};

// For |x| <= pi / 4 only.
template <class T>
inline SinCos<T> sin_cos(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> z = x * x, one = broadcast(T(1));
  return {fma(x * z, horner<T>(z, C::kSin), x), fma(z * z, horner<T>(z, C::kCos), fma(z, broadcast(T(-0.5)), one))};
}

}  // namespace
