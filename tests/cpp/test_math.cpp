// Accuracy, special values and bits of math.inl, for the ISA level that this file is compiled for.
//   test_math               every 257th float32 and a fixed sample of float64
//   test_math --exhaustive  every float32
//   test_math --hash        one line per function with a hash of its outputs: equal on all levels with FMA
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/math.inl"

namespace {

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kHasFma = true;
#else
constexpr bool kHasFma = false;
#endif

int passed = 0, failed = 0;

void check(bool good, const std::string& message) {
  ++(good ? passed : failed);
  if (!good) std::printf("FAILED: %s\n", message.c_str());
}

template <class T>
struct Other;
template <>
struct Other<float> {
  using Wide = double;
  using Integer = std::uint32_t;
  static constexpr const char* kSuffix = "_f32";
};
template <>
struct Other<double> {
  using Wide = long double;
  using Integer = std::uint64_t;
  static constexpr const char* kSuffix = "_f64";
};
template <class T>
using Wide = typename Other<T>::Wide;
template <class T>
using Integer = typename Other<T>::Integer;

template <class T>
Integer<T> to_bits(T x) {
  Integer<T> b;
  std::memcpy(&b, &x, sizeof b);
  return b;
}

template <class T>
T from_bits(Integer<T> b) {
  T x;
  std::memcpy(&x, &b, sizeof x);
  return x;
}

template <class T>
std::string text(T x) {
  char s[64];
  std::snprintf(s, sizeof s, "%.9g (%a)", static_cast<double>(x), static_cast<double>(x));
  return s;
}

// Bounds in ulps: what was measured over every float32 and the float64 sample, rounded up by a few per cent, so that
// they catch a change and not just a blunder. Without FMA each step of a polynomial rounds twice. Where the errors
// come from:
//   exp      0.5 from the last step, the rest from r and the step before
//   log      k = -1: 0.5 from f - t, half as large as the result, and 0.5 from the sum
//   tanh     just beyond the switch to the exponential, whose error and the quotient's count by half
//   sigmoid  x < 0: exponential 0.9, e - e q 0.5, and what is left of the rounding of q
//   expm1    n = 1, r < 0: 2 p + 1 is near 0.4 and has twice the rounding error of p
//   log1p    as log, and one rounding more, of f
//   erf      small x: half an ulp of a factor just above 1 can be 0.9 of the product, which rounds again
struct Bounds {
  double f32, f32_no_fma, f64, f64_no_fma;
  template <class T>
  double of() const {
    if (sizeof(T) == 4) return kHasFma ? f32 : f32_no_fma;
    return kHasFma ? f64 : f64_no_fma;
  }
};

constexpr Bounds kExpBounds = {0.95, 1.25, 0.95, 1.25};
constexpr Bounds kLogBounds = {1.00, 1.00, 1.00, 1.00};
constexpr Bounds kTanhBounds = {1.40, 1.40, 1.40, 1.40};
constexpr Bounds kSigmoidBounds = {1.70, 2.00, 1.70, 1.95};
constexpr Bounds kExpm1Bounds = {1.60, 1.70, 1.90, 2.00};
constexpr Bounds kLog1pBounds = {1.60, 1.60, 1.60, 1.60};
constexpr Bounds kErfBounds = {1.80, 1.80, 1.65, 1.65};

template <class T>
struct Function {
  const char* name;
  void (*run)(const T* x, T* y, size_t n);  // n a multiple of the unit
  Wide<T> (*exact)(Wide<T> x);
  Bounds bounds;
  Wide<T> low, high;  // no result may lie outside, not even by an ulp
  bool odd;
  std::vector<std::pair<T, T>> special;
};

template <class T, Vec<T> (*f)(Vec<T>)>
void run(const T* x, T* y, size_t n) {
  for (size_t j = 0; j < n; j += kLanes<T>) store(y + j, f(load(x + j)));
}

template <class W>
W exact_sigmoid(W x) {
  const W e = std::exp(-std::abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

template <class T>
std::vector<Function<T>> functions() {
  using W = Wide<T>;
  using L = std::numeric_limits<T>;
  const T inf = L::infinity(), nan = L::quiet_NaN(), big = L::max(), tiny = L::min();
  // The NaN with other bits set: an exponent added to them must not make a number of it.
  const T other_nan = from_bits<T>(to_bits(nan) | 3), negative_nan = -other_nan;
  const T exp_max = std::log(big), exp_min = std::log(tiny);
  const W all = std::numeric_limits<W>::infinity();
  std::vector<Function<T>> list = {
      {"exp",
       run<T, exp<T>>,
       [](W x) { return std::exp(x); },
       kExpBounds,
       0,
       all,
       false,
       {{0, 1},
        {T(-0.0), 1},
        {inf, inf},
        {-inf, 0},
        {big, inf},
        {-big, 0},
        {tiny, 1},
        {exp_max * T(1.001), inf},
        {exp_min * T(1.001), 0}}},
      {"log",
       run<T, log<T>>,
       [](W x) { return std::log(x); },
       kLogBounds,
       -all,
       all,
       false,
       {{1, 0},
        {0, -inf},
        {T(-0.0), -inf},
        {tiny / 2, -inf},
        {inf, inf},
        {-inf, nan},
        {-1, nan},
        {-tiny, nan},
        {-big, nan}}},
      {"tanh",
       run<T, tanh<T>>,
       [](W x) { return std::tanh(x); },
       kTanhBounds,
       -1,
       1,
       true,
       {{0, 0}, {T(-0.0), T(-0.0)}, {inf, 1}, {-inf, -1}, {big, 1}, {-big, -1}, {tiny, tiny}, {-tiny, -tiny}}},
      {"sigmoid",
       run<T, sigmoid<T>>,
       exact_sigmoid<W>,
       kSigmoidBounds,
       0,
       1,
       false,
       {{0, T(0.5)},
        {T(-0.0), T(0.5)},
        {tiny, T(0.5)},
        {inf, 1},
        {-inf, 0},
        {big, 1},
        {-big, 0},
        {exp_min * T(1.01), 0}}},
      {"expm1",
       run<T, expm1<T>>,
       [](W x) { return std::expm1(x); },
       kExpm1Bounds,
       -1,
       all,
       false,
       {{0, 0}, {T(-0.0), T(-0.0)}, {inf, inf}, {-inf, -1}, {big, inf}, {-big, -1}, {tiny, tiny}, {-tiny, -tiny}}},
      {"log1p",
       run<T, log1p<T>>,
       [](W x) { return std::log1p(x); },
       kLog1pBounds,
       -all,
       all,
       false,
       {{0, 0},
        {T(-0.0), T(-0.0)},
        {-1, -inf},
        {inf, inf},
        {-inf, nan},
        {T(-1.5), nan},
        {-big, nan},
        {tiny, tiny},
        {-tiny, -tiny}}},
      {"erf",
       run<T, erf<T>>,
       [](W x) { return std::erf(x); },
       kErfBounds,
       -1,
       1,
       true,
       {{0, 0}, {T(-0.0), T(-0.0)}, {inf, 1}, {-inf, -1}, {big, 1}, {-big, -1}}},
  };
  for (auto& f : list)
    for (const T x : {nan, -nan, other_nan, negative_nan}) f.special.push_back({x, nan});
  return list;
}

std::uint64_t next_random(std::uint64_t& state) {  // splitmix64
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

constexpr size_t kBatch = 4096;

// Calls f(x, n) with the inputs in batches of n = kBatch; the last is filled up with ones.
template <class F>
void for_each_batch(float, bool exhaustive, F f) {
  const std::uint64_t step = exhaustive ? 1 : 257;
  std::vector<float> x(kBatch);
  for (std::uint64_t b = 0; b >> 32 == 0;) {
    for (auto& value : x) {
      value = b >> 32 == 0 ? from_bits<float>(static_cast<std::uint32_t>(b)) : 1;
      b += step;
    }
    f(x.data());
  }
}

template <class F>
void for_each_batch(double, bool exhaustive, F f) {
  const int batches = exhaustive ? 2000 : 100;
  std::vector<double> x(kBatch);
  std::uint64_t state = 2024;
  // All bit patterns, then uniform in ranges where the functions bend, around zero and around one.
  for (const double range : {0.0, 0.01, 1.0, 10.0, 40.0, 720.0, -0.5}) {
    for (int i = 0; i < batches; ++i) {
      for (auto& value : x) {
        const std::uint64_t r = next_random(state);
        const double u = static_cast<double>(static_cast<std::int64_t>(r)) * 0x1p-63;
        value = range == 0 ? from_bits<double>(r) : range < 0 ? 1 + range * u : range * u;
      }
      f(x.data());
    }
  }
}

template <class T>
bool same(T a, T b) {
  return std::isnan(a) ? std::isnan(b) : to_bits(a) == to_bits(b);
}

// The error of y in ulps of the exact result. Where that is below the smallest normal number or an ulp or two above,
// the result may be zero.
template <class T>
double ulps(T y, Wide<T> exact) {
  using L = std::numeric_limits<T>;
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (exact != exact || y != y) return exact != exact && y != y ? 0 : kNever;
  const Wide<T> size = std::abs(exact);
  constexpr Wide<T> kFlush = L::min() * (1 + Wide<T>(4) * L::epsilon());
  if (size < kFlush) return std::abs(y) <= kFlush ? 0 : kNever;
  if (std::isinf(y)) {
    const bool overflows = size >= L::max() + Wide<T>(0.5) * L::epsilon() / 2 * std::ldexp(Wide<T>(1), L::max_exponent);
    return overflows && (y > 0) == (exact > 0) ? 0 : kNever;
  }
  if (size > L::max() * (1 + Wide<T>(L::epsilon()))) return kNever;
  const T rounded_down = from_bits<T>(to_bits(static_cast<T>(size)) & ~((Integer<T>(1) << (L::digits - 1)) - 1));
  return static_cast<double>(std::abs(y - exact) / (Wide<T>(rounded_down) * L::epsilon()));
}

// What DAZ makes of an input; x87 arithmetic, the reference for float64, does not know it.
template <class T>
T flush(T x) {
  return std::abs(x) < std::numeric_limits<T>::min() ? std::copysign(T(0), x) : x;
}

template <class T>
void test(const Function<T>& f, bool exhaustive) {
  const std::string name = std::string(f.name) + Other<T>::kSuffix;

  std::vector<T> x(kBatch, 1), y(kBatch), minus(kBatch), of_minus(kBatch);
  for (size_t i = 0; i < f.special.size(); ++i) x[i] = f.special[i].first;
  f.run(x.data(), y.data(), kBatch);
  for (size_t i = 0; i < f.special.size(); ++i)
    check(same(y[i], f.special[i].second),
          name + "(" + text(x[i]) + ") is " + text(y[i]) + ", not " + text(f.special[i].second));

  double worst = 0;
  T where = 0;
  size_t outside = 0, uneven = 0;
  for_each_batch(T(), exhaustive, [&](const T* in) {
    f.run(in, y.data(), kBatch);
    for (size_t i = 0; i < kBatch; ++i) {
      const double error = ulps<T>(y[i], f.exact(flush(in[i])));
      if (error > worst) {
        worst = error;
        where = in[i];
      }
      outside += y[i] < f.low || y[i] > f.high;
    }
    if (!f.odd) return;
    for (size_t i = 0; i < kBatch; ++i) minus[i] = -in[i];
    f.run(minus.data(), of_minus.data(), kBatch);
    for (size_t i = 0; i < kBatch; ++i) uneven += !same(of_minus[i], -y[i]);
  });
  // Where long double is no wider than double (macOS, Windows) the reference adds an error of its own.
  const bool narrow = std::numeric_limits<Wide<T>>::digits <= std::numeric_limits<T>::digits;
  const double bound = f.bounds.template of<T>() + narrow;
  std::printf("%-12s max %.3f ulp at %s, bound %.2f\n", name.c_str(), worst, text(where).c_str(), bound);
  check(worst <= bound, name + " is not within its bound");
  check(outside == 0, name + " leaves its range");
  if (f.odd) check(uneven == 0, name + " is not odd");
}

// NaNs count as one: which payload survives is the compiler's choice of operand order.
template <class T>
void print_hash(const Function<T>& f) {
  std::uint64_t hash = 0xcbf29ce484222325;
  std::vector<T> y(kBatch);
  for_each_batch(T(), false, [&](const T* in) {
    f.run(in, y.data(), kBatch);
    for (const T v : y) {
      hash = (hash ^ to_bits(std::isnan(v) ? std::numeric_limits<T>::quiet_NaN() : v)) * 0x100000001b3;
      hash ^= hash >> 32;
    }
  });
  std::printf("%s%s %016llx\n", f.name, Other<T>::kSuffix, static_cast<unsigned long long>(hash));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string option = argc > 1 ? argv[1] : "";
  // A second argument picks one function: an exhaustive run takes minutes for each.
  const std::string only = argc > 2 ? argv[2] : "";
  if (!option.empty() && option != "--exhaustive" && option != "--hash") {
    std::printf("usage: %s [--exhaustive | --hash] [function]\n", argv[0]);
    return 2;
  }
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ and DAZ, as the library sets them
#endif
  const auto each = [&](const auto& list) {
    for (const auto& f : list) {
      if (!only.empty() && only != f.name) continue;
      if (option == "--hash")
        print_hash(f);
      else
        test(f, option == "--exhaustive");
    }
  };
  each(functions<float>());
  each(functions<double>());
  if (option == "--hash") return 0;
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
