// The element-wise kernels of every level: activations and their derivatives, softmax and dropout. The accuracy of the
// functions themselves is test_math's.
#include <algorithm>

#include "check.h"
#include "parallel.h"

using check::Matrix;
using check::name;
using deltaprop::Activation;
using deltaprop::Dropout;
using deltaprop::Kernels;
using deltaprop::PreluGradient;

namespace {

constexpr size_t kWidths[] = {1, 2, 3, 10, 15, 16, 17, 31, 32, 33, 64, 129, 1000};

template <class T>
const T kNan = std::numeric_limits<T>::quiet_NaN();
template <class T>
const T kInf = std::numeric_limits<T>::infinity();

// Numbers of all sizes and signs, with the special ones in front.
template <class T>
std::vector<T> inputs(size_t n) {
  using L = std::numeric_limits<T>;
  check::Random random(n);
  std::vector<T> z = random.vector<T>(n, -20, 20);
  for (size_t i = 0; i < n; i += 3) z[i] *= static_cast<T>(1e-3);
  const T special[] = {0, -T{0}, kInf<T>, -kInf<T>, kNan<T>, L::max(), L::lowest(), L::min(), -L::min(), 1, -1};
  std::copy(std::begin(special), std::end(special), z.begin());
  return z;
}

// A number with its first and second derivative: a formula in Jets states all three.
struct Jet {
  long double value, slope = 0, bend = 0;
  Jet(long double value, long double slope = 0, long double bend = 0) : value(value), slope(slope), bend(bend) {}
};

// g(x), from g and its derivatives at the value of x.
Jet chain(const Jet& x, long double g, long double dg, long double ddg) {
  return {g, dg * x.slope, ddg * x.slope * x.slope + dg * x.bend};
}
Jet inverse(const Jet& x) { return chain(x, 1 / x.value, -1 / (x.value * x.value), 2 / std::pow(x.value, 3.0L)); }
Jet operator+(const Jet& x, const Jet& y) { return {x.value + y.value, x.slope + y.slope, x.bend + y.bend}; }
Jet operator*(const Jet& x, const Jet& y) {
  return {x.value * y.value, x.slope * y.value + x.value * y.slope,
          x.bend * y.value + 2 * x.slope * y.slope + x.value * y.bend};
}
Jet operator-(const Jet& x) { return -1 * x; }
Jet operator/(const Jet& x, const Jet& y) {
  const Jet quotient = x * inverse(y);
  return {x.value / y.value, quotient.slope, quotient.bend};
}
Jet exp(const Jet& x) {
  const long double e = std::exp(x.value);
  return chain(x, e, e, e);
}
Jet expm1(const Jet& x) {
  const long double e = std::exp(x.value);
  return chain(x, std::expm1(x.value), e, e);
}
Jet log1p(const Jet& x) {
  const long double d = 1 / (1 + x.value);
  return chain(x, std::log1p(x.value), d, -d * d);
}
Jet tanh(const Jet& x) {
  const long double t = std::tanh(x.value), d = (1 - t) * (1 + t);
  return chain(x, t, d, -2 * t * d);
}
Jet erf(const Jet& x) {
  const long double d = 2 / std::sqrt(std::acos(-1.0L)) * std::exp(-x.value * x.value);
  return chain(x, std::erf(x.value), d, -2 * x.value * d);
}
Jet within(long double low, const Jet& x, long double high) { return x.value < low ? low : x.value > high ? high : x; }

// The constant of the activations that have one.
constexpr long double kAlpha = 0.75L;

Jet exact(Activation f, const Jet& z) {
  const bool positive = z.value > 0;
  const long double infinity = std::numeric_limits<long double>::infinity();
  switch (f) {
    case Activation::linear: return z;
    case Activation::relu: return within(0, z, infinity);
    case Activation::sigmoid: return positive ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
    case Activation::tanh: return tanh(z);
    case Activation::step: return positive ? 1 : z.value <= 0 ? 0 : z;
    case Activation::sign: return z.value >= 0 ? 1 : z.value < 0 ? -1 : z;
    case Activation::leaky_relu: return positive ? z : kAlpha * z;
    case Activation::relu6: return within(0, z, kAlpha);
    case Activation::hard_tanh: return within(-1, z, 1);
    case Activation::hard_sigmoid: return within(0, z + 3, 6) / 6;
    case Activation::elu: return positive ? z : kAlpha * expm1(z);
    case Activation::selu: return 1.0507009873554804934L * (positive ? z : 1.6732632423543772848L * expm1(z));
    case Activation::celu: return positive ? z : kAlpha * expm1(z / kAlpha);
    case Activation::gelu: return z * (1 + erf(std::sqrt(0.5L) * z)) / 2;
    case Activation::gelu_tanh: {
      const Jet u = std::sqrt(2 / std::acos(-1.0L)) * (z + 0.044715L * (z * z * z));
      return z * (1 + tanh(u)) / 2;
    }
    case Activation::silu: return z / (1 + exp(-z));
    case Activation::mish: return z * tanh(log1p(exp(z)));
    case Activation::softplus: return positive ? z + log1p(exp(-z)) : log1p(exp(z));
    case Activation::softsign: return positive ? z / (1 + z) : z / (1 + -z);
    case Activation::exponential: return exp(z);
    case Activation::count: break;
  }
  return 0;
}

bool reads_input(Activation f) {
  switch (f) {
    case Activation::gelu:
    case Activation::gelu_tanh:
    case Activation::silu:
    case Activation::mish: return true;
    default: return false;
  }
}

bool piecewise_linear(Activation f) {
  return f == Activation::linear || f == Activation::relu || (f >= Activation::step && f <= Activation::hard_sigmoid);
}

std::string name_of(size_t f) { return " activation " + std::to_string(f); }

template <class T>
void test_activation(const Kernels<T>& k) {
  const size_t n = 20 * check::unit<T>();
  const std::vector<T> z = inputs<T>(n);
  for (size_t f = 0; f < size(Activation::count); ++f) {
    const auto function = static_cast<Activation>(f);
    const std::string what = name(k) + name_of(f);
    Matrix<T> in(1, n, n, 1), a(1, n, n, 3);
    in.assign(z.data(), n);
    k.activation[f].value(in.data(), a.data(), n, T(kAlpha));
    check::that(a.untouched_outside(), what + ": written outside");
    {
      check::Close close(what);
      // The tails of gelu are differences of larger numbers.
      const bool cancels = function == Activation::gelu || function == Activation::gelu_tanh;
      const bool ours = function == Activation::sigmoid || function == Activation::tanh;
      const long double ulps = piecewise_linear(function) ? 1 : ours ? 2.5L : 4;
      for (size_t j = 0; j < n; ++j) {
        long double y = exact(function, z[j]).value;
        if (std::abs(y) > std::numeric_limits<T>::max()) y = std::copysign(kInf<T>, y);
        const long double lost = cancels && std::abs(z[j]) < 30 ? std::abs(z[j]) : 0;
        close.add(j, a.data()[j], y,
                  (ulps * std::abs(y) + lost) * check::epsilon<T>() + 2 * std::numeric_limits<T>::min());
      }
    }
    k.activation[f].value(in.data(), in.data(), n, T(kAlpha));
    check::that(check::same_bits(in.data(), a.data(), n), what + " in place");

    std::vector<T> peer(n);
    check::peer(k).activation[f].value(z.data(), peer.data(), n, T(kAlpha));
    for (T* values : {a.data(), peer.data()})  // which of two NaNs a product passes on is the compiler's choice
      for (size_t j = 0; j < n; ++j) values[j] = std::isnan(values[j]) ? kNan<T> : values[j];
    check::that(check::same_bits(a.data(), peer.data(), n), what + ": other bits than on " + check::peer(k).isa);
  }
}

// da times the second derivative, from a kernel that adds it, times a tangent.
template <class T>
void second(const deltaprop::ActivationKernels<T>& f, const T* da, const T* s, T* dz, size_t n, T alpha) {
  const std::vector<T> kept(da, da + n), ones(n, 1);
  std::fill_n(dz, n, T{0});
  f.curvature(kept.data(), ones.data(), s, dz, n, alpha);
}
template <class T>
void first(const deltaprop::ActivationKernels<T>& f, const T* da, const T* s, T* dz, size_t n, T alpha) {
  f.grad(da, s, dz, n, alpha);
}

// The first derivative, or the second.
template <class T, class Derivative>
void test_derivative(const Kernels<T>& k, Derivative derivative, long double Jet::* of, const std::string& which) {
  const size_t n = 20 * check::unit<T>();
  check::Random random(3);
  for (size_t f = 0; f < size(Activation::count); ++f) {
    const std::string what = name(k) + " " + which + " derivative of" + name_of(f);
    const auto function = static_cast<Activation>(f);
    const std::vector<T> z = random.vector<T>(n, -9, 9), da = random.vector<T>(n, -3, 3);
    std::vector<T> read(z);
    if (!reads_input(function)) k.activation[f].value(z.data(), read.data(), n, T(kAlpha));
    Matrix<T> upper(1, n, n, 1), s(1, n, n, 3), dz(1, n, n, 1);
    upper.assign(da.data(), n);
    s.assign(read.data(), n);
    derivative(k.activation[f], upper.data(), s.data(), dz.data(), n, T(kAlpha));
    check::that(dz.untouched_outside(), what + ": written outside");
    {
      check::Close close(what);
      // What is read was rounded before.
      const long double lost = piecewise_linear(function) ? 0 : 4;
      for (size_t j = 0; j < n; ++j) {
        const long double slope = exact(function, {z[j], 1}).*of;
        close.add(j, dz.data()[j], da[j] * slope,
                  std::abs(da[j]) * (8 * std::abs(slope) + lost) * check::epsilon<T>() + std::numeric_limits<T>::min());
      }
    }
    derivative(k.activation[f], upper.data(), s.data(), upper.data(), n, T(kAlpha));
    check::that(check::same_bits(upper.data(), dz.data(), n), what + " in place");

    std::vector<T> peer(n);
    derivative(check::peer(k).activation[f], da.data(), read.data(), peer.data(), n, T(kAlpha));
    check::that(check::same_bits(dz.data(), peer.data(), n), what + ": other bits than on " + check::peer(k).isa);
  }
}

template <class T>
void test_derivatives(const Kernels<T>& k) {
  test_derivative(k, first<T>, &Jet::slope, "first");
  test_derivative(k, second<T>, &Jet::bend, "second");
}

template <class T>
void test_extremes(const Kernels<T>& k) {
  std::vector<T> z, one(check::unit<T>(), 1), a(check::unit<T>()), out(check::unit<T>());
  for (double size : {0.0, 1e-30, 20.0, 80.0, 1e4, 1e20, 1e30, 3e38}) {
    z.push_back(static_cast<T>(size));
    z.push_back(static_cast<T>(-size));
  }
  for (size_t at = 0; at < z.size(); at += check::unit<T>())
    for (size_t f = 0; f < size(Activation::count); ++f) {
      const auto function = static_cast<Activation>(f);
      k.activation[f].value(&z[at], a.data(), a.size(), T(kAlpha));
      const T* read = reads_input(function) ? &z[at] : a.data();
      bool finite = true;
      for (size_t j = 0; j < a.size(); ++j) {
        finite &= std::isfinite(a[j]) || function == Activation::exponential;
        a[j] = std::isfinite(a[j]) ? a[j] : 0;
      }
      for (const auto derivative : {first<T>, second<T>}) {
        derivative(k.activation[f], one.data(), read, out.data(), out.size(), T(kAlpha));
        for (T x : out) finite &= std::isfinite(x) && std::abs(x) < 6;
        if (function == Activation::exponential) finite = true;
      }
      check::that(finite, name(k) + name_of(f) + " at the extremes");
    }
}

template <class T>
void test_prelu(const Kernels<T>& k) {
  for (size_t n : kWidths)
    for (bool shared : {false, true}) {
      const std::string what = name(k) + (shared ? " shared" : "") + " prelu of " + std::to_string(n);
      const size_t padded = check::to_units<T>(n), rows = 5;
      check::Random random(n);
      const auto z = random.vector<T>(rows * n, -3, 3), da = random.vector<T>(rows * n),
                 alpha = random.vector<T>(padded);
      Matrix<T> in(rows, padded, padded + check::unit<T>(), 1), upper(rows, padded, padded, 1),
          out(rows, padded, padded, 3);
      in.assign(z.data(), n, n);
      upper.assign(da.data(), n, n);
      std::vector<T> g(padded, T{0.5});
      bool right = true;
      for (size_t r = 0; r < rows; ++r) {
        k.prelu(in.row(r), alpha.data(), shared, out.row(r), padded);
        for (size_t j = 0; j < n; ++j)
          right &= out.row(r)[j] == (z[r * n + j] > 0 ? 1 : alpha[shared ? 0 : j]) * z[r * n + j];
        k.prelu_grad(upper.row(r), in.row(r), alpha.data(), shared, out.row(r), padded);
        for (size_t j = 0; j < n; ++j)
          right &= out.row(r)[j] == (z[r * n + j] > 0 ? 1 : alpha[shared ? 0 : j]) * da[r * n + j];
      }
      check::that(right && out.untouched_outside(), what);

      PreluGradient<T> p{upper.data(), in.data(), g.data(), upper.stride(), in.stride(), rows, n, shared, true};
      k.prelu_grad_alpha(p);
      std::vector<T> peer(padded, T{0.5});
      p.g = peer.data();
      check::peer(k).prelu_grad_alpha(p);
      const size_t slopes = shared ? 1 : n;
      check::that(check::same_bits(g.data(), peer.data(), slopes), what + ": other bits than on the peer level");
      check::Close close(what + ": gradient of the slopes");
      for (size_t j = 0; j < slopes; ++j) {
        long double sum = 0.5L;
        for (size_t r = 0; r < rows; ++r)
          for (size_t i = shared ? 0 : j; i < (shared ? n : j + 1); ++i)
            sum += z[r * n + i] < 0 ? static_cast<long double>(da[r * n + i]) * z[r * n + i] : 0;
        close.add(j, g[j], sum, 3 * static_cast<long double>(shared ? rows * n : rows) * check::epsilon<T>());
      }
    }
}

template <class T>
void test_relu_keeps_nan(const Kernels<T>& k) {
  const size_t n = check::unit<T>();
  std::vector<T> z(n, kNan<T>), a(n, 0);
  z[1] = -kNan<T>;
  z[2] = -kInf<T>;
  z[3] = -T{0};
  k.activation[size(Activation::relu)].value(z.data(), a.data(), n, 0);
  check::that(std::isnan(a[0]) && std::isnan(a[1]), name(k) + " relu loses a NaN");
  check::that(a[2] == 0 && a[3] == 0, name(k) + " relu of -inf and -0");
}

// One row through the kernel, the padding of z a NaN that must not be noticed: (padded).
template <class T>
std::vector<T> softmax(const Kernels<T>& k, const std::vector<T>& z, bool& clean) {
  const size_t n = z.size(), padded = check::to_units<T>(n);
  Matrix<T> in(1, padded, padded, 1), p(1, padded, padded, 3);
  in.assign(z.data(), n, n);
  k.softmax(in.data(), p.data(), n);
  clean &= p.untouched_outside();
  const std::vector<T> result(p.data(), p.data() + padded);
  k.softmax(in.data(), in.data(), n);
  clean &= check::same_bits(in.data(), result.data(), padded);
  return result;
}

template <class T>
void test_softmax(const Kernels<T>& k) {
  for (size_t n : kWidths)
    for (double range : {0.0, 1.0, 10.0, 80.0, 1e4, 1e30}) {
      const std::string what = name(k) + " softmax of " + std::to_string(n) + ", logits up to " + std::to_string(range);
      check::Random random(n);
      const auto z = random.vector<T>(n, -range, range);
      bool clean = true;
      const auto p = softmax(k, z, clean);
      check::that(clean, what + ": written outside, or other in place");

      long double largest = z[0], total = 0, sum = 0;
      for (T x : z) largest = std::max(largest, static_cast<long double>(x));
      for (T x : z) total += std::exp(x - largest);
      check::Close close(what);
      for (size_t j = 0; j < n; ++j) {
        // The shift rounds by half an ulp of z - max, and that is what the exponential is off by, in ulps of its own.
        const long double exact = std::exp(z[j] - largest) / total,
                          steps = 4 + n / 16.0L + std::min(800.0L, largest - z[j]);
        close.add(j, p[j], exact, exact * steps * check::epsilon<T>() + 2 * std::numeric_limits<T>::min());
        sum += p[j];
      }
      close.add(n, sum, 1, (4 + n / 16.0L) * check::epsilon<T>());
      for (size_t j = n; j < p.size(); ++j) close.add(j, p[j], 0, 1e-300L);

      bool ignored = true;
      check::that(check::same_bits(p, softmax(check::peer(k), z, ignored)),
                  what + ": other bits than on the peer level");
    }
}

template <class T>
void test_softmax_at_the_edges(const Kernels<T>& k) {
  bool clean = true;
  check::that(softmax(k, {static_cast<T>(-3e30)}, clean)[0] == 1, name(k) + " softmax of one column is 1");
  for (T huge : {static_cast<T>(1e30), std::numeric_limits<T>::max()}) {
    const auto p = softmax<T>(k, {huge, -huge, huge, 0}, clean);
    check::that(p[0] == T{0.5} && p[1] == 0 && p[2] == T{0.5} && p[3] == 0, name(k) + " softmax of huge logits");
  }
  const auto q = softmax<T>(k, {-kInf<T>, 1, -kInf<T>}, clean);
  check::that(q[0] == 0 && q[1] == 1 && q[2] == 0, name(k) + " softmax of a class that is ruled out by -inf");
  const auto equal = softmax(k, std::vector<T>(1000, static_cast<T>(-1e30)), clean);
  bool same = true;
  for (size_t j = 0; j < 1000; ++j) same &= std::abs(equal[j] - T(1e-3)) <= 2 * check::epsilon<T>() * T(1e-3);
  check::that(same && clean, name(k) + " softmax of equal logits");

  // A NaN stays in its row, wherever it stands, and the padding zero.
  bool nan = true, zero = true;
  for (size_t n : kWidths)
    for (size_t at : {size_t{0}, n / 2, n - 1}) {
      std::vector<T> z(n, 1);
      z[at] = kNan<T>;
      const auto p = softmax(k, z, clean);
      for (size_t j = 0; j < n; ++j) nan &= std::isnan(p[j]);
      for (size_t j = n; j < p.size(); ++j) zero &= p[j] == 0;
    }
  check::that(nan, name(k) + " softmax of a row with a NaN is NaN");
  check::that(zero, name(k) + " softmax: the padding of a row with a NaN is zero");
}

template <class T>
void test_softmax_grad(const Kernels<T>& k) {
  for (size_t n : kWidths) {
    const std::string what = name(k) + " softmax_grad of " + std::to_string(n);
    const size_t padded = check::to_units<T>(n);
    check::Random random(n);
    bool clean = true;
    const auto p = softmax(k, random.vector<T>(n, -5, 5), clean);
    const auto dp = random.vector<T>(n, -3, 3);
    Matrix<T> upper(1, padded, padded, 1), output(1, padded, padded, 3), dz(1, padded, padded, 1);
    upper.assign(dp.data(), n, n);
    output.assign(p.data(), n, n);
    k.softmax_grad(upper.data(), output.data(), dz.data(), n);
    check::that(dz.untouched_outside(), what + ": written outside");
    check::that(dz.zero(n, padded), what + ": the padding is not zero");
    long double dot = 0, size = 0;
    for (size_t j = 0; j < n; ++j) {
      dot += static_cast<long double>(dp[j]) * p[j];
      size += std::abs(static_cast<long double>(dp[j]) * p[j]);
    }
    {
      check::Close close(what);
      for (size_t j = 0; j < n; ++j)
        close.add(j, dz.data()[j], p[j] * (dp[j] - dot),
                  p[j] * (2 * std::abs(dp[j]) + (6 + n / 16.0L) * size) * check::epsilon<T>() +
                      2 * std::numeric_limits<T>::min());
    }
    std::vector<T> peer(padded), zero_padded(padded, 0);
    std::copy(dp.begin(), dp.end(), zero_padded.begin());
    check::peer(k).softmax_grad(zero_padded.data(), p.data(), peer.data(), n);
    check::that(check::same_bits(dz.data(), peer.data(), n), what + ": other bits than on the peer level");
    k.softmax_grad(upper.data(), output.data(), upper.data(), n);
    check::that(check::same_bits(upper.data(), dz.data(), padded), what + " in place");
  }
}

template <class T>
void test_log_softmax(const Kernels<T>& k) {
  for (size_t n : kWidths)
    for (double range : {1.0, 80.0, 1e30}) {
      const std::string what =
          name(k) + " log_softmax of " + std::to_string(n) + ", logits up to " + std::to_string(range);
      const size_t padded = check::to_units<T>(n);
      check::Random random(n);
      const auto z = random.vector<T>(n, -range, range), da = random.vector<T>(n, -3, 3);
      Matrix<T> in(1, padded, padded, 1), a(1, padded, padded, 3), upper(1, padded, padded, 1),
          dz(1, padded, padded, 3);
      in.assign(z.data(), n, n);
      upper.assign(da.data(), n, n);
      k.log_softmax(in.data(), a.data(), n);
      k.log_softmax_grad(upper.data(), a.data(), dz.data(), n);
      check::that(a.untouched_outside() && dz.untouched_outside(), what + ": written outside");
      check::that(a.zero(n, padded) && dz.zero(n, padded), what + ": the padding is not zero");

      long double largest = z[0], total = 0, sum = 0, size = 0;
      for (T x : z) largest = std::max(largest, static_cast<long double>(x));
      for (T x : z) total += std::exp(x - largest);
      for (T x : da) sum += x, size += std::abs(x);
      {
        check::Close close(what);
        for (size_t j = 0; j < n; ++j) {
          const long double y = z[j] - largest - std::log(total), steps = 4 + n / 16.0L;
          close.add(j, a.data()[j], y, (2 * std::abs(y) + std::log(total) + steps) * check::epsilon<T>());
          const long double p = std::exp(static_cast<long double>(a.data()[j]));
          close.add(
              n + j, dz.data()[j], da[j] - p * sum,
              (2 * std::abs(da[j]) + (steps + 2) * p * size) * check::epsilon<T>() + std::numeric_limits<T>::min());
        }
      }
      std::vector<T> peer(padded);
      check::peer(k).log_softmax(in.data(), peer.data(), n);
      check::that(check::same_bits(a.data(), peer.data(), n), what + ": other bits than on the peer level");
      check::peer(k).log_softmax_grad(upper.data(), a.data(), peer.data(), n);
      check::that(check::same_bits(dz.data(), peer.data(), n),
                  what + ": the gradient has other bits than on the peer level");
    }
}

// ---- dropout

struct Draw {
  size_t rows = 1, n = 64, first_row = 0;
  double rate = 0.25;
  std::uint64_t step = 0;
  std::uint32_t seed = 1, op = 0;
};

// All ones through the kernel: the masks and what came of the ones, (rows, n) each.
template <class T>
struct Dropped {
  std::vector<std::uint8_t> mask;
  std::vector<T> y;
  bool clean = true;

