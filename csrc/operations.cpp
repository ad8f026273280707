// The cases of the executor: each operation's operands, its share of the work, and the kernel that does it.
#include "operations.h"

#include <cmath>

#include "share.h"

namespace deltaprop {
namespace {

// The largest tile of any level.
constexpr size_t kMostTileRows = 6, kWidestPanelBytes = 256;
// More rows than this are packed before they are contracted.
constexpr size_t kUnpackedRows = 64;

template <class T>
class Case {
 public:
  Case(const Op& op, Workspace<T>& work, const Position& at, const Team& team)
      : op_(op), work_(work), kernels_(*work.kernels), at_(at), team_(team) {}

  void run() const {
    switch (op_.kind) {
      case Kind::dense: return dense();
      case Kind::add_bias: return add_bias();
      case Kind::activation: return activation();
      case Kind::softmax: return softmax();
      case Kind::dropout: return dropout();
      case Kind::loss: return loss();
      case Kind::reduce: return reduce();
      case Kind::penalty: return penalty();
      case Kind::activation_grad: return activation_grad();
      case Kind::softmax_grad: return softmax_grad();
      case Kind::dropout_grad: return dropout_grad();
      case Kind::dense_grad_w: return dense_grad_w();
      case Kind::bias_grad: return bias_grad(op_.out[0], op_.in[0]);
      case Kind::dense_grad_x: return dense_grad_x();
      case Kind::penalty_grad: return penalty_grad();
      case Kind::square_sum: return square_sum();
      case Kind::clip_norm: return clip_norm();
      case Kind::clip_value: return clip_value();
      case Kind::update: return update();
      case Kind::dense_update: return dense_update();
      case Kind::bias_update: return bias_update();
      case Kind::count: break;
    }
  }

 private:
  int in(size_t i) const { return i < op_.in.size() ? op_.in[i] : -1; }
  int out(size_t i) const { return i < op_.out.size() ? op_.out[i] : -1; }
  const Buffer& buffer(int b) const { return work_.plan->buffers[static_cast<size_t>(b)]; }
  const Place<T>& place(int b) const { return work_.place[static_cast<size_t>(b)]; }
  const Variable<T>& variable(int b) const { return *work_.variables[static_cast<size_t>(b)]; }
  std::array<double, 2>& sums(int b) const { return work_.sums[static_cast<size_t>(b)]; }
  T* row(int b, size_t r) const { return b < 0 || !place(b).data ? nullptr : place(b).data + r * place(b).stride; }
  std::uint8_t* mask_row(int b, size_t r) const {
    return reinterpret_cast<std::uint8_t*>(place(b).data) + r * place(b).stride;
  }
  size_t padded(int b) const {
    const size_t unit = 64 / sizeof(T);
    return (buffer(b).width() + unit - 1) / unit * unit;
  }
  // Gradients of parameters are sums over the batch: later blocks of it always add.
  bool accumulate() const { return op_.accumulate || at_.first_row > 0; }

  template <class F>
  void each_row(const F& f) const {
    each_rows(at_.rows, kernels_.tile_rows, team_, [&](size_t from, size_t to) {
      for (size_t r = from; r < to; ++r) f(r);
    });
  }
  template <class F>
  void each_piece(const Packed<T>& w, const F& f) const {
    each_tiles(w.panels.count, w.depth, kernels_.tile_rows, team_, f);
  }
  // f(offset, n) for this thread's part of a variable; the part is contiguous.
  template <class F>
  void each_span(const Packed<T>& w, const F& f) const {
    each_piece(w, [&](size_t p, size_t from, size_t to) {
      const size_t width = w.panels.width(p);
      f(w.depth * w.panels.first(p) + from * width, (to - from) * width);
    });
  }

