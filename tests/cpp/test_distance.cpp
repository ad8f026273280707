// The kernels of Gaussian units on every level, against sums in long double: every tile and panel width, with NaN in
// all padding that they read and zeros in what they write.
#include "check.h"

using check::Close;
using check::Matrix;
using check::name;
using deltaprop::Kernels;

namespace {

constexpr size_t kRows[] = {1, 2, 3, 5, 6, 7, 13}, kDepths[] = {1, 3, 17};

// Three matrices and what a contraction over `depth` makes of them; `valid` columns of a panel are no padding.
template <class T>
struct Problem {
  size_t rows, depth, width, valid;
  std::vector<T> x, w, at, before;
  long double allowed = 16 * static_cast<long double>(depth) * check::epsilon<T>();

  Problem(size_t rows, size_t depth, size_t width, size_t valid)
      : rows(rows), depth(depth), width(width), valid(valid) {
    check::Random random(rows + 100 * depth + 10000 * valid);
    x = random.vector<T>(rows * depth);
    w = random.vector<T>(depth * width);
    at = random.vector<T>(rows * width);
    before = random.vector<T>(rows * width);
  }
  std::string text() const {
    return std::to_string(rows) + " x " + std::to_string(depth) + " x " + std::to_string(valid);
  }

  // run(y) fills it; term(i, k, j) is what is added to element (i, j), from start(i, j) on.
  template <class Run, class Term>
  void verify(const std::string& what, const Run& run, const Term& term, bool accumulate) const {
    Matrix<T> y(rows, width, width + check::unit<T>()), peer(rows, width, width + check::unit<T>());
    y.assign(before.data(), width);
    peer.assign(before.data(), width);
    run(y, false);
    run(peer, true);
    bool same = y.untouched_outside();
    Close close(what + " of " + text());
    for (size_t i = 0; i < rows; ++i) {
      same &= check::same_bits(y.row(i), peer.row(i), width);
      for (size_t j = 0; j < valid; ++j) {
        long double sum = accumulate ? before[i * width + j] : 0;
        for (size_t k = 0; k < depth; ++k) sum += term(i, k, j);
        close.add(i * width + j, y.row(i)[j], sum, allowed);
      }
    }
    check::that(same && y.zero(valid, width), what + " of " + text() + ": other bits, or no zeros in the padding");
  }
};

template <class T>
void test_distances(const Kernels<T>& kernels, const Problem<T>& p) {
  Matrix<T> x(p.rows, p.depth, p.depth + 3, 1), at(p.rows, p.width, p.width + check::unit<T>());
  x.assign(p.x.data(), p.depth);
  at.assign(p.at.data(), p.width, p.valid);
  const auto each = [&](const auto& f) {
    return [&kernels, f](Matrix<T>& y, bool peer) { f(peer ? check::peer(kernels) : kernels, y); };
  };
  const auto product = [&](Matrix<T>& y) {
    deltaprop::Product<T> q{};
    q.x = x.data();
    q.w = p.w.data();
    q.y = y.data();
    q.x_stride = x.stride();
    q.y_stride = y.stride();
    q.rows = p.rows;
    q.depth = p.depth;
    q.width = p.width;
    return q;
  };
  const auto x_at = [&](size_t i, size_t k) -> long double { return p.x[i * p.depth + k]; };
  const auto w_at = [&](size_t k, size_t j) -> long double { return p.w[k * p.width + j]; };
  const auto at_at = [&](size_t i, size_t j) -> long double { return p.at[i * p.width + j]; };

  if (p.valid == p.width)  // else its padding is whatever
    p.verify(
        name(kernels) + " distance", each([&](const Kernels<T>& k, Matrix<T>& y) { k.distance(product(y)); }),
        [&](size_t i, size_t k, size_t j) { return (x_at(i, k) - w_at(k, j)) * (x_at(i, k) - w_at(k, j)) / 2; }, false);
  p.verify(
      name(kernels) + " distance_grad_x",
      each([&](const Kernels<T>& k, Matrix<T>& y) { k.distance_grad_x(product(y), at.data(), at.stride(), p.valid); }),
      [&](size_t i, size_t k, size_t j) { return x_at(i, k) * (at_at(i, j) - w_at(k, j)); }, false);

  // The same numbers with the contraction over the rows of both: g and w lie without gaps.
  std::vector<T> over_rows(p.depth * p.rows);
  for (size_t i = 0; i < p.rows; ++i)
    for (size_t k = 0; k < p.depth; ++k) over_rows[k * p.rows + i] = p.x[i * p.depth + k];
  for (bool transposed : {false, true})
    for (bool accumulate : {false, true})
      p.verify(
          name(kernels) + " distance_grad_w", each([&](const Kernels<T>& k, Matrix<T>& y) {
            std::vector<T> g(p.before);
            k.distance_grad_w({over_rows.data(), p.w.data(), g.data(), p.rows, p.width, p.depth, p.rows, p.width,
                               p.valid, accumulate},
                              p.at.data(), transposed);
            y.assign(g.data(), p.width);
          }),
          [&](size_t i, size_t k, size_t j) {
            return transposed ? x_at(i, k) * (at_at(i, j) - w_at(k, j)) : w_at(k, j) * (at_at(i, j) - x_at(i, k));
          },
          accumulate);
}

template <class T>
void test_gaussian(const Kernels<T>& kernels, size_t rows, size_t n) {
  const std::string what = name(kernels) + " gaussian of " + std::to_string(n);
  const size_t width = check::to_units<T>(n);
  check::Random random(n);
  const auto distances = random.vector<T>(rows * n, 0, 20), upper = random.vector<T>(rows * n);
  auto s = random.vector<T>(width, 0.5, 3);
  s[0] = -s[0];
  std::fill(s.begin() + static_cast<std::ptrdiff_t>(n), s.end(), T{0});
  Matrix<T> d(rows, width, width + check::unit<T>()), dy(rows, width, width), y(rows, width, width),
      dd(rows, width, width);
  d.assign(distances.data(), n, n);
  dy.assign(upper.data(), n, n);
  const long double eps = check::epsilon<T>();
  {
    Close close(what);
    for (size_t r = 0; r < rows; ++r) {
      kernels.gaussian(d.row(r), s.data(), y.row(r), n);
      kernels.gaussian_grad(dy.row(r), y.row(r), s.data(), dd.row(r), n);
      for (size_t j = 0; j < n; ++j) {
        const long double square = static_cast<long double>(s[j]) * s[j], z = d.row(r)[j] / square;
        const long double value = std::exp(-z), slope = -dy.row(r)[j] * value / square;
        close.add(j, y.row(r)[j], value, (4 + 2 * z) * eps * value);
        close.add(j, dd.row(r)[j], slope, (8 + 2 * z) * eps * std::abs(slope) + std::numeric_limits<T>::denorm_min());
      }
    }
  }
  check::that(y.zero(n, width) && dd.zero(n, width) && y.untouched_outside() && dd.untouched_outside(),
              what + ": no zeros in the padding, or written outside");
  for (bool accumulate : {false, true}) {
    std::vector<T> g(width, T{0.5}), peer(g);
    deltaprop::GaussianGradient<T> gradient{dy.data(),  y.data(),   d.data(), s.data(), g.data(),  dy.stride(),
                                            y.stride(), d.stride(), rows,     n,        accumulate};
    kernels.gaussian_grad_s(gradient);
    gradient.g = peer.data();
    check::peer(kernels).gaussian_grad_s(gradient);
    check::that(check::same_bits(g, peer), what + ": other bits than on the peer level");
    Close close(what + ": gradient of the widths");
    for (size_t j = 0; j < n; ++j) {
      long double sum = 0, size = 0;
      for (size_t r = 0; r < rows; ++r) {
        const long double term = 2.0L * dy.row(r)[j] * y.row(r)[j] * d.row(r)[j] / std::pow<long double>(s[j], 3);
        sum += term;
        size += std::abs(term);
      }
      close.add(j, g[j], sum + (accumulate ? 0.5L : 0), (16 * size + 1) * eps);
    }
    for (size_t j = n; j < width; ++j) check::that(g[j] == 0, what + ": no zeros in the gradient's padding");
  }
}

// A width of zero is a narrow one: 1 at the centre, 0 elsewhere, and no NaN.
template <class T>
void test_no_width(const Kernels<T>& kernels) {
  const size_t n = check::unit<T>();
  std::vector<T> d(n, T{0}), s(n, T{0}), y(n, T{7});
  d[1] = T{1};
  kernels.gaussian(d.data(), s.data(), y.data(), n);
  check::that(y[0] == 1 && y[1] == 0, name(kernels) + " gaussian without a width");
}

template <class T>
void test_all(const Kernels<T>& kernels) {
  for (size_t units = 1; units <= kernels.panel_units; ++units)
    for (size_t rows : kRows)
      for (size_t depth : kDepths)
        for (size_t padding : {size_t{0}, size_t{1}, check::unit<T>() - 1}) {
          const size_t width = units * check::unit<T>();
          test_distances(kernels, Problem<T>(rows, depth, width, width - padding));
        }
  for (size_t n : {1, 3, 10, 17, 64, 129}) test_gaussian(kernels, 7, n);
  test_no_width(kernels);
}

}  // namespace

int main() {
  check::each_table([](const auto& kernels) { test_all(kernels); });
  return check::summary();
}