  Dropped(const Kernels<T>& k, const Draw& draw) {
    const size_t unit = check::unit<T>(), mask_stride = draw.n + 3;
    Matrix<T> x(draw.rows, draw.n, draw.n + unit, 1), out(draw.rows, draw.n, draw.n + 2 * unit, 1);
    x.fill(1);
    mask.assign(draw.rows * mask_stride, 77);
    Dropout<T> d{};
    d.x = x.data();
    d.y = out.data();
    d.mask = mask.data();
    d.x_stride = x.stride();
    d.y_stride = out.stride();
    d.mask_stride = mask_stride;
    d.rows = draw.rows;
    d.n = draw.n;
    d.first_row = draw.first_row;
    d.rate = draw.rate;
    d.scale = static_cast<T>(1 / (1 - draw.rate));
    d.step = draw.step;
    d.seed = draw.seed;
    d.op = draw.op;
    k.dropout(d);
    clean = out.untouched_outside();
    for (size_t r = draw.rows; r-- > 0;) {
      for (size_t j = draw.n; j < mask_stride; ++j) clean &= mask[r * mask_stride + j] == 77;
      mask.erase(mask.begin() + static_cast<std::ptrdiff_t>(r * mask_stride + draw.n),
                 mask.begin() + static_cast<std::ptrdiff_t>((r + 1) * mask_stride));
    }
    for (size_t r = 0; r < draw.rows; ++r) y.insert(y.end(), out.row(r), out.row(r) + draw.n);
  }
};

template <class T>
void test_dropout(const Kernels<T>& k) {
  for (double rate : {0.0, 0.1, 0.25, 0.5, 0.9, 0.999}) {
    Draw draw;
    draw.rows = 100;
    draw.n = 1024;
    draw.rate = rate;
    const Dropped<T> d(k, draw);
    const std::string what = name(k) + " dropout, rate " + std::to_string(rate);
    check::that(d.clean, what + ": written outside");
    double kept = 0;
    bool consistent = true;
    const T scale = static_cast<T>(1 / (1 - rate));
    for (size_t i = 0; i < d.y.size(); ++i) {
      kept += d.mask[i];
      consistent &= d.mask[i] <= 1 && d.y[i] == (d.mask[i] ? scale : T{0});
    }
    check::that(consistent, what + ": kept units are scaled, dropped ones zero");
    const double n = static_cast<double>(d.y.size()), deviation = std::sqrt(n * rate * (1 - rate));
    check::that(std::abs(kept - n * (1 - rate)) <= 5 * deviation, what + ": keeps " + std::to_string(kept / n));
  }
}

template <class T>
void test_dropout_draws(const Kernels<T>& k) {
  const auto mask = [&](auto change, size_t rows = 8) {
    Draw draw;
    draw.rows = rows;
    draw.rate = 0.5;
    change(draw);
    return Dropped<T>(k, draw).mask;
  };
  const auto base = mask([](Draw&) {});
  check::that(base == mask([](Draw&) {}), name(k) + " dropout: the same arguments give the same mask");
  const auto differs = [&](const std::vector<std::uint8_t>& other, const char* what) {
    size_t changed = 0;
    for (size_t i = 0; i < base.size(); ++i) changed += base[i] != other[i];
    check::that(changed > base.size() / 3, name(k) + " dropout: the mask depends on the " + what);
  };
  differs(mask([](Draw& d) { d.step = 1; }), "step");
  differs(mask([](Draw& d) { d.step = std::uint64_t{1} << 32; }), "step's upper half");
  differs(mask([](Draw& d) { d.seed = 2; }), "seed");
  differs(mask([](Draw& d) { d.op = 1; }), "operation");
  differs(mask([](Draw& d) { d.first_row = 8; }), "row");

  // A row's mask is its own: neither its block nor the level or float type matter.
  const auto shifted = mask([](Draw& d) { d.first_row = 3; }, 5);
  check::that(std::equal(shifted.begin(), shifted.end(), base.begin() + 3 * 64),
              name(k) + " dropout: a row's mask depends on its place in the batch only");
  Draw draw;
  draw.rows = 8;
  draw.rate = 0.5;
  check::that(base == Dropped<float>(*deltaprop::kernels<float>("baseline"), draw).mask,
              name(k) + " dropout: not the baseline's mask");
}

template <class T>
void test_dropout_stops_nan(const Kernels<T>& k) {
  const size_t n = 4 * check::unit<T>();
  std::vector<T> x(n, kNan<T>), y(n);
  std::vector<std::uint8_t> mask(n);
  Dropout<T> d{};
  d.x = x.data();
  d.y = y.data();
  d.mask = mask.data();
  d.x_stride = d.y_stride = d.mask_stride = d.n = n;
  d.rows = 1;
  d.rate = 0.5;
  d.scale = 2;
  k.dropout(d);
  bool right = true;
  for (size_t j = 0; j < n; ++j) right &= mask[j] ? std::isnan(y[j]) : y[j] == 0;
  check::that(right, name(k) + " dropout: dropped is zero whatever came in, kept keeps a NaN");
}

template <class T>
void test_dropout_grad(const Kernels<T>& k) {
  const size_t n = 5 * check::unit<T>();
  check::Random random(5);
  const auto upper = random.vector<T>(n);
  std::vector<std::uint8_t> mask(n);
  for (auto& m : mask) m = random.bits() & 1;
  Matrix<T> dy(1, n, n, 1), dx(1, n, n, 3);
  dy.assign(upper.data(), n);
  const T scale = static_cast<T>(1.25);
  k.dropout_grad(dy.data(), mask.data(), scale, dx.data(), n);
  bool right = dx.untouched_outside();
  for (size_t j = 0; j < n; ++j) right &= dx.data()[j] == (mask[j] ? upper[j] * scale : T{0});
  check::that(right, name(k) + " dropout_grad");
  k.dropout_grad(dy.data(), mask.data(), scale, dy.data(), n);
  check::that(check::same_bits(dy.data(), dx.data(), n), name(k) + " dropout_grad in place");
}

}  // namespace

int main() {
  const deltaprop::FlushDenormals mode;  // as the executor runs them
  check::each_table([](const auto& k) {
    test_activation(k);
    test_derivatives(k);
    test_extremes(k);
    test_prelu(k);
    test_relu_keeps_nan(k);
    test_softmax(k);
    test_softmax_at_the_edges(k);
    test_softmax_grad(k);
    test_log_softmax(k);
    test_dropout(k);
    test_dropout_draws(k);
    test_dropout_stops_nan(k);
    test_dropout_grad(k);
  });
  return check::summary();
}
