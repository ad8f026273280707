// The three matrix products of a dense layer on packed weight panels. One micro-kernel serves them all: a tile of rows
// x vectors stays in registers while the contraction runs, so each output element is one FMA chain in index order,
// whatever the tile, the thread or the ISA level.
#pragma once

#include "table.h"
#include "vec.h"

namespace {

// The largest tile that leaves registers for one row of w and a broadcast: 6 x 4 of 32 registers, 6 x 2 or 3 x 4 of 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr size_t kTileRows = 6;
constexpr size_t kPanelVectors = 4;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr size_t kTileRows = 6;
constexpr size_t kPanelVectors = 2;
#else
constexpr size_t kTileRows = 3;
constexpr size_t kPanelVectors = 4;
#endif
// Where panels are narrow, an outer product reads x again for every few columns: so few rows that they stay in the L1
// cache.
constexpr size_t kOuterRows = kPanelVectors * kVectorBytes > 64 ? 1024 : 64;
constexpr size_t kPanelUnits = kPanelVectors * kVectorBytes / 64;
constexpr size_t kUnitVectors = 64 / kVectorBytes;

// One type, so that one copy of a kernel serves all who have nothing to do aside.
struct Nothing {
  void operator()() const {}
};

// acc[i][v] = step(x(i, k), w(k, v), acc[i][v], i, v) for each k in turn. x(i, k) is x[i * stride + k], or
// x[k * stride + i] where the contraction runs over the rows of x. What `aside` does for each k shares the issue slots
// that the steps leave.
template <class T, size_t R, size_t V, bool kOverRows, class Step, class Aside>
inline void contract(Vec<T> (&acc)[R][V], const T* x, size_t x_stride, const T* w, size_t w_stride, size_t depth,
                     const Step& step, const Aside& aside) {
  size_t k = 0;
  do {  // depth > 0: a loop that might not run costs copies of all of acc
    Vec<T> row[V];
    unroll<V>([&](auto v) { row[v] = load(w + v * kLanes<T>); });
    unroll<R>([&](auto i) {
      const Vec<T> a = broadcast(kOverRows ? x[k * x_stride + i] : x[i * x_stride + k]);
      unroll<V>([&](auto v) { acc[i][v] = step(a, row[v], acc[i][v], i, v); });
    });
    aside();
    w += w_stride;
  } while (++k < depth);
}

// acc[i][v] += sum over k of x(i, k) w(k, v)
template <class T, size_t R, size_t V, bool kOverRows, class Aside>
inline void multiply(Vec<T> (&acc)[R][V], const T* x, size_t x_stride, const T* w, size_t w_stride, size_t depth,
                     const Aside& aside) {
  const auto step = [](Vec<T> a, Vec<T> b, Vec<T> sum, size_t, size_t) { return fma(a, b, sum); };
  contract<T, R, V, kOverRows>(acc, x, x_stride, w, w_stride, depth, step, aside);
}

// f(acc[i][v], i, column of v) for the whole tile.
template <class T, size_t R, size_t V, class F>
inline void each_accumulator(Vec<T> (&acc)[R][V], const F& f) {
  unroll<R>([&](auto i) { unroll<V>([&](auto v) { f(acc[i][v], i, v * kLanes<T>); }); });
}

// A tile has run<R, V>(p, at): R rows from `at` on, of a panel V registers wide, of its operands p.
enum class Finish { none, relu, mask };

// y = x w, started from the bias and finished in registers: ReLU, or the ReLU mask of the layer below.
template <class T, Finish kFinish>
struct ProductTile {
  const deltaprop::Product<T>& operands;

  template <size_t R, size_t V>
  void run(const deltaprop::Product<T>& p, size_t row) const {
    T* const y = p.y + row * p.y_stride;
    Vec<T> acc[R][V];
    if (p.bias) {
      each_accumulator<T>(acc, [&](Vec<T>& a, size_t, size_t j) { a = load(p.bias + j); });
    } else if (p.accumulate) {
      each_accumulator<T>(acc, [&](Vec<T>& a, size_t i, size_t j) { a = load(y + i * p.y_stride + j); });
    } else {
      each_accumulator<T>(acc, [](Vec<T>& a, size_t, size_t) { a = Vec<T>{}; });
    }
    multiply<T, R, V, false>(acc, p.x + row * p.x_stride, p.x_stride, p.w, V * kLanes<T>, p.depth, Nothing{});
    each_accumulator<T>(acc, [&](Vec<T>& a, size_t i, size_t j) {
      if (kFinish == Finish::relu) a = max(Vec<T>{}, a);
      if (kFinish == Finish::mask) a = select<T>(load(p.mask + (row + i) * p.mask_stride + j) > Vec<T>{}, a, Vec<T>{});
      store(y + i * p.y_stride + j, a);
    });
  }
};

// g = x' dy: the contraction runs over the rows of the batch, the tile over the rows of g and columns of a panel.
template <class T>
struct OuterProductTile {
  const deltaprop::OuterProduct<T>& operands;
  size_t column = 0;

