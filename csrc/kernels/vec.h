// The vector type that every kernel is written on: one register of the ISA level this file is compiled for. No
// arithmetic beyond single instructions lives here (exp, log and tanh are in math.inl).
#pragma once

#include <cstddef>
#include <cstdint>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// Internal linkage throughout: the same inline function is compiled once per ISA level, and the linker must never be
// free to keep the AVX-512 copy for a processor without it (numpy #25274).
namespace {

using std::size_t;

#if defined(__AVX512F__)
constexpr size_t kVectorBytes = 64;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr size_t kVectorBytes = 32;
#else
constexpr size_t kVectorBytes = 16;
#endif

template <class T>
struct VecOf;
template <>
struct VecOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef std::int32_t mask __attribute__((vector_size(kVectorBytes)));
  typedef std::uint32_t bits __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VecOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef std::int64_t mask __attribute__((vector_size(kVectorBytes)));
  typedef std::uint64_t bits __attribute__((vector_size(kVectorBytes)));
};

// A register of T; comparisons of two of them give a Mask<T> whose lanes are all ones or all zeros.
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
using Mask = typename VecOf<T>::mask;
// The same register as unsigned integers: what math.inl shifts and adds exponents in.
template <class T>
using Bits = typename VecOf<T>::bits;

// Elements per register, and per unit: rows of every buffer are padded to whole units, the same on all levels.
template <class T>
constexpr size_t kLanes = kVectorBytes / sizeof(T);
template <class T>
constexpr size_t kUnit = 64 / sizeof(T);

// n columns as they lie in a row: padded to whole units.
template <class T>
constexpr size_t to_units(size_t n) {
  return (n + kUnit<T> - 1) / kUnit<T> * kUnit<T>;
}

template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// x - 0 folds to one load-broadcast; x + 0 does not, because 0 + -0 is not -0.
template <class T>
inline Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

// 64-bit lanes, their lower halves, and the products of those.
typedef std::uint64_t Words __attribute__((vector_size(kVectorBytes)));
typedef std::uint32_t HalfWords __attribute__((vector_size(kVectorBytes / 2)));

template <class T>
inline Vec<T> constant(double x) {
  return broadcast(static_cast<T>(x));
}

// A divisor's epsilon. The smallest normal number stands for zero, so that 0 / 0, of padding or of a unit that never
// learnt, is 0.
template <class T>
inline Vec<T> positive(double epsilon) {
  constexpr double smallest = sizeof(T) == sizeof(float) ? 0x1p-126 : 0x1p-1022;
  return constant<T>(epsilon > smallest ? epsilon : smallest);
}

// a * b + c, rounded once where the level has FMA.
#if defined(__AVX512F__)
inline Words multiply_halves(Words a, Words b) { return (Words)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return _mm512_fmadd_pd(a, b, c); }
inline Vec<float> sqrt(Vec<float> a) { return _mm512_sqrt_ps(a); }
inline Vec<double> sqrt(Vec<double> a) { return _mm512_sqrt_pd(a); }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return _mm512_max_ps(a, b); }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return _mm512_max_pd(a, b); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return _mm512_min_ps(a, b); }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return _mm512_min_pd(a, b); }
#elif defined(__AVX2__) && defined(__FMA__)
inline Words multiply_halves(Words a, Words b) { return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return _mm256_fmadd_pd(a, b, c); }
inline Vec<float> sqrt(Vec<float> a) { return _mm256_sqrt_ps(a); }
inline Vec<double> sqrt(Vec<double> a) { return _mm256_sqrt_pd(a); }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return _mm256_max_ps(a, b); }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return _mm256_max_pd(a, b); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return _mm256_min_ps(a, b); }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return _mm256_min_pd(a, b); }
#elif defined(__x86_64__) || defined(__i386__)
inline Words multiply_halves(Words a, Words b) { return (Words)_mm_mul_epu32((__m128i)a, (__m128i)b); }
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return a * b + c; }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return a * b + c; }
inline Vec<float> sqrt(Vec<float> a) { return _mm_sqrt_ps(a); }
inline Vec<double> sqrt(Vec<double> a) { return _mm_sqrt_pd(a); }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return _mm_max_ps(a, b); }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return _mm_max_pd(a, b); }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return _mm_min_ps(a, b); }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return _mm_min_pd(a, b); }
#elif defined(__aarch64__)
inline Words multiply_halves(Words a, Words b) { return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF); }
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return (Vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return (Vec<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
inline Vec<float> sqrt(Vec<float> a) { return (Vec<float>)vsqrtq_f32((float32x4_t)a); }
inline Vec<double> sqrt(Vec<double> a) { return (Vec<double>)vsqrtq_f64((float64x2_t)a); }
inline Vec<float> max(Vec<float> a, Vec<float> b) { return a > b ? a : b; }
inline Vec<double> max(Vec<double> a, Vec<double> b) { return a > b ? a : b; }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return a < b ? a : b; }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return a < b ? a : b; }
#endif
// max(a, b) and min(a, b) are b where either is NaN, so max(0, x) keeps a NaN in x.

