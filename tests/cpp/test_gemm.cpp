// The matrix kernels of every level: products and outer products on one panel with all ragged tails, sums of rows, bias
// and transposes. Right to rounding, the same bits on all levels with FMA however the rows are cut, and nothing touched
// outside.
#include <algorithm>

#include "check.h"

using check::Matrix;
using check::name;
using deltaprop::Kernels;
using deltaprop::OuterProduct;
using deltaprop::Product;

namespace {

constexpr size_t kDepths[] = {1, 2, 3, 17, 64, 129};
constexpr size_t kMostRows = 129;

template <class F>
void each_rows(const F& f) {
  for (size_t rows = 1; rows <= 13; ++rows) f(rows);
  f(kMostRows);
}

// One chain of multiply-adds in index order: what design and bits rest on.
template <class T>
T chain(const T* x, size_t x_stride, const T* w, size_t w_stride, size_t depth, T sum, bool fma) {
  for (size_t k = 0; k < depth; ++k) {
    const T a = x[k * x_stride], b = w[k * w_stride];
    sum = fma ? std::fma(a, b, sum) : a * b + sum;
  }
  return sum;
}

// ---- y = x w

struct Epilogue {
  const char* name;
  bool bias, relu, mask, accumulate;
};
constexpr Epilogue kEpilogues[] = {{"plain", false, false, false, false},
                                   {"bias", true, false, false, false},
                                   {"relu", false, true, false, false},
                                   {"bias and relu", true, true, false, false},
                                   {"mask", false, false, true, false},
                                   {"accumulate", false, false, false, true},
                                   {"accumulate and mask", false, false, true, true}};

template <class T>
struct Problem {
  size_t depth, columns;
  std::vector<T> x;        // (kMostRows, depth)
  std::vector<T> w;        // (depth, columns)
  std::vector<T> bias;     // (columns)
  std::vector<T> mask, y;  // (kMostRows, columns)