  void dense() const {
    if (variable(in(1)).narrow()) return narrow_dense();
    const Packed<T>& w = variable(in(1)).forward();
    const auto function = static_cast<Activation>(op_.function);
    const T* bias = in(2) < 0 ? nullptr : variable(in(2)).main().data;
    each_product_rows(w.panels.count, at_.rows, kernels_.tile_rows, team_, [&](size_t p, size_t from, size_t to) {
      const size_t column = w.panels.first(p);
      Product<T> product{};
      product.x = row(in(0), from);
      product.x_stride = place(in(0)).stride;
      product.w = w.panel(p);
      product.bias = bias ? bias + column : nullptr;
      product.y = row(out(0), from) + column;
      product.y_stride = place(out(0)).stride;
      product.rows = to - from;
      product.depth = w.depth;
      product.width = w.panels.width(p);
      product.relu = function == Activation::relu;
      kernels_.product(product);
      if (function == Activation::linear || function == Activation::relu) return;
      for (size_t r = from; r < to; ++r) {  // while they are in the L1 cache
        T* y = row(out(0), r) + column;
        kernels_.activation[size(function)](y, y, product.width);
      }
    });
  }

  void narrow_dense() const {
    const Packed<T>& w = variable(in(1)).main();
    const auto function = static_cast<Activation>(op_.function);
    each_rows(at_.rows, kernels_.tile_rows, team_, [&](size_t from, size_t to) {
      NarrowProduct<T> product{};
      product.x = row(in(0), from);
      product.w = w.data;
      product.bias = in(2) < 0 ? nullptr : variable(in(2)).main().data;
      product.y = row(out(0), from);
      product.x_stride = place(in(0)).stride;
      product.y_stride = place(out(0)).stride;
      product.rows = to - from;
      product.depth = w.columns;
      product.n = w.depth;
      product.panels = w.panels;
      product.relu = function == Activation::relu;
      kernels_.narrow_product(product);
      if (function == Activation::linear || function == Activation::relu) return;
      for (size_t r = from; r < to; ++r)
        kernels_.activation[size(function)](row(out(0), r), row(out(0), r), padded(out(0)));
    });
  }

  void add_bias() const {
    const T* bias = variable(in(1)).main().data;
    each_row([&](size_t r) { kernels_.add_bias(row(in(0), r), bias, row(out(0), r), padded(out(0))); });
  }

  void activation() const {
    const auto f = kernels_.activation[static_cast<size_t>(op_.function)];
    each_row([&](size_t r) { f(row(in(0), r), row(out(0), r), padded(out(0))); });
  }

  void softmax() const {
    each_row([&](size_t r) { kernels_.softmax(row(in(0), r), row(out(0), r), buffer(out(0)).width()); });
  }

  void dropout() const {
    if (!at_.training && place(in(0)).data == place(out(0)).data) return;
    each_rows(at_.rows, kernels_.tile_rows, team_, [&](size_t from, size_t to) {
      if (!at_.training) {
        for (size_t r = from; r < to; ++r) std::copy_n(row(in(0), r), padded(in(0)), row(out(0), r));
        return;
      }
      Dropout<T> d{};
      d.x = row(in(0), from);
      d.y = row(out(0), from);
      d.mask = mask_row(out(1), from);
      d.x_stride = place(in(0)).stride;
      d.y_stride = place(out(0)).stride;
      d.mask_stride = place(out(1)).stride;
      d.rows = to - from;
      d.n = padded(in(0));
      d.first_row = at_.first_row + from;
      d.rate = op_.attributes[0];
      d.op = static_cast<std::uint32_t>(op_.attributes[1]);
      d.seed = at_.seed;
      d.step = at_.step;
      kernels_.dropout(d);
    });
  }