// Lane-wise choice without a branch; also what keeps a NaN in an unused lane out of the result.
template <class T>
inline Vec<T> select(Mask<T> m, Vec<T> a, Vec<T> b) {
  return m ? a : b;
}

template <class T>
inline Vec<T> abs(Vec<T> a) {
  const auto sign = reinterpret_cast<Mask<T>>(-Vec<T>{});
  return reinterpret_cast<Vec<T>>(reinterpret_cast<Mask<T>>(a) & ~sign);
}

// -size, 0 or size, as x is negative, zero or positive
template <class T>
inline Vec<T> with_sign_of(Vec<T> x, Vec<T> size) {
  return select<T>(x > Vec<T>{}, size, select<T>(x < Vec<T>{}, -size, Vec<T>{}));
}

// MakeIndices<n> is (or derives from) Indices<0, 1, ..., n - 1>, for shuffles.
template <size_t... kIndex>
struct Indices {};
template <size_t n, size_t... kIndex>
struct MakeIndices : MakeIndices<n - 1, n - 1, kIndex...> {};
template <size_t... kIndex>
struct MakeIndices<0, kIndex...> : Indices<kIndex...> {};

template <size_t kValue>
struct Constant {
  constexpr operator size_t() const { return kValue; }
};

template <class F, size_t... kIndex>
inline __attribute__((always_inline)) void unroll(const F& f, Indices<kIndex...>) {
  (f(Constant<kIndex>{}), ...);
}

// f(0), f(1), ..., f(n - 1) with constants: only then does an array that they index live in registers from the start.
template <size_t n, class F>
inline __attribute__((always_inline)) void unroll(const F& f) {
  unroll(f, MakeIndices<n>{});
}

// 0, 1, 2, ...
template <class T>
inline Vec<T> iota() {
  Vec<T> v;
  for (size_t i = 0; i < kLanes<T>; ++i) v[i] = static_cast<T>(i);
  return v;
}

// True in the lanes that lie before column n when the register starts at column j.
template <class T>
inline Mask<T> before(size_t j, size_t n) {
  return iota<T>() < broadcast(static_cast<T>(n > j ? n - j : 0));
}

// Lane i of the result is lane i ^ kDistance of v.
template <class T, size_t kDistance, size_t... kLane>
inline Vec<T> exchange(Vec<T> v, Indices<kLane...>) {
  return __builtin_shufflevector(v, v, (kLane ^ kDistance)...);
}

// Sixteen partial results of a row reduction, lane j taking the columns j, j + 16, ..., then folded 8-4-2-1: the same
// order, and so the same bits, on every level.
template <class T>
struct Lanes16 {
  static constexpr size_t kCount = 16 / kLanes<T>;
  Vec<T> part[kCount];

  explicit Lanes16(T init) {
    for (auto& p : part) p = broadcast(init);
  }
  void add(size_t column, Vec<T> v) {
    Vec<T>& p = part[column / kLanes<T> % kCount];
    p = p + v;
  }
  void add_product(size_t column, Vec<T> a, Vec<T> b) {
    Vec<T>& p = part[column / kLanes<T> % kCount];
    p = fma(a, b, p);
  }
  void raise(size_t column, Vec<T> v) {
    Vec<T>& p = part[column / kLanes<T> % kCount];
    p = max(p, v);
  }
  // The result in every lane. A NaN spoils every lane of a sum, but only some lanes of a maximum.
  Vec<T> sum() const {
    return fold([](Vec<T> a, Vec<T> b) { return a + b; });
  }
  Vec<T> maximum() const {
    return fold([](Vec<T> a, Vec<T> b) { return max(a, b); });
  }

 private:
  template <class Combine>
  Vec<T> fold(const Combine& combine) const {
    Vec<T> whole[kCount];
    for (size_t i = 0; i < kCount; ++i) whole[i] = part[i];
    for (size_t half = kCount / 2; half > 0; half /= 2)
      for (size_t i = 0; i < half; ++i) whole[i] = combine(whole[i], whole[i + half]);
    return fold_lanes<kLanes<T> / 2>(whole[0], combine);
  }
  template <size_t kDistance, class Combine>
  static Vec<T> fold_lanes(Vec<T> v, const Combine& combine) {
    if constexpr (kDistance > 0) {
      v = combine(v, exchange<T, kDistance>(v, MakeIndices<kLanes<T>>{}));
      return fold_lanes<kDistance / 2>(v, combine);
    }
    return v;
  }
};

template <class T>
inline Vec<T> row_maximum(const T* z, size_t n) {
  const Vec<T> lowest = broadcast(-static_cast<T>(__builtin_inf()));
  Lanes16<T> largest(lowest[0]);
  for (size_t j = 0; j < n; j += kLanes<T>) largest.raise(j, select<T>(before<T>(j, n), load(z + j), lowest));
  return largest.maximum();
}

}  // namespace
