// Activity penalties, and norms that constraints limit, of every level against long double.
#include <algorithm>

#include "check.h"
#include "variable.h"

using check::Matrix;
using check::name;
using deltaprop::Kernels;
using deltaprop::NormLimits;

namespace {

using Real = long double;

template <class T>
void test_activity(const Kernels<T>& k) {
  for (size_t n : {1, 3, 8, 16, 17, 100, 129}) {
    check::Random random(n);
    const auto values = random.vector<T>(n, -3, 3);
    const size_t padded = check::to_units<T>(n);
    Matrix<T> a(1, padded, padded);
    a.assign(values.data(), 0, n);
    const T l1 = static_cast<T>(0.01), l2 = static_cast<T>(0.003);
    Real expected = 0;
    for (T x : values) expected += l1 * std::abs(static_cast<Real>(x)) + l2 * static_cast<Real>(x) * x;
    const T sum = k.activity(a.data(), l1, l2, n);
    const std::string what = name(k) + " activity of " + std::to_string(n);
    check::Close(what).add(0, sum, expected, 12 * check::epsilon<T>() * expected);
    const T other = check::peer(k).activity(a.data(), l1, l2, n);
    check::that(check::same_bits(&sum, &other, 1), what + ": other bits than on " + check::peer(k).isa);
  }
}

// The same numbers, whatever the level: norms of columns, rows and all, into [low, high].
template <class T>
void test_norms(const Kernels<T>& k) {
  const NormLimits<T> limits{static_cast<T>(0.5), static_cast<T>(0.75), static_cast<T>(0.625), static_cast<T>(0.375)};
  for (size_t depth : {1, 2, 17, 129})
    for (size_t columns : {1, 10, 17, 64, 129, 200})
      for (int axis : {0, 1, -1}) {
        check::Random random(depth + columns);
        auto values = random.vector<T>(depth * columns, -0.3, 0.3);
        for (size_t i = 0; i < depth; ++i) values[i * columns] = 0;  // a column of zeros
        const auto limited = [&](const Kernels<T>& kernels, bool* padding) {
          deltaprop::Packed<T> w(depth, columns, kernels.panel_units);
          std::vector<T> memory(w.size(), 0), out(values.size());
          w.data = memory.data();
          const auto each = [&](const auto& f) {
            for (size_t p = 0; p < w.panels.count; ++p)
              for (size_t i = 0; i < depth; ++i)
                for (size_t j = 0; j < w.panels.width(p); ++j)
                  f(w.panel(p)[i * w.panels.width(p) + j], i, w.panels.first(p) + j);
          };
          each([&](T& x, size_t i, size_t j) { x = j < columns ? values[i * columns + j] : T{0}; });
          if (axis < 0) kernels.limit_norm(w.data, depth, w.panels, limits);
          if (axis == 1) kernels.limit_row_norms(w.data, depth, w.panels, 0, depth, limits);
          for (size_t p = 0; axis == 0 && p < w.panels.count; ++p)
            kernels.limit_column_norms(w.panel(p), depth, w.panels.width(p), limits);
          each([&](T& x, size_t i, size_t j) {
            if (j < columns) out[i * columns + j] = x;
            if (j >= columns) *padding &= x == 0;
          });
          return out;
        };
        const std::string what = name(k) + " norms of " + std::to_string(depth) + " x " + std::to_string(columns) +
                                 " along " + std::to_string(axis);
        bool padding = true;
        const auto out = limited(k, &padding);
        check::that(padding, what + ": padding does not stay zero");
        check::that(check::same_bits(out, limited(check::peer(k), &padding)), what + ": other bits than the peer");
        const auto group = [&](size_t e) { return axis == 0 ? e % columns : axis == 1 ? e / columns : 0; };
        std::vector<Real> squares(std::max(depth, columns), 0);
        for (size_t e = 0; e < values.size(); ++e) squares[group(e)] += static_cast<Real>(values[e]) * values[e];
        check::Close close(what);
        for (size_t e = 0; e < values.size(); ++e) {
          const Real n = std::sqrt(squares[group(e)]);
          const Real into = std::clamp<Real>(n, limits.low, limits.high);
          const Real expected = values[e] * (limits.rate * into + limits.rest * n) / (n + Real(1e-7));
          close.add(e, out[e], expected, (8 + static_cast<Real>(depth)) * check::epsilon<T>() * (std::abs(expected)));
        }
      }
}

}  // namespace

int main() {
  check::each_table([](const auto& k) {
    test_activity(k);
    test_norms(k);
  });
  return check::summary();
}