  void loss() const {
    each_rows(at_.rows, kernels_.tile_rows, team_, [&](size_t from, size_t to) {
      LossRows<T> l{};
      l.prediction = row(in(0), from);
      l.target = row(in(1), from);
      l.weight = row(in(2), from);
      l.logits = row(in(3), from);
      l.value = row(out(0), from);
      l.delta = row(out(1), from);
      l.prediction_stride = place(in(0)).stride;
      l.target_stride = place(in(1)).stride;
      l.logits_stride = in(3) < 0 ? 0 : place(in(3)).stride;
      l.delta_stride = out(1) < 0 ? 0 : place(out(1)).stride;
      l.rows = to - from;
      l.n = buffer(in(0)).width();
      l.scale = static_cast<T>(1.0 / static_cast<double>(at_.batch_rows));
      kernels_.loss[static_cast<size_t>(op_.function)](l);
    });
  }

  // In row order and in double, by one thread: the same sum for every number of threads and every cut into blocks.
  void reduce() const {
    if (team_.thread != 0) return;
    const T* value = row(in(0), 0);
    const T* weight = row(in(1), 0);
    double sum = sums(out(0))[0], total = 0;
    for (size_t r = 0; r < at_.rows; ++r) {
      const double w = weight ? static_cast<double>(weight[r]) : 1.0;
      sum += w * static_cast<double>(value[r]);
      total += w;
    }
    sums(out(0))[0] = sum;
    sums(out(0))[1] += op_.attributes[0] != 0 ? total : static_cast<double>(at_.rows);
  }

  // Once per batch, counted for each of its rows, so that it is divided as the losses are.
  void penalty() const {
    if (team_.thread != 0 || at_.first_row != 0) return;
    const Packed<T>& w = variable(in(0)).main();
    double sum = 0;
    for (size_t p = 0; p < w.panels.count; ++p)
      kernels_.penalty(w.panel(p), w.depth, w.panels.width(p), static_cast<T>(op_.attributes[0]),
                       static_cast<T>(op_.attributes[1]), &sum);
    sums(out(0))[0] += sum * static_cast<double>(at_.batch_rows);
  }

  void activation_grad() const {
    const auto f = kernels_.activation_grad[static_cast<size_t>(op_.function)];
    each_row([&](size_t r) { f(row(in(0), r), row(in(1), r), row(out(0), r), padded(out(0))); });
  }

  void softmax_grad() const {
    each_row(
        [&](size_t r) { kernels_.softmax_grad(row(in(0), r), row(in(1), r), row(out(0), r), buffer(out(0)).width()); });
  }

  void dropout_grad() const {
    const T scale = static_cast<T>(1 / (1 - op_.attributes[0]));
    each_row([&](size_t r) {
      kernels_.dropout_grad(row(in(0), r), mask_row(in(1), r), scale, row(out(0), r), padded(out(0)));
    });
  }

  // For this thread's parts of the gradient of w: f(product, p, from, to), with the operands of rows [from, to) of
  // panel p but for where they go.
  template <class F>
  void each_outer_product(const Variable<T>& w, int x, int dz, const F& f) const {
    const Packed<T>& main = w.main();
    // The long side runs along the vectors: that of dz, or for narrow layers that of x.
    const int scalar = w.transposed() ? dz : x, vector = w.transposed() ? x : dz;
    each_piece(main, [&](size_t p, size_t from, size_t to) {
      OuterProduct<T> product{};
      product.x = row(scalar, 0) + from;
      product.x_stride = place(scalar).stride;
      product.width = main.panels.width(p);
      product.valid = main.valid(p);
      product.dy = pack(vector, main.panels.first(p), product.width, &product.dy_stride);
      product.rows = at_.rows;
      product.depth = to - from;
      f(product, p, from, to);
    });
  }

  // The columns [first, first + width) of a buffer of rows, side by side where there are so many rows that their
  // strides would cost a page each.
  const T* pack(int b, size_t first, size_t width, size_t* stride) const {
    const T* rows = row(b, 0) + first;
    *stride = place(b).stride;
    if (at_.rows <= kUnpackedRows) return rows;
    T* packed = reinterpret_cast<T*>(work_.scratch[team_.thread]->data());
    for (size_t r = 0; r < at_.rows; ++r) std::copy_n(rows + r * *stride, width, packed + r * width);
    *stride = width;
    return packed;
  }

