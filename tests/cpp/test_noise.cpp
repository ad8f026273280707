// Gaussian noise on every level: the numbers that Philox's bits stand for, the same bits wherever there is FMA.
#include <algorithm>

#include "check.h"
#include "parallel.h"
#include "random.h"

using check::name;
using deltaprop::GaussianNoise;
using deltaprop::Kernels;

namespace {

struct Draw {
  size_t rows = 3, n = 48, first_row = 0;
  double deviation = 0.7;
  std::uint64_t step = 0x100000002;
  std::uint32_t seed = 11, op = 5;
};

// y = x + noise, or y = x noise and the noise after it; x is 3 throughout.
template <class T>
std::vector<T> noise(const Kernels<T>& k, const Draw& d, bool factors) {
  const size_t stride = d.n + check::unit<T>();
  std::vector<T> x(d.rows * stride, 3), y(x.size()), kept(x.size());
  GaussianNoise<T> g{};
  g.x = x.data();
  g.y = y.data();
  g.noise = factors ? kept.data() : nullptr;
  g.x_stride = g.y_stride = g.noise_stride = stride;
  g.rows = d.rows;
  g.n = d.n;
  g.first_row = d.first_row;
  g.deviation = d.deviation;
  g.step = d.step;
  g.seed = d.seed;
  g.op = d.op;
  k.gaussian_noise(g);
  for (size_t r = 0; r < d.rows; ++r)
    for (size_t j = d.n; j < stride; ++j)
      if (y[r * stride + j] != 0) check::that(false, name(k) + " noise: writes behind a row");
  if (factors) y.insert(y.end(), kept.begin(), kept.end());
  return y;
}

// Unit j of row r of Draw.
long double exact(const Draw& d, size_t r, size_t j) {
  const Philox bits =
      philox(static_cast<std::uint32_t>(d.first_row + r), static_cast<std::uint32_t>(j / 4),
             static_cast<std::uint32_t>(d.step), static_cast<std::uint32_t>(d.step >> 32), d.seed, d.op);
  const std::uint32_t radius = bits.word[j % 4 / 2 * 2], angle = bits.word[j % 4 / 2 * 2 + 1];
  const long double u = (static_cast<long double>(radius >> 8) + 1) / 16777216;
  const long double phi = static_cast<long double>(angle << 2 >> 8) / 16777216 * std::acos(-1.0L) / 2;
  const long double size = std::sqrt(-2 * std::log(u));
  if (j % 2 == 0) return (angle >> 31 ? -1 : 1) * size * std::cos(phi);
  return (angle >> 30 & 1 ? -1 : 1) * size * std::sin(phi);
}

template <class T>
void test_numbers(const Kernels<T>& k, size_t n) {
  Draw d;
  d.rows = 50;
  d.n = n;
  const auto sums = noise(k, d, false), products = noise(k, d, true);
  const size_t stride = n + check::unit<T>();
  check::Close close(name(k) + " gaussian_noise");
  for (size_t r = 0; r < d.rows; ++r)
    for (size_t j = 0; j < n; ++j) {
      const long double z = static_cast<long double>(d.deviation) * exact(d, r, j), allowed = 8 * check::epsilon<T>();
      close.add(j, sums[r * stride + j], 3 + z, allowed * (3 + std::abs(z)));
      close.add(j, products[r * stride + j], 3 * (1 + z), 3 * allowed * (1 + std::abs(z)));
      close.add(j, products[sums.size() + r * stride + j], 1 + z, allowed * (1 + std::abs(z)));
    }
}

template <class T>
void test_draws(const Kernels<T>& k) {
  const auto changed = [&](const auto& change) {
    Draw d;
    change(d);
    return noise(k, d, false);
  };
  const auto base = changed([](Draw&) {});
  check::that(check::same_bits(base, noise(check::peer(k), Draw(), false)), name(k) + " noise: bits of another level");
  check::that(base != changed([](Draw& d) { d.seed = 12; }), name(k) + " noise depends on the seed");
  check::that(base != changed([](Draw& d) { d.op = 6; }), name(k) + " noise depends on the stream");
  check::that(base != changed([](Draw& d) { d.step = 2; }), name(k) + " noise depends on the whole step");
  const auto second = changed([](Draw& d) {
    d.rows = 2;
    d.first_row = 1;
  });
  const size_t stride = base.size() / 3;
  check::that(std::equal(second.begin(), second.end(), base.begin() + static_cast<std::ptrdiff_t>(stride)),
              name(k) + " noise: a row's numbers depend on its place in the batch only");
}

}  // namespace

int main() {
  const deltaprop::FlushDenormals mode;  // as the executor runs them
  check::each_table([](const auto& k) {
    for (size_t n : {16, 48, 1024}) test_numbers(k, n);
    test_draws(k);
  });
  return check::summary();
}