  Problem(size_t depth, size_t columns) : depth(depth), columns(columns) {
    check::Random random(depth);
    x = random.vector<T>(kMostRows * depth);
    w = random.vector<T>(depth * columns);
    bias = random.vector<T>(columns);
    mask = random.vector<T>(kMostRows * columns);
    y = random.vector<T>(kMostRows * columns);
    for (size_t i = 0; i < mask.size(); i += 5) mask[i] = i % 2 ? T{0} : -T{0};
  }
};

// Rows [row, row + rows) and columns [column, column + width), in memory of just that size: (rows, width).
template <class T>
std::vector<T> run(const Kernels<T>& k, const Problem<T>& p, const Epilogue& e, size_t row, size_t rows, size_t column,
                   size_t width, size_t offset, bool& clean) {
  const size_t unit = check::unit<T>();
  Matrix<T> x(rows, p.depth, p.depth + 3 * offset, offset);
  Matrix<T> w(p.depth, width, width, offset), bias(1, width, width, offset);
  Matrix<T> mask(rows, width, width + unit, offset), y(rows, width, width + 2 * unit * offset, offset);
  x.assign(p.x.data() + row * p.depth, p.depth);
  w.assign(p.w.data() + column, p.columns);
  bias.assign(p.bias.data() + column, 0);
  mask.assign(p.mask.data() + row * p.columns + column, p.columns);
  if (e.accumulate) y.assign(p.y.data() + row * p.columns + column, p.columns);

  Product<T> product{};
  product.x = x.data();
  product.w = w.data();
  product.bias = e.bias ? bias.data() : nullptr;
  product.mask = e.mask ? mask.data() : nullptr;
  product.y = y.data();
  product.x_stride = x.stride();
  product.mask_stride = mask.stride();
  product.y_stride = y.stride();
  product.rows = rows;
  product.depth = p.depth;
  product.width = width;
  product.relu = e.relu;
  product.accumulate = e.accumulate;
  k.product(product);

  clean &= y.untouched_outside();
  std::vector<T> result(rows * width);
  for (size_t r = 0; r < rows; ++r) std::memcpy(&result[r * width], y.row(r), width * sizeof(T));
  return result;
}

// One row and one unit of columns at a time: the least that a kernel can be asked for.
template <class T>
std::vector<T> run_piecewise(const Kernels<T>& k, const Problem<T>& p, const Epilogue& e) {
  const size_t unit = check::unit<T>();
  std::vector<T> all(kMostRows * p.columns);
  bool clean = true;
  for (size_t r = 0; r < kMostRows; ++r)
    for (size_t j = 0; j < p.columns; j += unit) {
      const auto piece = run(k, p, e, r, 1, j, unit, 0, clean);
      std::memcpy(&all[r * p.columns + j], piece.data(), unit * sizeof(T));
    }
  return all;
}

// What the formula says, and how far a chain of roundings may be from it.
template <class T>
void check_values(const std::vector<T>& got, const Problem<T>& p, const Epilogue& e, const Kernels<T>& k) {
  const std::string what = name(k) + " product, " + e.name + ", depth " + std::to_string(p.depth);
  check::Close close(what);
  size_t other_bits = 0;
  for (size_t r = 0; r < kMostRows; ++r)
    for (size_t j = 0; j < p.columns; ++j) {
      const size_t i = r * p.columns + j;
      long double sum = 0, size = 0;
      for (size_t d = 0; d < p.depth; ++d) {
        const long double term = static_cast<long double>(p.x[r * p.depth + d]) * p.w[d * p.columns + j];
        sum += term;
        size += std::abs(term);
      }
      if (e.bias) sum += p.bias[j], size += std::abs(p.bias[j]);
      if (e.relu) sum = std::max(sum, 0.0L);
      if (e.accumulate) sum += p.y[i], size += std::abs(p.y[i]);
      if (e.mask && !(p.mask[i] > 0)) sum = 0, size = 0;
      close.add(i, got[i], sum, static_cast<long double>(p.depth + 2) * size * check::epsilon<T>() + (size == 0));
      if (e.mask && !(p.mask[i] > 0) && got[i] != 0) ++other_bits;
      if (e.bias || e.relu || e.mask || e.accumulate) continue;
      const T exact = chain(&p.x[r * p.depth], 1, &p.w[j], p.columns, p.depth, T{0}, check::has_fma(k));
      other_bits += !check::same_bits(&got[i], &exact, 1);
    }
  check::that(other_bits == 0, what + ": no single chain of multiply-adds, or not zero under the mask");
}

template <class T>
void test_product(const Kernels<T>& k) {
  const size_t unit = check::unit<T>(), columns = k.panel_units * unit;
  for (size_t depth : kDepths) {
    // The widest panel differs between levels: all take their columns from the same problem.
    const Problem<T> p(depth, 8 * unit);
    for (const Epilogue& e : kEpilogues) {
      const std::vector<T> expected = run_piecewise(check::peer(k), p, e);
      if (&k == &check::peer(k)) check_values(expected, p, e, k);
      for (size_t width = unit; width <= columns; width += unit)
        each_rows([&](size_t rows) {
          for (size_t offset : {0, 1}) {
            bool clean = true, same = true;
            const size_t column = p.columns - width;
            const auto got = run(k, p, e, 0, rows, column, width, offset, clean);
            for (size_t r = 0; r < rows; ++r)
              same &= check::same_bits(&got[r * width], &expected[r * p.columns + column], width);
            const std::string what = name(k) + " product, " + e.name + ", " + std::to_string(rows) + " x " +
                                     std::to_string(depth) + " x " + std::to_string(width);
            check::that(same, what + ": not the bits of one row at a time" + (offset ? ", unaligned" : ""));
            check::that(clean, what + ": written outside of y");
          }
        });
    }
  }
}

template <class T>
void test_product_keeps_nan_in_its_row(const Kernels<T>& k) {
  Problem<T> p(17, check::unit<T>());
  const size_t bad = 4;
  p.x[bad * p.depth + 8] = std::numeric_limits<T>::quiet_NaN();
  for (const Epilogue& e : kEpilogues) {
    bool clean = true, nan = true, leaked = false;
    const auto y = run(k, p, e, 0, 13, 0, p.columns, 0, clean);
    for (size_t i = 0; i < y.size(); ++i) {
      const bool masked = e.mask && !(p.mask[i] > 0);
      if (i / p.columns == bad && !masked)
        nan &= std::isnan(y[i]);
      else
        leaked |= std::isnan(y[i]);
    }
    check::that(nan, name(k) + " product, " + e.name + ": a NaN is lost");
    check::that(!leaked, name(k) + " product, " + e.name + ": a NaN leaves its row");
  }
}

// ---- y = x w for one or two outputs

// The transposed form of w, (n, depth), in panels of `units` units as evenly as can be.
template <class T>
std::vector<T> packed(const std::vector<T>& w, size_t n, size_t depth, const deltaprop::Panels& panels) {
  std::vector<T> all(n * panels.units * panels.unit);
  for (size_t p = 0; p < panels.count; ++p)
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < panels.width(p); ++j) {
        const size_t column = panels.first(p) + j;
        if (column < depth) all[n * panels.first(p) + i * panels.width(p) + j] = w[i * depth + column];
      }
  return all;
}