  // g = x' dy, written to or added to a gradient that is kept.
  void weight_gradient(const Variable<T>& gradient, int x, int dz, bool accumulate) const {
    const Packed<T>& g = gradient.main();
    each_outer_product(gradient, x, dz, [&](OuterProduct<T> product, size_t p, size_t from, size_t) {
      product.g = g.panel(p) + from * product.width;
      const OuterProduct<T> whole = product;
      for (size_t r = 0; r < whole.rows; r += kernels_.outer_rows) {
        product.x = whole.x + r * whole.x_stride;
        product.dy = whole.dy + r * whole.dy_stride;
        product.rows = std::min(kernels_.outer_rows, whole.rows - r);
        product.accumulate = accumulate || r > 0;
        kernels_.outer_product(product);
      }
    });
  }

  void dense_grad_w() const {
    weight_gradient(variable(out(0)), in(0), in(1), accumulate());
    if (out(1) >= 0) bias_grad(out(1), in(1));
  }

  void bias_grad(int gradient, int dz) const {
    const Packed<T>& g = variable(gradient).main();
    each_piece(g, [&](size_t p, size_t, size_t) {
      kernels_.add_rows(row(dz, 0) + g.panels.first(p), place(dz).stride, at_.rows, g.panels.width(p), g.panel(p),
                        accumulate());
    });
  }

  void dense_grad_x() const {
    const Packed<T>& w = variable(in(1)).backward();
    const auto function = static_cast<Activation>(op_.function);
    each_product_rows(w.panels.count, at_.rows, kernels_.tile_rows, team_, [&](size_t p, size_t from, size_t to) {
      const size_t column = w.panels.first(p);
      Product<T> product{};
      product.x = row(in(0), from);
      product.x_stride = place(in(0)).stride;
      product.w = w.panel(p);
      product.y = row(out(0), from) + column;
      product.y_stride = place(out(0)).stride;
      product.rows = to - from;
      product.depth = w.depth;
      product.width = w.panels.width(p);
      product.accumulate = op_.accumulate;
      if (function == Activation::relu) {
        product.mask = row(in(2), from) + column;
        product.mask_stride = place(in(2)).stride;
      }
      kernels_.product(product);
      if (function == Activation::linear || function == Activation::relu) return;
      for (size_t r = from; r < to; ++r) {
        T* dx = row(out(0), r) + column;
        kernels_.activation_grad[size(function)](dx, row(in(2), r) + column, dx, product.width);
      }
    });
  }

  // Once per batch: it does not depend on the rows.
  void penalty_grad() const {
    if (at_.first_row != 0) return;
    const Packed<T>& w = variable(in(0)).main();
    each_span(w, [&](size_t at, size_t n) {
      kernels_.penalty_grad(w.data + at, static_cast<T>(op_.attributes[0]), static_cast<T>(op_.attributes[1]),
                            variable(out(0)).main().data + at, n);
    });
  }

  void square_sum() const {
    if (team_.thread != 0) return;
    const Packed<T>& g = variable(in(0)).main();
    double sum = 0;
    for (size_t p = 0; p < g.panels.count; ++p) kernels_.square_sum(g.panel(p), g.depth, g.panels.width(p), &sum);
    sums(out(0))[0] = sum;
  }

  void clip_norm() const {
    double square = 0;
    for (size_t i = 1; i < op_.in.size(); ++i) square += sums(in(i))[0];
    const double norm = std::sqrt(square), limit = op_.attributes[0];
    if (norm <= limit) return;
    const Packed<T>& g = variable(out(0)).main();
    each_span(g, [&](size_t at, size_t n) { kernels_.scale(g.data + at, static_cast<T>(limit / norm), n); });
  }

  void clip_value() const {
    const Packed<T>& g = variable(out(0)).main();
    each_span(g, [&](size_t at, size_t n) { kernels_.clip(g.data + at, static_cast<T>(op_.attributes[0]), n); });
  }