  template <size_t R, size_t V>
  void run(const deltaprop::OuterProduct<T>& p, size_t k) const {
    form<R, V>(p, k, p.g + k * p.width + column, p.width, Nothing{});
  }

  // Writes rows [k, k + R) to g, and does something else once for each row of the batch.
  template <size_t R, size_t V, class Aside>
  void form(const deltaprop::OuterProduct<T>& p, size_t k, T* g, size_t g_stride, const Aside& aside) const {
    Vec<T> acc[R][V];
    if (p.accumulate) {
      each_accumulator<T>(acc, [&](Vec<T>& a, size_t i, size_t j) { a = load(g + i * g_stride + j); });
    } else {
      each_accumulator<T>(acc, [](Vec<T>& a, size_t, size_t) { a = Vec<T>{}; });
    }
    multiply<T, R, V, true>(acc, p.x + k, p.x_stride, p.dy + column, p.dy_stride, p.rows, aside);
    each_accumulator<T>(acc, [&](Vec<T>& a, size_t i, size_t j) { store(g + i * g_stride + j, a); });
    for (size_t i = 0; p.valid < column + V * kLanes<T> && i < R; ++i)
      for (size_t j = p.valid > column ? p.valid - column : 0; j < V * kLanes<T>; ++j) g[i * g_stride + j] = 0;
  }
};

// So many tiles below one another. Flattened, because a single call left in them would keep the accumulators in memory;
// with copies in registers, because a store could change anything else.
template <size_t R, size_t V, class Tile>
__attribute__((noinline, flatten)) void repeat(const Tile& tile, size_t at, size_t tiles) {
  const Tile local = tile;
  const auto p = local.operands;
  for (; tiles > 0; --tiles, at += R) local.template run<R, V>(p, at);
}

template <size_t V, size_t R, size_t kFewest, class Tile>
inline void repeat_rows(const Tile& tile, size_t at, size_t rows, size_t tiles) {
  if constexpr (R > kFewest) {
    if (rows < R) return repeat_rows<V, R - 1, kFewest>(tile, at, rows, tiles);
  }
  repeat<R, V>(tile, at, tiles);
}

// n rows are spread evenly over tiles of at most R: 6, 6, 5, 5 and never 6, 6, 6, 4.
inline size_t lowest_tile(size_t n, size_t R) { return n / ((n + R - 1) / R); }

// n rows of a panel of that width, none of whose tiles is lower than kFewest.
template <class T, size_t V = kPanelVectors, size_t R = kTileRows, size_t kFewest = 1, class Tile>
inline void run_tiles(const Tile& tile, size_t width, size_t n) {
  if constexpr (V > kUnitVectors) {
    if (width < V * kLanes<T>) return run_tiles<T, V - kUnitVectors, R, kFewest>(tile, width, n);
  }
  const size_t tiles = (n + R - 1) / R, fewest = lowest_tile(n, R), larger = n - fewest * tiles;
  if (larger > 0) repeat_rows<V, R, kFewest>(tile, 0, fewest + 1, larger);
  repeat_rows<V, R, kFewest>(tile, larger * (fewest + 1), fewest, tiles - larger);
}

template <class T>
void product(const deltaprop::Product<T>& p) {
  if (p.relu) return run_tiles<T>(ProductTile<T, Finish::relu>{p}, p.width, p.rows);
  if (p.mask) return run_tiles<T>(ProductTile<T, Finish::mask>{p}, p.width, p.rows);
  run_tiles<T>(ProductTile<T, Finish::none>{p}, p.width, p.rows);
}

// Tiles at most V vectors wide, with the rows of x that they read in the cache from one to the next.
template <class T, size_t R, size_t V>
inline void outer_product(const deltaprop::OuterProduct<T>& p) {
  for (size_t j = 0; j < p.width; j += V * kLanes<T>)
    run_tiles<T, V, R>(OuterProductTile<T>{p, j}, p.width - j, p.depth);
}

// The shorter the contraction, the more the stores at its end count, and the fewer of them can wait beside the FMAs of
// the next tile.
template <class T>
void outer_product(const deltaprop::OuterProduct<T>& p) {
  constexpr size_t kFewVectors = kUnitVectors > 2 ? kUnitVectors : 2, kFewRows = kTileRows < 4 ? kTileRows : 4;
  if (p.rows <= 16) return outer_product<T, kFewRows, kFewVectors>(p);
  if (p.rows <= 64) return outer_product<T, kTileRows, kFewVectors>(p);
  outer_product<T, kTileRows, kPanelVectors>(p);
}

// g += the sum of the rows of dy, in row order: a chain of additions per column, several columns at a time.
template <class T, size_t V>
inline void add_columns(const T* dy, size_t dy_stride, size_t rows, T* g, bool accumulate) {
  Vec<T> sum[V];
  unroll<V>([&](auto v) { sum[v] = accumulate ? load(g + v * kLanes<T>) : Vec<T>{}; });
  for (size_t r = 0; r < rows; ++r)
    unroll<V>([&](auto v) { sum[v] = sum[v] + load(dy + r * dy_stride + v * kLanes<T>); });
  unroll<V>([&](auto v) { store(g + v * kLanes<T>, sum[v]); });
}

template <class T>
void add_rows(const T* dy, size_t dy_stride, size_t rows, size_t n, T* g, bool accumulate) {
  size_t j = 0;
  for (; j + 4 * kLanes<T> <= n; j += 4 * kLanes<T>) add_columns<T, 4>(dy + j, dy_stride, rows, g + j, accumulate);
  for (; j < n; j += kLanes<T>) add_columns<T, 1>(dy + j, dy_stride, rows, g + j, accumulate);
}

// z + b
template <class T>
void add_bias(const T* z, const T* bias, T* y, size_t n) {
  for (size_t j = 0; j < n; j += kLanes<T>) store(y + j, load(z + j) + load(bias + j));
}

// One step of a transpose in registers: swaps the upper right and lower left blocks of size kSize of two rows.
template <class T, size_t kSize, size_t... kLane>
inline void swap_blocks(Vec<T>& a, Vec<T>& b, Indices<kLane...>) {
  const Vec<T> low = __builtin_shufflevector(a, b, (kLane & kSize ? kLane - kSize + kLanes<T> : kLane)...);
  b = __builtin_shufflevector(a, b, (kLane & kSize ? kLane + kLanes<T> : kLane + kSize)...);
  a = low;
}

template <class T, size_t kSize = 1>
inline void transpose_block(Vec<T> (&rows)[kLanes<T>]) {
  if constexpr (kSize < kLanes<T>) {
    for (size_t i = 0; i < kLanes<T>; ++i)
      if (!(i & kSize)) swap_blocks<T, kSize>(rows[i], rows[i + kSize], MakeIndices<kLanes<T>>{});
    transpose_block<T, 2 * kSize>(rows);
  }
}

// Products of R rows with one vector, summed in the order of Lanes16: the row of each is folded together with those of
// the others, so that a shuffle serves two of them.
template <class T, size_t R>
class RowSums {
 public:
  // The products of one unit of columns; row i of them is at rows + i * stride.
  void add(size_t column, const T* rows, size_t stride, const T* one) {
    if (kVectors < kParts && column / kUnit<T> % 2) return add<kParts - kVectors>(rows, stride, one);
    add<0>(rows, stride, one);
  }

