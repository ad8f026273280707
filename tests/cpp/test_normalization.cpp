// The kernels of normalisation on every level, against sums in long double: in ragged sizes, with NaN in all padding
// that they read, and padding of zeros where they write it.
#include "check.h"
#include "parallel.h"

using check::Close;
using check::Matrix;
using check::name;
using deltaprop::Kernels;

namespace {

constexpr size_t kSizes[] = {1, 3, 10, 17, 64, 100, 129};
constexpr double kEpsilon = 1e-3;

template <class T>
struct Rows {
  size_t rows, n, width;
  std::vector<T> values;
  Matrix<T> padded;  // with the NaN that surrounds it as padding

  Rows(size_t rows, size_t n, std::uint64_t seed, double low, double high)
      : rows(rows),
        n(n),
        width(check::to_units<T>(n)),
        values(check::Random(seed).vector<T>(rows * n, low, high)),
        padded(rows, width, width + check::unit<T>()) {
    padded.assign(values.data(), n, n);
  }
  long double at(size_t r, size_t j) const { return values[r * n + j]; }
};

// mean of f(i) over i < n
template <class F>
long double mean(size_t n, const F& f) {
  long double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += f(i);
  return sum / static_cast<long double>(n);
}

// y = (x - mean) / sqrt(variance + epsilon), and dx for dy, with n numbers at x(i); expected(i, y, dx).
template <class X, class Dy, class F>
long double normalised(size_t n, bool centred, const X& x, const Dy& dy, const F& expected) {
  const long double m = centred ? mean(n, x) : 0;
  const long double variance = mean(n, [&](size_t i) { return (x(i) - m) * (x(i) - m); });
  const long double inverse = 1 / std::sqrt(variance + static_cast<long double>(kEpsilon));
  const auto y = [&](size_t i) { return (x(i) - m) * inverse; };
  const long double along = centred ? mean(n, dy) : 0, slope = mean(n, [&](size_t i) { return dy(i) * y(i); });
  for (size_t i = 0; i < n; ++i) expected(i, y(i), inverse * (dy(i) - along - y(i) * slope));
  return inverse;
}

template <class T>
void test_batch_norm(const Kernels<T>& k, size_t rows, size_t n) {
  const std::string what = name(k) + " batch_norm of " + std::to_string(rows) + " x " + std::to_string(n);
  Rows<T> x(rows, n, 1, 1, 3), dy(rows, n, 2, -1, 1);
  Matrix<T> y(rows, x.width, x.width), dx(rows, x.width, x.width), unit(3, x.width, x.width);
  unit.fill(0);
  for (size_t j = 0; j < n; ++j) unit.row(2)[j] = 1;
  k.batch_norm({x.padded.data(), y.data(), unit.row(0), unit.row(1), unit.row(2), x.padded.stride(), y.stride(), rows,
                x.width, n, 0.75, kEpsilon});
  k.batch_norm_grad({dy.padded.data(), y.data(), unit.row(0), dx.data(), dy.padded.stride(), y.stride(), dx.stride(),
                     rows, x.width, n});
  check::that(y.untouched_outside() && dx.untouched_outside() && unit.untouched_outside(), what + ": writes elsewhere");
  check::that(y.zero(n, x.width) && dx.zero(n, x.width) && unit.zero(n, x.width), what + ": padding is not zero");
  Close close(what);
  const long double unit_error = 64 * check::epsilon<T>();
  for (size_t j = 0; j < n; ++j) {
    const auto column = [&](size_t r) { return x.at(r, j); };
    const long double inverse = normalised(
        rows, true, column, [&](size_t r) { return dy.at(r, j); },
        [&](size_t r, long double value, long double slope) {
          close.add(j, y.row(r)[j], value, unit_error * (1 + std::abs(value)) * (rows < 4 ? 30 : 1));
          close.add(j, dx.row(r)[j], slope, unit_error * (1 + std::abs(slope)) * (rows < 4 ? 1000 : 4));
        });
    close.add(j, unit.row(0)[j], inverse, unit_error * inverse * (rows < 4 ? 30 : 1));
    const long double m = mean(rows, column);
    close.add(j, unit.row(1)[j], m / 4, unit_error * std::abs(m));
    close.add(j, unit.row(2)[j], 0.75L + (1 / (inverse * inverse) - static_cast<long double>(kEpsilon)) / 4,
              unit_error);
  }
}

template <class T>
void test_layer_norm(const Kernels<T>& k, size_t n, bool centred) {
  const std::string what = name(k) + " layer_norm of " + std::to_string(n);
  Rows<T> x(1, n, 3, 1, 3), dy(1, n, 4, -1, 1);
  Matrix<T> y(1, x.width, x.width), dx(1, x.width, x.width);
  T inverse = 0;
  k.layer_norm(x.padded.data(), y.data(), &inverse, n, centred, static_cast<T>(kEpsilon));
  k.layer_norm_grad(dy.padded.data(), y.data(), inverse, dx.data(), n, centred);
  check::that(y.untouched_outside() && dx.untouched_outside(), what + ": writes elsewhere");
  check::that(y.zero(n, x.width) && dx.zero(n, x.width), what + ": padding is not zero");
  Close close(what);
  const long double allowed = (n < 4 ? 2000 : 256) * check::epsilon<T>();
  const long double expected = normalised(
      n, centred, [&](size_t j) { return x.at(0, j); }, [&](size_t j) { return dy.at(0, j); },
      [&](size_t j, long double value, long double slope) {
        close.add(j, y.row(0)[j], value, allowed * (1 + std::abs(value)));
        close.add(j, dx.row(0)[j], slope, allowed * (1 + std::abs(slope)) * (n < 4 ? 30 : 1));
      });
  close.add(n, inverse, expected, allowed * expected);
  k.layer_norm(x.padded.data(), y.data(), nullptr, n, centred, static_cast<T>(kEpsilon));
}

template <class T>
void test_standardize(const Kernels<T>& k, size_t rows, size_t n, bool invert) {
  const std::string what = name(k) + " standardize of " + std::to_string(rows) + " x " + std::to_string(n);
  Rows<T> x(rows, n, 5, -3, 3), statistics(2, n, 6, 0.1, 2);
  statistics.values[n] = 0;  // of a constant column
  statistics.padded.assign(statistics.values.data(), n, n);
  for (bool with_mean : {true, false}) {
    Matrix<T> y(rows, x.width, x.width);
    k.standardize({x.padded.data(), with_mean ? statistics.padded.row(0) : nullptr, statistics.padded.row(1), y.data(),
                   x.padded.stride(), y.stride(), rows, n, 0, 1e-14, invert});
    check::that(y.untouched_outside() && y.zero(n, x.width), what + ": padding");
    Close close(what);
    for (size_t r = 0; r < rows; ++r)
      for (size_t j = 0; j < n; ++j) {
        const long double m = with_mean ? statistics.at(0, j) : 0;
        const long double deviation = std::max(std::sqrt(statistics.at(1, j)), 1e-7L);
        const long double value = invert ? x.at(r, j) * deviation + m : (x.at(r, j) - m) / deviation;
        close.add(j, y.row(r)[j], value, 4 * check::epsilon<T>() * (std::abs(value) + std::abs(m)));
      }
  }
}

template <class T>
void test_columns(const Kernels<T>& k, size_t rows, size_t n) {
  const std::string what = name(k) + " columns of " + std::to_string(rows) + " x " + std::to_string(n);
  Rows<T> x(rows, check::to_units<T>(n), 7, -1, 1), dy(rows, x.width, 8, -1, 1);
  Matrix<T> g(1, x.width, x.width), y(1, x.width, x.width);
  for (bool accumulate : {false, true}) {
    if (accumulate) g.fill(2);
    k.add_products(x.padded.data(), x.padded.stride(), dy.padded.data(), dy.padded.stride(), rows, x.width, g.data(),
                   accumulate);
    Close close(what);
    for (size_t j = 0; j < x.width; ++j) {
      long double sum = accumulate ? 2 : 0;
      for (size_t r = 0; r < rows; ++r) sum += x.at(r, j) * dy.at(r, j);
      close.add(j, g.row(0)[j], sum, 64 * check::epsilon<T>() * (2 + std::abs(sum)));
    }
  }
  k.multiply(x.padded.data(), dy.padded.data(), y.data(), x.width);
  bool right = g.untouched_outside() && y.untouched_outside();
  for (size_t j = 0; j < x.width; ++j) right &= y.row(0)[j] == x.values[j] * dy.values[j];
  check::that(right, what + ": a product");
}

}  // namespace

int main() {
  const deltaprop::FlushDenormals mode;  // as the executor runs them
  check::each_table([](const auto& k) {
    for (size_t n : kSizes) {
      for (size_t rows : kSizes) {
        test_batch_norm(k, rows, n);
        test_columns(k, rows, n);
      }
      for (bool flag : {false, true}) {
        test_layer_norm(k, n, flag);
        test_standardize(k, 5, n, flag);
      }
    }
  });
  return check::summary();
}
