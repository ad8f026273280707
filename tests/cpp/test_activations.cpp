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

long double exact(Activation f, long double z) {
  switch (f) {
    case Activation::relu: return z < 0 ? 0 : z;
    case Activation::sigmoid: return z < 0 ? std::exp(z) / (1 + std::exp(z)) : 1 / (1 + std::exp(-z));
    case Activation::tanh: return std::tanh(z);
    default: return z;
  }
}

// From the output a.
long double exact_slope(Activation f, long double a) {
  switch (f) {
    case Activation::relu: return a > 0;
    case Activation::sigmoid: return a * (1 - a);
    case Activation::tanh: return (1 - a) * (1 + a);
    default: return 1;
  }
}

template <class T>
void test_activation(const Kernels<T>& k) {
  const size_t n = 20 * check::unit<T>();
  const std::vector<T> z = inputs<T>(n);
  for (size_t f = 0; f < size(Activation::count); ++f) {
    const std::string what = name(k) + " activation " + std::to_string(f);
    Matrix<T> in(1, n, n, 1), a(1, n, n, 3);
    in.assign(z.data(), n);
    k.activation[f](in.data(), a.data(), n);
    check::that(a.untouched_outside(), what + ": written outside");
    {
      check::Close close(what);
      const long double ulps = f == size(Activation::linear) || f == size(Activation::relu) ? 0.01L : 2.5L;
      for (size_t j = 0; j < n; ++j) {
        const long double y = exact(static_cast<Activation>(f), z[j]);
        close.add(j, a.data()[j], y, ulps * std::abs(y) * check::epsilon<T>() + 2 * std::numeric_limits<T>::min());
      }
    }
    k.activation[f](in.data(), in.data(), n);
    check::that(check::same_bits(in.data(), a.data(), n), what + " in place");

    std::vector<T> peer(n);
    check::peer(k).activation[f](z.data(), peer.data(), n);
    check::that(check::same_bits(a.data(), peer.data(), n), what + ": other bits than on " + check::peer(k).isa);
  }
}

template <class T>
void test_activation_grad(const Kernels<T>& k) {
  const size_t n = 20 * check::unit<T>();
  check::Random random(3);
  for (size_t f = 0; f < size(Activation::count); ++f) {
    const std::string what = name(k) + " gradient of activation " + std::to_string(f);
    const auto function = static_cast<Activation>(f);
    std::vector<T> a(n), da = random.vector<T>(n, -3, 3);
    for (size_t j = 0; j < n; ++j) a[j] = static_cast<T>(exact(function, random.uniform(-9, 9)));
    a[0] = 0;
    a[1] = 1;
    a[2] = function == Activation::sigmoid ? T{1} : -T{0};
    Matrix<T> upper(1, n, n, 1), s(1, n, n, 3), dz(1, n, n, 1);
    upper.assign(da.data(), n);
    s.assign(a.data(), n);
    k.activation_grad[f](upper.data(), s.data(), dz.data(), n);
    check::that(dz.untouched_outside(), what + ": written outside");
    {
      check::Close close(what);
      for (size_t j = 0; j < n; ++j) {
        // 1 - a a cancels: without FMA the rounding of a a stays.
        const long double slope = exact_slope(function, a[j]);
        const long double lost = function == Activation::tanh && !check::has_fma(k) ? check::epsilon<T>() : 0;
        close.add(j, dz.data()[j], da[j] * slope,
                  std::abs(da[j]) * (2 * std::abs(slope) * check::epsilon<T>() + lost) + std::numeric_limits<T>::min());
      }
    }
    k.activation_grad[f](upper.data(), s.data(), upper.data(), n);
    check::that(check::same_bits(upper.data(), dz.data(), n), what + " in place");

    std::vector<T> peer(n);
    check::peer(k).activation_grad[f](da.data(), a.data(), peer.data(), n);
    check::that(check::same_bits(dz.data(), peer.data(), n), what + ": other bits than on " + check::peer(k).isa);
  }
}

template <class T>
void test_relu_keeps_nan(const Kernels<T>& k) {
  const size_t n = check::unit<T>();
  std::vector<T> z(n, kNan<T>), a(n, 0);
  z[1] = -kNan<T>;
  z[2] = -kInf<T>;
  z[3] = -T{0};
  k.activation[size(Activation::relu)](z.data(), a.data(), n);
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
    test_activation_grad(k);
    test_relu_keeps_nan(k);
    test_softmax(k);
    test_softmax_at_the_edges(k);
    test_softmax_grad(k);
    test_dropout(k);
    test_dropout_draws(k);
    test_dropout_stops_nan(k);
    test_dropout_grad(k);
  });
  return check::summary();
}