  // Lane i has the sum of row i.
  Vec<T> sums() {
    for (size_t half = kParts / 2; half > 0; half /= 2)
      for (size_t p = 0; p < half; ++p) unroll<R>([&](auto i) { part_[i][p] = part_[i][p] + part_[i][p + half]; });
    return fold<kLanes<T> / 2>();
  }

 private:
  static constexpr size_t kParts = Lanes16<T>::kCount, kVectors = kUnit<T> / kLanes<T>;

  template <size_t kFirst>
  void add(const T* rows, size_t stride, const T* one) {
    unroll<kVectors>([&](auto v) {
      const Vec<T> b = load(one + v * kLanes<T>);
      unroll<R>([&](auto i) {
        Vec<T>& sum = part_[i][kFirst + v];
        sum = fma(load(rows + i * stride + v * kLanes<T>), b, sum);
      });
    });
  }

  template <size_t kDistance>
  Vec<T> fold() {
    if constexpr (kDistance == 0) {
      return part_[0][0];
    } else if constexpr (kDistance >= R) {
      unroll<R>(
          [&](auto i) { part_[i][0] = part_[i][0] + exchange<T, kDistance>(part_[i][0], MakeIndices<kLanes<T>>{}); });
      return fold<kDistance / 2>();
    } else {
      unroll<kDistance>([&](auto i) {
        Vec<T>&a = part_[i][0], &b = part_[i + kDistance][0];
        swap_blocks<T, kDistance>(a, b, MakeIndices<kLanes<T>>{});
        a = a + b;
      });
      return fold<kDistance / 2>();
    }
  }

