// Variables, whose layouts come back as they went in and stay in step; and sources, which read any array.
#include <algorithm>

#include "batches.h"
#include "check.h"
#include "variable.h"

using check::name;
using namespace deltaprop;

namespace {

template <class T>
bool holds(const Packed<T>& packed, const std::vector<T>& canonical, size_t n_in, size_t n_out, bool as_transposed) {
  size_t seen = 0;
  for (size_t p = 0; p < packed.panels.count; ++p) {
    const size_t width = packed.panels.width(p), column = packed.panels.first(p);
    for (size_t k = 0; k < packed.depth; ++k)
      for (size_t j = 0; j < width; ++j) {
        const T value = packed.panel(p)[k * width + j];
        const bool padding = j >= packed.valid(p);
        const size_t i = as_transposed ? (column + j) * n_out + k : k * n_out + column + j;
        if (padding ? value != 0 : value != canonical[i]) return false;
        seen += !padding;
      }
  }
  return seen == n_in * n_out;
}

template <class T>
void test_variable(const Kernels<T>& k) {
  check::Random random(3);
  for (size_t n : {1, 2, 15, 16, 17, 64, 65, 129, 400}) {
    Variable<T> bias({n}, k);
    const auto values = random.vector<T>(n);
    std::vector<T> back(n);
    bias.assign(values.data());
    bias.read(back.data());
    bias.require_mirror();
    check::that(values == back && holds(bias.main(), values, 1, n, false) && !bias.has_mirror(),
                name(k) + ": a vector of " + std::to_string(n));
  }
  for (size_t n_in : {1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64, 65, 129, 200})
    for (size_t n_out : {1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 33, 64, 65, 129, 200}) {
      const std::string what = name(k) + ": a variable of " + std::to_string(n_in) + " x " + std::to_string(n_out);
      Variable<T> w({n_in, n_out}, k);
      const bool narrow = w.transposed();
      auto values = random.vector<T>(n_in * n_out);
      std::vector<T> back(values.size());
      w.assign(values.data());
      w.read(back.data());
      check::that(values == back, what + " does not come back");
      check::that(holds(w.main(), values, n_in, n_out, narrow), what + ": main form");
      check::that(reinterpret_cast<std::uintptr_t>(w.main().data) % 64 == 0, what + ": not on a cache line");
      check::that(w.main().panels.units <= w.main().panels.count * k.panel_units, what + ": panels are too wide");

      w.require_mirror();  // holds what was assigned before
      const auto forms_agree = [&] {
        return holds(w.forward(), values, n_in, n_out, false) && holds(w.backward(), values, n_in, n_out, true);
      };
      check::that(w.has_mirror() && forms_agree(), what + ": a mirror asked for late");
      for (T& x : values) x *= 2;
      w.assign(values.data());
      check::that(forms_agree(), what + ": the mirror after assign");

      // As updates do it: some rows of one panel change, then the mirror of just those.
      for (T& x : values) x += 1;
      const Packed<T>& main = w.main();
      Variable<T> other({n_in, n_out}, k);
      other.assign(values.data());
      for (size_t p = 0; p < main.panels.count; ++p)
        for (size_t from = 0; from < main.depth; from += 5) {
          const size_t to = std::min(main.depth, from + 5), width = main.panels.width(p);
          std::copy_n(other.main().panel(p) + from * width, (to - from) * width, main.panel(p) + from * width);
          w.refresh_mirror(p, from, to);
        }
      check::that(forms_agree(), what + ": the mirror after updates of its parts");
    }
}

// ---- sources

template <class T, class From>
void test_source_of(const Kernels<T>& k, Scalar type, std::initializer_list<From> corners) {
  constexpr size_t unit = check::unit<T>();
  const std::string what = name(k) + ": a source of scalar type " + std::to_string(size(type));
  for (size_t n : {1, 3, 13, 16, 20, 37})
    for (bool strided : {false, true}) {
      // Rows of `corners` in turn, backwards in memory and off their alignment.
      const size_t rows = 4, distance = n * sizeof(From) + 3;
      const auto element = [&](size_t r, size_t j) { return corners.begin()[(r + j) % corners.size()]; };
      std::vector<char> memory(rows * distance + 1);
      for (size_t r = 0; r < rows; ++r)
        for (size_t j = 0; j < n; ++j) {
          const From x = element(r, strided ? n - 1 - j : j);
          std::memcpy(&memory[1 + (rows - 1 - r) * distance + j * sizeof x], &x, sizeof x);
        }
      Source source;
      source.data = &memory[1 + (rows - 1) * distance];
      source.type = type;
      source.rows = rows;
      source.width = n;
      source.row_stride = -static_cast<std::ptrdiff_t>(distance);
      for (size_t j = 0; strided && j < n; ++j)
        source.offsets.push_back(static_cast<std::ptrdiff_t>((n - 1 - j) * sizeof(From)));

      const size_t padded = (n + unit - 1) / unit * unit, stride = padded + unit;
      const std::int64_t order[] = {2, 0, 3};
      for (bool ordered : {false, true}) {
        std::vector<T> got(3 * stride, T{7});
        source.read(ordered ? order : nullptr, 1, 3, got.data(), stride, padded, k);
        bool right = true;
        for (size_t r = 0; r < 3; ++r)
          for (size_t j = 0; j < stride; ++j) {
            const size_t row = ordered ? static_cast<size_t>(order[r]) : 1 + r;
            right &= got[r * stride + j] == (j < n ? static_cast<T>(element(row, j)) : j < padded ? T{0} : T{7});
          }
        check::that(right, what + ", " + std::to_string(n) + " wide" + (strided ? ", strided" : "") +
                               (ordered ? ", in an order" : ""));
      }
      check::that(source.all_finite(), what + " is finite");
      check::that(!source.in_place<T>(), what + " cannot be read in place");
    }
  check::that(bytes(type) == sizeof(From), what + ": its size");
}

template <class T>
void test_sources(const Kernels<T>& k) {
  test_source_of<T, bool>(k, Scalar::boolean, {true, false, true});
  test_source_of<T, std::int8_t>(k, Scalar::int8, {-128, 0, 127});
  test_source_of<T, std::uint8_t>(k, Scalar::uint8, {0, 1, 255});
  test_source_of<T, std::int16_t>(k, Scalar::int16, {-32768, 0, 32767});
  test_source_of<T, std::uint16_t>(k, Scalar::uint16, {0, 1, 65535});
  test_source_of<T, std::int32_t>(k, Scalar::int32, {-2147483647 - 1, 0, 2147483647});
  test_source_of<T, std::uint32_t>(k, Scalar::uint32, {0, 1, 4294967295u});
  test_source_of<T, std::int64_t>(k, Scalar::int64, {INT64_MIN, -1, INT64_MAX});
  test_source_of<T, std::uint64_t>(k, Scalar::uint64, {0, 1, UINT64_MAX});
  test_source_of<T, float>(k, Scalar::float32, {-1.5f, 0, 3e38f});
  test_source_of<T, double>(k, Scalar::float64, {-1.1, 0, 1e-3});
}

template <class T>
void test_finite() {
  using L = std::numeric_limits<T>;
  std::vector<T> values(60, 1);
  Source source;
  source.data = reinterpret_cast<const char*>(values.data());
  source.type = sizeof(T) == 4 ? Scalar::float32 : Scalar::float64;
  source.rows = 3;
  source.width = 20;
  source.row_stride = 20 * sizeof(T);
  values[7] = L::max();
  check::that(source.all_finite() && source.in_place<T>(), "large numbers are finite");
  for (T bad : {L::quiet_NaN(), L::infinity(), -L::infinity()})
    for (size_t at : {0, 31, 59}) {
      values.assign(60, 1);
      values[at] = bad;
      check::that(!source.all_finite(), "a number that is not finite is found");
    }
}

}  // namespace

int main() {
  test_finite<float>();
  test_finite<double>();
  check::each_table([](const auto& k) {
    test_variable(k);
    test_sources(k);
  });
  return check::summary();
}
