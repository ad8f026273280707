// The operations of the update span: clipping, the optimisers' steps, and constraints.
#include <cmath>

#include "embedding.h"
#include "gradients.h"

namespace deltaprop {
namespace {

// The largest tile of any level.
constexpr size_t kMostTileRows = 6, kWidestPanelBytes = 256;

template <class T>
void square_sum(const Case<T>& c) {
  if (c.team.thread != 0) return;
  const Packed<T>& g = c.variable(c.in(0)).main();
  double sum = 0;
  for (size_t p = 0; p < g.panels.count; ++p) c.kernels.square_sum(g.panel(p), g.depth, g.panels.width(p), &sum);
  c.sums(c.out(0))[0] = sum;
}

template <class T>
void clip_norm(const Case<T>& c) {
  double square = 0;
  for (size_t i = 1; i < c.op.in.size(); ++i) square += c.sums(c.in(i))[0];
  const double norm = std::sqrt(square), limit = c.op.attributes[0];
  if (norm <= limit) return;
  const Packed<T>& g = c.variable(c.out(0)).main();
  c.each_span(g, [&](size_t at, size_t n) { c.kernels.scale(g.data + at, static_cast<T>(limit / norm), n); });
}

template <class T>
void clip_value(const Case<T>& c) {
  const Packed<T>& g = c.variable(c.out(0)).main();
  c.each_span(g, [&](size_t at, size_t n) { c.kernels.clip(g.data + at, static_cast<T>(c.op.attributes[0]), n); });
}

// One optimiser step on n elements from `at` on; slots are out(first_slot), ...
template <class T>
UpdateSpan<T> update_span(const Case<T>& c, const Packed<T>& w, size_t at, size_t n, size_t first_slot) {
  UpdateSpan<T> u{};
  u.w = w.data + at;
  for (size_t i = first_slot; i < c.op.out.size(); ++i) u.slot[i - first_slot] = c.variable(c.out(i)).main().data + at;
  u.n = n;
  const double factor = c.op.attributes[1];
  u.rate = factor * c.at.scalars[0];
  u.decay = factor * c.at.scalars[1] * c.op.attributes[0];
  u.constants = c.op.attributes.data() + 2;
  u.more = c.at.scalars + 2;
  return u;
}

template <class T>
void update_from(const Case<T>& c, const Variable<T>& w, const Variable<T>& gradient, size_t first_slot) {
  c.each_span(w.main(), [&](size_t at, size_t n) {
    UpdateSpan<T> u = update_span(c, w.main(), at, n, first_slot);
    u.g = gradient.main().data + at;
    c.kernels.update[static_cast<size_t>(c.op.function)](u);
  });
  if (w.has_mirror()) c.each_piece(w.main(), [&](size_t p, size_t from, size_t to) { w.refresh_mirror(p, from, to); });
}

template <class T>
void update(const Case<T>& c) {
  update_from(c, c.variable(c.in(0)), c.variable(c.in(1)), 1);
}

template <class T>
void single_row_update(const Case<T>& c, const Variable<T>& w) {
  const Packed<T>& main = w.main();
  const int scalar = w.transposed() ? c.in(1) : c.in(0), vector = w.transposed() ? c.in(0) : c.in(1);
  c.each_piece(main, [&](size_t p, size_t from, size_t to) {
    const size_t width = main.panels.width(p);
    UpdateSpan<T> u = update_span(c, main, main.depth * main.panels.first(p) + from * width, (to - from) * width, 2);
    u.x = c.row(scalar, 0) + from;
    u.dy = c.row(vector, 0) + main.panels.first(p);
    u.width = width;
    alignas(64) T padded_with_zeros[kWidestPanelBytes / sizeof(T)] = {};
    if (main.valid(p) < width) u.dy = std::copy_n(u.dy, main.valid(p), padded_with_zeros) - main.valid(p);
    c.kernels.update[static_cast<size_t>(c.op.function)](u);
    // Else only input gradients of more than one row read it: the executor refreshes it when the run is over.
    if (c.work.forward_mirrors[static_cast<size_t>(c.in(2))]) w.refresh_mirror(p, from, to);
  });
}

// The gradient is used up as it is formed, unless it is a sum over the blocks of a long batch.
template <class T>
void dense_update(const Case<T>& c) {
  const Variable<T>& w = c.variable(c.in(2));
  if (c.at.batch_rows == 1) return single_row_update(c, w);
  if (c.at.rows != c.at.batch_rows || c.at.rows > c.kernels.outer_rows) {
    weight_gradient(c, c.variable(c.out(1)), c.in(0), c.in(1), c.at.first_row > 0);
    if (c.at.last_block()) update_from(c, w, c.variable(c.out(1)), 2);
    return;
  }
  alignas(64) T tiles[2 * kMostTileRows * kWidestPanelBytes / sizeof(T)];
  each_outer_product(c, w, c.in(0), c.in(1), 0, c.at.rows,
                     [&](OuterProduct<T>& product, size_t p, size_t from, size_t to) {
                       product.g = tiles;
                       const size_t at = w.main().depth * w.main().panels.first(p) + from * product.width;
                       c.kernels.outer_product_update[static_cast<size_t>(c.op.function)](
                           product, update_span(c, w.main(), at, (to - from) * product.width, 2));
                       if (w.has_mirror()) w.refresh_mirror(p, from, to);
                     });
}

template <class T>
void bias_update(const Case<T>& c) {
  sum_rows(c, c.out(1), c.in(0));
  if (!c.at.last_block()) return;
  update_from(c, c.variable(c.in(1)), c.variable(c.out(1)), 2);
}

// One row's step; where the columns of a row lie apart there are few, and they are copied side by side.
template <class T>
void descend(const Case<T>& c, const Table<T>& w, const Table<T>& g, size_t id) {
  constexpr size_t kUnit = 64 / sizeof(T);
  const auto step = [&](T* row, const T* gradient, size_t n) {
    UpdateSpan<T> u = update_span(c, c.variable(c.in(2)).main(), 0, n, 2);
    u.w = row;
    u.g = gradient;
    c.kernels.update[static_cast<size_t>(c.op.function)](u);
  };
  w.each_piece(id, [&](size_t, T* row, size_t stride, size_t n) {
    if (stride == 1) return step(row, g.data() + (row - w.data()), (n + kUnit - 1) / kUnit * kUnit);
    alignas(64) T copied[kUnit] = {}, gradient[kUnit] = {};
    w.read(id, copied);
    g.read(id, gradient);
    step(copied, gradient, kUnit);
    w.write(id, copied);
  });
}

// Rows without a gradient stay as they are, and nobody touches them, unless a batch is so long that its first ids are
// forgotten in the end.
template <class T>
void embedding_update(const Case<T>& c) {
  const Table<T> w(c.variable(c.in(2))), g(c.variable(c.out(1)));
  const auto each_row_that_occurs = [&](const auto& f) { each_own_id(c, g, c.in(0), c.in(1), f); };
  const bool whole = c.at.rows == c.at.batch_rows;
  if (whole)
    each_row_that_occurs([&](size_t id, const T*) { g.clear(id); });
  else if (c.at.first_row == 0)
    each_own_id(c, g, [&](size_t id) { g.clear(id); });
  each_row_that_occurs([&](size_t id, const T* dy) { g.add(id, dy); });
  if (whole) {
    each_row_that_occurs([&](size_t id, const T*) {
      descend(c, w, g, id);
      g.clear(id);  // the next time that it occurs
    });
  } else if (c.at.last_block()) {
    each_own_id(c, g, [&](size_t id) { descend(c, w, g, id); });
  }
}

template <class T>
void ema(const Case<T>& c) {
  const Variable<T>& w = c.variable(c.in(0));
  const Packed<T>& average = c.variable(c.in(1)).main();
  const double momentum = c.at.step == 0 ? 0 : c.op.attributes[0];
  const auto every = static_cast<std::uint64_t>(c.op.attributes[1]);
  const bool overwrite = every > 0 && (c.at.step + 1) % every == 0;
  c.each_span(average, [&](size_t at, size_t n) {
    c.kernels.ema(w.main().data + at, static_cast<T>(momentum), average.data + at, n);
    if (overwrite) std::copy_n(average.data + at, n, w.main().data + at);
  });
  if (overwrite && w.has_mirror())
    c.each_piece(w.main(), [&](size_t p, size_t from, size_t to) { w.refresh_mirror(p, from, to); });
}

// Norms over the whole variable are one thread's work; else threads own panels, or rows across all panels.
template <class T>
void min_max_norm(const Case<T>& c) {
  const Variable<T>& variable = c.variable(c.out(0));
  const Packed<T>& w = variable.main();
  const std::vector<double>& a = c.op.attributes;
  const NormLimits<T> limits{static_cast<T>(a[0]), static_cast<T>(a[1]), static_cast<T>(a[2]),
                             static_cast<T>(1 - a[2])};
  if (a[3] < 0) {
    if (c.team.thread == 0) {
      c.kernels.limit_norm(w.data, w.depth, w.panels, limits);
      variable.refresh_mirror();
    }
  } else if ((a[3] == 0) != variable.transposed()) {
    each_tiles(w.panels.count, 1, 1, c.team, [&](size_t p, size_t, size_t) {
      c.kernels.limit_column_norms(w.panel(p), w.depth, w.panels.width(p), limits);
      variable.refresh_mirror(p, 0, w.depth);
    });
  } else {
    each_tiles(1, w.depth, c.kernels.tile_rows, c.team, [&](size_t, size_t from, size_t to) {
      c.kernels.limit_row_norms(w.data, w.depth, w.panels, from, to, limits);
      for (size_t p = 0; p < w.panels.count; ++p) variable.refresh_mirror(p, from, to);
    });
  }
}

template <class T>
void non_neg(const Case<T>& c) {
  const Variable<T>& variable = c.variable(c.out(0));
  const Packed<T>& w = variable.main();
  const auto relu = c.kernels.activation[size(Activation::relu)].value;
  c.each_span(w, [&](size_t at, size_t n) { relu(w.data + at, w.data + at, n, T{0}); });
  c.each_piece(w, [&](size_t p, size_t from, size_t to) { variable.refresh_mirror(p, from, to); });
}

}  // namespace

template <class T>
Operation<T> update_operation(Kind kind) {
  switch (kind) {
    case Kind::square_sum: return square_sum<T>;
    case Kind::clip_norm: return clip_norm<T>;
    case Kind::clip_value: return clip_value<T>;
    case Kind::update: return update<T>;
    case Kind::dense_update: return dense_update<T>;
    case Kind::bias_update: return bias_update<T>;
    case Kind::embedding_update: return embedding_update<T>;
    case Kind::ema: return ema<T>;
    case Kind::min_max_norm: return min_max_norm<T>;
    case Kind::non_neg: return non_neg<T>;
    default: return nullptr;
  }
}

template Operation<float> update_operation(Kind);
template Operation<double> update_operation(Kind);

}  // namespace deltaprop