template <class T>
std::vector<T> run_narrow(const Kernels<T>& k, const std::vector<T>& inputs, const std::vector<T>& weights,
                          const T* bias, bool relu, size_t rows, size_t depth, size_t n, bool& clean) {
  const size_t unit = check::unit<T>(), units = (depth + unit - 1) / unit;
  Matrix<T> x(rows, depth, depth + 3, 1), y(rows, unit, 2 * unit, 1);
  x.assign(inputs.data(), depth);
  deltaprop::NarrowProduct<T> product{};
  product.panels = {units, (units + k.panel_units - 1) / k.panel_units, unit};
  const std::vector<T> w = packed(weights, n, depth, product.panels);
  product.x = x.data();
  product.w = w.data();
  product.bias = bias;
  product.y = y.data();
  product.x_stride = x.stride();
  product.y_stride = y.stride();
  product.rows = rows;
  product.depth = depth;
  product.n = n;
  product.relu = relu;
  k.narrow_product(product);
  clean &= y.untouched_outside() && y.zero(n, unit);
  std::vector<T> result(rows * n);
  for (size_t r = 0; r < rows; ++r) std::copy_n(y.row(r), n, &result[r * n]);
  return result;
}

template <class T>
void test_narrow_product(const Kernels<T>& k) {
  constexpr size_t kRows = 21;  // more than are summed together
  for (size_t n : {1, 2})
    for (size_t depth : {2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 129, 300})
      for (bool relu : {false, true}) {
        check::Random random(depth);
        const auto x = random.vector<T>(kRows * depth), w = random.vector<T>(n * depth), b = random.vector<T>(n);
        const T* bias = depth % 2 ? b.data() : nullptr;
        const std::string what = name(k) + " narrow product of " + std::to_string(depth) + " x " + std::to_string(n);
        bool clean = true;
        const auto y = run_narrow(k, x, w, bias, relu, kRows, depth, n, clean);
        check::Close close(what);
        for (size_t i = 0; i < kRows * n; ++i) {
          long double sum = bias ? b[i % n] : 0, size = std::abs(sum);
          for (size_t d = 0; d < depth; ++d) {
            const long double term = static_cast<long double>(x[i / n * depth + d]) * w[i % n * depth + d];
            sum += term;
            size += std::abs(term);
          }
          close.add(i, y[i], relu ? std::max(sum, 0.0L) : sum, (depth / 16 + 6) * size * check::epsilon<T>());
        }
        check::that(clean, what + ": written outside, or padding that is not zero");
        check::that(check::same_bits(y, run_narrow(check::peer(k), x, w, bias, relu, kRows, depth, n, clean)),
                    what + ": other bits than on " + check::peer(k).isa);
        const std::vector<T> last(x.end() - static_cast<std::ptrdiff_t>(depth), x.end());
        check::that(
            check::same_bits(run_narrow(k, last, w, bias, relu, 1, depth, n, clean).data(), &y[(kRows - 1) * n], n),
            what + ": other bits for one row alone");
      }
}