  // One optimiser step on n elements from `at` on; slots are out(first_slot), ...
  UpdateSpan<T> update_span(const Packed<T>& w, size_t at, size_t n, size_t first_slot) const {
    UpdateSpan<T> u{};
    u.w = w.data + at;
    for (size_t i = first_slot; i < op_.out.size(); ++i) u.slot[i - first_slot] = variable(out(i)).main().data + at;
    u.n = n;
    u.rate = at_.scalars[0];
    u.decay = at_.scalars[1] * op_.attributes[0];
    u.constants = op_.attributes.data() + 1;
    return u;
  }
  void update_from(const Variable<T>& w, const Variable<T>& gradient, size_t first_slot) const {
    each_span(w.main(), [&](size_t at, size_t n) {
      UpdateSpan<T> u = update_span(w.main(), at, n, first_slot);
      u.g = gradient.main().data + at;
      kernels_.update[static_cast<size_t>(op_.function)](u);
    });
    if (w.has_mirror()) each_piece(w.main(), [&](size_t p, size_t from, size_t to) { w.refresh_mirror(p, from, to); });
  }

  void update() const { update_from(variable(in(0)), variable(in(1)), 1); }

  // The gradient is used up as it is formed, unless it is a sum over the blocks of a long batch.
  void dense_update() const {
    const Variable<T>& w = variable(in(2));
    if (at_.batch_rows == 1) return single_row_update(w);
    if (at_.rows != at_.batch_rows || at_.rows > kernels_.outer_rows) {
      weight_gradient(variable(out(1)), in(0), in(1), at_.first_row > 0);
      if (at_.last_block()) update_from(w, variable(out(1)), 2);
      return;
    }
    alignas(64) T tiles[2 * kMostTileRows * kWidestPanelBytes / sizeof(T)];
    each_outer_product(w, in(0), in(1), [&](OuterProduct<T>& product, size_t p, size_t from, size_t to) {
      product.g = tiles;
      const size_t at = w.main().depth * w.main().panels.first(p) + from * product.width;
      kernels_.outer_product_update[static_cast<size_t>(op_.function)](
          product, update_span(w.main(), at, (to - from) * product.width, 2));
      if (w.has_mirror()) w.refresh_mirror(p, from, to);
    });
  }

  void single_row_update(const Variable<T>& w) const {
    const Packed<T>& main = w.main();
    const int scalar = w.transposed() ? in(1) : in(0), vector = w.transposed() ? in(0) : in(1);
    each_piece(main, [&](size_t p, size_t from, size_t to) {
      const size_t width = main.panels.width(p);
      UpdateSpan<T> u = update_span(main, main.depth * main.panels.first(p) + from * width, (to - from) * width, 2);
      u.x = row(scalar, 0) + from;
      u.dy = row(vector, 0) + main.panels.first(p);
      u.width = width;
      alignas(64) T padded_with_zeros[kWidestPanelBytes / sizeof(T)] = {};
      if (main.valid(p) < width) u.dy = std::copy_n(u.dy, main.valid(p), padded_with_zeros) - main.valid(p);
      kernels_.update[static_cast<size_t>(op_.function)](u);
      if (w.has_mirror()) w.refresh_mirror(p, from, to);
    });
  }

  void bias_update() const {
    bias_grad(out(1), in(0));
    if (!at_.last_block()) return;
    update_from(variable(in(1)), variable(out(1)), 2);
  }

  const Op& op_;
  Workspace<T>& work_;
  const Kernels<T>& kernels_;
  const Position& at_;
  const Team& team_;
};

}  // namespace

template <class T>
void execute(const Op& op, Workspace<T>& work, const Position& at, const Team& team) {
  Case<T>(op, work, at, team).run();
}

template void execute(const Op&, Workspace<float>&, const Position&, const Team&);
template void execute(const Op&, Workspace<double>&, const Position&, const Team&);

}  // namespace deltaprop