  Vec<T> part_[R][kParts] = {};
};

// As many as there are registers for.
template <class T>
constexpr size_t kSummedRows = kLanes<T> > Lanes16<T>::kCount ? kLanes<T> / Lanes16<T>::kCount : 1;

// R outputs side by side in rows r, r + 1, ... of x, or, for a single row, in columns i, i + 1, ...
template <class T, size_t R, bool kColumns>
inline Vec<T> row_sums(const deltaprop::NarrowProduct<T>& p, size_t r, size_t i) {
  RowSums<T, R> sums;
  for (size_t panel = 0, first = 0; panel < p.panels.count; first += p.panels.width(panel++)) {
    const size_t width = p.panels.width(panel), left = p.depth - first;
    const size_t whole = left < width ? left / kUnit<T> * kUnit<T> : width;
    const T* x = p.x + r * p.x_stride + first;
    const T* w = p.w + p.n * first + i * width;
    for (size_t j = 0; j < whole; j += kUnit<T>)
      kColumns ? sums.add(first + j, w + j, width, x + j) : sums.add(first + j, x + j, p.x_stride, w + j);
    if (whole == width || whole == left) continue;
    // The last unit of x: what lies behind the row is not read as a number.
    constexpr size_t kRows = kColumns ? 1 : R;
    T rest[kRows][kUnit<T>] = {};
    for (size_t row = 0; row < kRows; ++row)
      for (size_t j = whole; j < left; ++j) rest[row][j - whole] = x[row * p.x_stride + j];
    kColumns ? sums.add(first + whole, w + whole, width, rest[0])
             : sums.add(first + whole, rest[0], kUnit<T>, w + whole);
  }
  return sums.sums();
}

// f(Constant<R>, at) for [from, to), R at a time as long as they last, then one by one.
template <size_t R, class F>
inline void each_group(size_t from, size_t to, const F& f) {
  for (; from + R <= to; from += R) f(Constant<R>{}, from);
  for (; from < to; ++from) f(Constant<1>{}, from);
}

template <class T>
void narrow_product(const deltaprop::NarrowProduct<T>& p) {
  const auto finish = [&](T* y, T sum, size_t i) {
    const T z = sum + (p.bias ? p.bias[i] : T{0});
    *y = p.relu && z < 0 ? T{0} : z;
  };
  each_group<kSummedRows<T>>(0, p.rows, [&](auto rows, size_t r) {
    T* const y = p.y + r * p.y_stride;
    for (size_t row = 0; row < rows; ++row)
      for (size_t j = 0; j < kUnit<T>; ++j) y[row * p.y_stride + j] = 0;
    for (size_t i = 0; i < p.n; ++i) {
      const Vec<T> sums = row_sums<T, rows, false>(p, r, i);
      for (size_t row = 0; row < rows; ++row) finish(y + row * p.y_stride + i, sums[row], i);
    }
  });
}

template <class T>
void row_product(const deltaprop::NarrowProduct<T>& p, size_t from, size_t to) {
  each_group<kSummedRows<T>>(from, to, [&](auto columns, size_t i) {
    const Vec<T> sums = row_sums<T, columns, true>(p, 0, i);
    for (size_t j = 0; j < columns; ++j) p.y[i + j] = p.bias ? sums[j] + p.bias[i + j] : sums[j];
  });
}

// t = w' for a (rows, n) piece of a panel, in square blocks of registers; what is left at the edges goes one by one.
template <class T>
void transpose(const T* w, size_t w_stride, size_t rows, size_t n, T* t, size_t t_stride) {
  constexpr size_t L = kLanes<T>;
  const size_t whole_rows = rows / L * L, whole_n = n / L * L;
  for (size_t i = 0; i < whole_rows; i += L)
    for (size_t j = 0; j < whole_n; j += L) {
      Vec<T> block[L];
      for (size_t k = 0; k < L; ++k) block[k] = load(w + (i + k) * w_stride + j);
      transpose_block<T>(block);
      for (size_t k = 0; k < L; ++k) store(t + (j + k) * t_stride + i, block[k]);
    }
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = i < whole_rows ? whole_n : 0; j < n; ++j) t[j * t_stride + i] = w[i * w_stride + j];
}

}  // namespace