// Columns [from, to) of a single row of n outputs.
template <class T>
std::vector<T> run_row(const Kernels<T>& k, const std::vector<T>& x, const std::vector<T>& weights,
                       const std::vector<T>& start, size_t n, size_t from, size_t to) {
  const size_t depth = x.size(), unit = check::unit<T>(), units = (depth + unit - 1) / unit;
  deltaprop::NarrowProduct<T> product{};
  product.panels = {units, (units + k.panel_units - 1) / k.panel_units, unit};
  const std::vector<T> w = packed(weights, n, depth, product.panels);
  std::vector<T> y = start;
  product.x = x.data();
  product.w = w.data();
  product.bias = start.empty() ? nullptr : y.data();
  y.resize(n, T{7});
  product.y = y.data();
  product.rows = 1;
  product.depth = depth;
  product.n = n;
  k.row_product(product, from, to);
  return y;
}

template <class T>
void test_row_product(const Kernels<T>& k) {
  for (size_t n : {1, 5, 16, 33, 70})
    for (size_t depth : {1, 8, 17, 24, 64, 100, 300}) {
      check::Random random(depth);
      const auto x = random.vector<T>(depth), w = random.vector<T>(n * depth), start = random.vector<T>(n);
      const std::string what = name(k) + " row product of " + std::to_string(depth) + " x " + std::to_string(n);
      const auto y = run_row(k, x, w, {}, n, 0, n), added = run_row(k, x, w, start, n, 0, n);
      check::Close close(what);
      for (size_t i = 0; i < n; ++i) {
        long double sum = 0, size = 0;
        for (size_t d = 0; d < depth; ++d) {
          const long double term = static_cast<long double>(x[d]) * w[i * depth + d];
          sum += term;
          size += std::abs(term);
        }
        close.add(i, y[i], sum, (depth / 16 + 6) * size * check::epsilon<T>());
        check::that(added[i] == y[i] + start[i], what + ": not what was there, and the sum");
      }
      check::that(check::same_bits(y, run_row(check::peer(k), x, w, {}, n, 0, n)),
                  what + ": other bits than on " + check::peer(k).isa);
      const auto part = run_row(k, x, w, {}, n, n / 3, n);
      check::that(check::same_bits(&part[n / 3], &y[n / 3], n - n / 3), what + ": other bits in a part");
      check::that(n < 3 || part[0] == 7, what + ": written outside");
    }
}

// ---- g = x' dy

template <class T>
struct OuterProblem {
  size_t depth, columns, rows;
  std::vector<T> x;   // (rows, depth)
  std::vector<T> dy;  // (rows, columns)
  std::vector<T> g;   // (depth, columns)

  OuterProblem(size_t depth, size_t columns, size_t rows) : depth(depth), columns(columns), rows(rows) {
    check::Random random(depth * 1000 + rows);
    x = random.vector<T>(rows * depth);
    dy = random.vector<T>(rows * columns);
    g = random.vector<T>(depth * columns);
  }
};

// Rows [first, last) of g and columns [column, column + width), of which `valid` are no padding: (last - first, width).
template <class T>
std::vector<T> run(const Kernels<T>& k, const OuterProblem<T>& p, bool accumulate, size_t first, size_t last,
                   size_t column, size_t width, size_t valid, size_t offset, bool& clean) {
  const size_t n = last - first;
  // The padding of dy is a NaN that must not come through.
  Matrix<T> x(p.rows, n, n + 3 * offset, offset), dy(p.rows, width, width + 2 * check::unit<T>() * offset, offset);
  Matrix<T> g(n, width, width, offset);
  x.assign(p.x.data() + first, p.depth);
  dy.assign(p.dy.data() + column, p.columns, valid);
  if (accumulate) g.assign(p.g.data() + first * p.columns + column, p.columns);

  OuterProduct<T> product{};
  product.x = x.data();
  product.dy = dy.data();
  product.g = g.data();
  product.x_stride = x.stride();
  product.dy_stride = dy.stride();
  product.rows = p.rows;
  product.depth = n;
  product.width = width;
  product.valid = valid;
  product.accumulate = accumulate;
  k.outer_product(product);

  clean &= g.untouched_outside() && g.zero(valid, width);
  return std::vector<T>(g.data(), g.data() + n * width);
}

template <class T>
std::vector<T> run_piecewise(const Kernels<T>& k, const OuterProblem<T>& p, bool accumulate) {
  const size_t unit = check::unit<T>();
  std::vector<T> all(p.depth * p.columns);
  bool clean = true;
  for (size_t i = 0; i < p.depth; ++i)
    for (size_t j = 0; j < p.columns; j += unit) {
      const auto piece = run(k, p, accumulate, i, i + 1, j, unit, unit, 0, clean);
      std::memcpy(&all[i * p.columns + j], piece.data(), unit * sizeof(T));
    }
  return all;
}

template <class T>
void check_values(const std::vector<T>& got, const OuterProblem<T>& p, bool accumulate, const Kernels<T>& k) {
  const std::string what = name(k) + " outer product, " + std::to_string(p.depth) + " x " + std::to_string(p.rows) +
                           (accumulate ? ", accumulated" : "");
  check::Close close(what);
  size_t other_bits = 0;
  for (size_t i = 0; i < p.depth; ++i)
    for (size_t j = 0; j < p.columns; ++j) {
      const size_t at = i * p.columns + j;
      const T start = accumulate ? p.g[at] : T{0};
      long double sum = start, size = std::abs(sum);
      for (size_t r = 0; r < p.rows; ++r) {
        const long double term = static_cast<long double>(p.x[r * p.depth + i]) * p.dy[r * p.columns + j];
        sum += term;
        size += std::abs(term);
      }
      close.add(at, got[at], sum, static_cast<long double>(p.rows + 1) * size * check::epsilon<T>());
      const T exact = chain(&p.x[i], p.depth, &p.dy[j], p.columns, p.rows, start, check::has_fma(k));
      other_bits += !check::same_bits(&got[at], &exact, 1);
    }
  check::that(other_bits == 0, what + ": no single chain of multiply-adds");
}

template <class T>
void test_outer_product(const Kernels<T>& k) {
  const size_t unit = check::unit<T>(), widest = k.panel_units * unit;
  for (size_t rows : kDepths) {
    each_rows([&](size_t depth) {
      const OuterProblem<T> p(depth, 8 * unit, rows);
      for (bool accumulate : {false, true}) {
        const std::vector<T> expected = run_piecewise(check::peer(k), p, accumulate);
        if (&k == &check::peer(k)) check_values(expected, p, accumulate, k);
        for (size_t width = unit; width <= widest; width += unit)
          for (size_t cut : {0, 1, 2}) {  // the whole panel, and two threads' shares
            const size_t first = cut == 2 ? depth / 3 : 0, last = cut == 1 ? depth / 3 : depth;
            if (first == last) continue;
            const size_t valid = width - cut * (unit / 2 - 1), column = p.columns - width;
            bool clean = true, same = true;
            const auto got = run(k, p, accumulate, first, last, column, width, valid, cut, clean);
            for (size_t i = first; i < last; ++i)
              same &= check::same_bits(&got[(i - first) * width], &expected[i * p.columns + column], valid);
            const std::string what = name(k) + " outer product, rows " + std::to_string(first) + " to " +
                                     std::to_string(last) + " of " + std::to_string(depth) + ", width " +
                                     std::to_string(width) + ", batch of " + std::to_string(rows);
            check::that(same, what + ": not the bits of one row at a time");
            check::that(clean, what + ": written outside of its rows, or padding that is not zero");
          }
      }
    });
  }
}

// A batch that is fed block by block gives the bits of the batch as a whole.
template <class T>
void test_outer_product_continues(const Kernels<T>& k) {
  const size_t unit = check::unit<T>();
  OuterProblem<T> whole(13, unit, 129);
  bool clean = true;
  const auto expected = run(k, whole, false, 0, 13, 0, unit, unit, 0, clean);
  for (size_t cut : {1, 64, 128}) {
    OuterProblem<T> head = whole, tail = whole;
    head.rows = cut;
    tail.rows = whole.rows - cut;
    tail.x.erase(tail.x.begin(), tail.x.begin() + static_cast<std::ptrdiff_t>(cut * whole.depth));
    tail.dy.erase(tail.dy.begin(), tail.dy.begin() + static_cast<std::ptrdiff_t>(cut * whole.columns));
    tail.g = run(k, head, false, 0, 13, 0, unit, unit, 0, clean);
    const auto got = run(k, tail, true, 0, 13, 0, unit, unit, 0, clean);
    check::that(check::same_bits(got, expected), name(k) + " outer product in two blocks has other bits");
  }
}

// ---- the rest

template <class T>
void test_add_rows(const Kernels<T>& k) {
  for (size_t n : {check::unit<T>(), 3 * check::unit<T>()})
    each_rows([&](size_t rows) {
      for (bool accumulate : {false, true}) {
        check::Random random(rows);
        const auto values = random.vector<T>(rows * n), start = random.vector<T>(n);
        Matrix<T> dy(rows, n, n + 7, 1), g(1, n, n, 1);
        dy.assign(values.data(), n);
        if (accumulate) g.assign(start.data(), n);
        k.add_rows(dy.data(), dy.stride(), rows, n, g.data(), accumulate);
        const std::string what = name(k) + " add_rows of " + std::to_string(rows) + " x " + std::to_string(n);
        bool in_row_order = true;
        for (size_t j = 0; j < n; ++j) {
          T sum = accumulate ? start[j] : T{0};
          for (size_t r = 0; r < rows; ++r) sum += values[r * n + j];
          in_row_order &= check::same_bits(g.data() + j, &sum, 1);
        }
        check::that(in_row_order, what + ": not the sum in row order");
        check::that(g.untouched_outside(), what + ": written outside of g");
      }
    });
}

template <class T>
void test_add_bias(const Kernels<T>& k) {
  const size_t n = 3 * check::unit<T>();
  check::Random random(1);
  const auto values = random.vector<T>(n), biases = random.vector<T>(n);
  Matrix<T> z(1, n, n, 1), bias(1, n, n, 3), y(1, n, n, 1);
  z.assign(values.data(), n);
  bias.assign(biases.data(), n);
  k.add_bias(z.data(), bias.data(), y.data(), n);
  bool exact = true;
  for (size_t j = 0; j < n; ++j) exact &= y.data()[j] == values[j] + biases[j];
  check::that(exact && y.untouched_outside(), name(k) + " add_bias");
  k.add_bias(z.data(), bias.data(), z.data(), n);
  check::that(check::same_bits(z.data(), y.data(), n), name(k) + " add_bias in place");
}

template <class T>
void test_transpose(const Kernels<T>& k) {
  for (size_t rows : {1, 2, 3, 4, 5, 8, 13, 16, 17, 33, 129})
    for (size_t n : {1, 2, 3, 4, 5, 8, 13, 16, 17, 31, 64, 129}) {
      check::Random random(rows * n);
      const auto values = random.vector<T>(rows * n);
      Matrix<T> w(rows, n, n + 3, 1), t(n, rows, rows + 5, 2);
      w.assign(values.data(), n);
      k.transpose(w.data(), w.stride(), rows, n, t.data(), t.stride());
      bool right = true;
      for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < n; ++j) right &= t.row(j)[i] == values[i * n + j];
      const std::string what = name(k) + " transpose of " + std::to_string(rows) + " x " + std::to_string(n);
      check::that(right, what);
      check::that(t.untouched_outside(), what + ": written outside");
    }
}

template <class T>
void test_all_finite(const Kernels<T>& k) {
  using L = std::numeric_limits<T>;
  for (size_t n : {0, 1, 7, 8, 16, 31, 64, 65, 129, 1000}) {
    std::vector<T> x(n, L::max());
    check::that(k.all_finite(x.data(), n), name(k) + " all_finite of large numbers");
    bool found = true;
    for (size_t at = 0; at < n; ++at)
      for (T bad : {L::quiet_NaN(), L::infinity(), -L::infinity()}) {
        x[at] = bad;
        found &= !k.all_finite(x.data(), n);
        x[at] = -L::max();
      }
    check::that(found, name(k) + " all_finite misses one of " + std::to_string(n));
  }
}

}  // namespace

int main() {
  check::each_table([](const auto& k) {
    check::that(k.panel_units >= 1 && k.panel_units <= 8 && k.tile_rows >= 1, name(k) + ": sizes of a tile");
    test_product(k);
    test_product_keeps_nan_in_its_row(k);
    test_narrow_product(k);
    test_row_product(k);
    test_outer_product(k);
    test_outer_product_continues(k);
    test_add_rows(k);
    test_add_bias(k);
    test_transpose(k);
    test_all_finite(k);
  });
  return check::summary();
}
