// The operations of the forward span.
#include <limits>

#include "embedding.h"
#include "standardize.h"

namespace deltaprop {
namespace {

// Where a dense layer's product goes: to what keeps the activation's input, or, where nobody reads that, in the place
// of the output. Predictions keep nothing.
template <class T>
int kept_input(const Case<T>& c) {
  return c.out(1) >= 0 && c.place(c.out(1)).data ? c.out(1) : c.out(0);
}

template <class T>
void narrow_dense(const Case<T>& c) {
  const Packed<T>& w = c.variable(c.in(1)).main();
  const auto function = static_cast<Activation>(c.op.function);
  const auto activate = c.kernels.activation[size(function)].value;
  const int z = kept_input(c);
  each_rows(c.at.rows, c.kernels.tile_rows, c.team, [&](size_t from, size_t to) {
    NarrowProduct<T> product{};
    product.x = c.row(c.in(0), from);
    product.w = w.data;
    product.bias = c.in(2) < 0 ? nullptr : c.variable(c.in(2)).main().data;
    product.y = c.row(z, from);
    product.x_stride = c.place(c.in(0)).stride;
    product.y_stride = c.place(z).stride;
    product.rows = to - from;
    product.depth = w.columns;
    product.n = w.depth;
    product.panels = w.panels;
    product.relu = function == Activation::relu;
    c.kernels.narrow_product(product);
    if (function == Activation::linear || function == Activation::relu) return;
    for (size_t r = from; r < to; ++r)
      activate(c.row(z, r), c.row(c.out(0), r), c.padded(c.out(0)), static_cast<T>(c.op.constant()));
  });
}

template <class T>
void wide_dense(const Case<T>& c, const Packed<T>& w) {
  const auto function = static_cast<Activation>(c.op.function);
  const auto activate = c.kernels.activation[size(function)].value;
  const int z = kept_input(c);
  const T* bias = c.in(2) < 0 ? nullptr : c.variable(c.in(2)).main().data;
  each_product_rows(w.panels.count, c.at.rows, c.kernels.tile_rows, c.team, [&](size_t p, size_t from, size_t to) {
    const size_t column = w.panels.first(p);
    Product<T> product = c.product(c.in(0), w, z, p, from, to);
    product.bias = bias ? bias + column : nullptr;
    product.relu = function == Activation::relu;
    c.kernels.product(product);
    if (function == Activation::linear || function == Activation::relu) return;
    for (size_t r = from; r < to; ++r)  // while they are in the L1 cache
      activate(c.row(z, r) + column, c.row(c.out(0), r) + column, product.width, static_cast<T>(c.op.constant()));
  });
}

template <class T>
void dense(const Case<T>& c) {
  const Variable<T>& w = c.variable(c.in(1));
  w.narrow() ? narrow_dense(c) : wide_dense(c, w.forward());
}

template <class T>
void dense_transposed(const Case<T>& c) {
  wide_dense(c, c.variable(c.in(1)).backward());
}

template <class T>
void add_bias(const Case<T>& c) {
  const T* bias = c.variable(c.in(1)).main().data;
  c.each_row([&](size_t r) { c.kernels.add_bias(c.row(c.in(0), r), bias, c.row(c.out(0), r), c.padded(c.out(0))); });
}

template <class T>
void activation(const Case<T>& c) {
  const auto f = c.kernels.activation[static_cast<size_t>(c.op.function)].value;
  const T alpha = static_cast<T>(c.op.constant());
  c.each_row([&](size_t r) { f(c.row(c.in(0), r), c.row(c.out(0), r), c.padded(c.out(0)), alpha); });
}

template <class T>
void softmax(const Case<T>& c) {
  c.each_row([&](size_t r) { c.kernels.softmax(c.row(c.in(0), r), c.row(c.out(0), r), c.buffer(c.out(0)).width()); });
}

template <class T>
void prelu(const Case<T>& c) {
  const T* alpha = c.variable(c.in(1)).main().data;
  const bool shared = c.buffer(c.in(1)).width() == 1;
  c.each_row(
      [&](size_t r) { c.kernels.prelu(c.row(c.in(0), r), alpha, shared, c.row(c.out(0), r), c.padded(c.out(0))); });
}

template <class T>
void log_softmax(const Case<T>& c) {
  c.each_row(
      [&](size_t r) { c.kernels.log_softmax(c.row(c.in(0), r), c.row(c.out(0), r), c.buffer(c.out(0)).width()); });
}

template <class T>
void distance(const Case<T>& c) {
  const Packed<T>& w = c.variable(c.in(1)).forward();
  each_product_rows(w.panels.count, c.at.rows, c.kernels.tile_rows, c.team, [&](size_t p, size_t from, size_t to) {
    c.kernels.distance(c.product(c.in(0), w, c.out(0), p, from, to));
  });
}

template <class T>
void gaussian(const Case<T>& c) {
  const T* s = c.variable(c.in(1)).main().data;
  c.each_row(
      [&](size_t r) { c.kernels.gaussian(c.row(c.in(0), r), s, c.row(c.out(0), r), c.buffer(c.out(0)).width()); });
}

// Out of training y is x.
template <class T>
void pass_through(const Case<T>& c) {
  if (c.place(c.in(0)).data == c.place(c.out(0)).data) return;
  c.each_row([&](size_t r) { std::copy_n(c.row(c.in(0), r), c.padded(c.in(0)), c.row(c.out(0), r)); });
}

template <class T>
void drop(const Case<T>& c, double scale, double shift, double dropped) {
  if (!c.at.training) return pass_through(c);
  each_rows(c.at.rows, c.kernels.tile_rows, c.team, [&](size_t from, size_t to) {
    Dropout<T> d{};
    d.x = c.row(c.in(0), from);
    d.y = c.row(c.out(0), from);
    d.mask = c.mask_row(c.out(1), from);
    d.x_stride = c.place(c.in(0)).stride;
    d.y_stride = c.place(c.out(0)).stride;
    d.mask_stride = c.place(c.out(1)).stride;
    d.rows = to - from;
    d.n = c.padded(c.in(0));
    d.first_row = c.at.first_row + from;
    d.rate = c.op.attributes[0];
    d.scale = static_cast<T>(scale);
    d.shift = static_cast<T>(shift);
    d.dropped = static_cast<T>(dropped);
    d.op = static_cast<std::uint32_t>(c.op.attributes[1]);
    d.seed = c.at.seed;
    d.step = c.at.step;
    c.kernels.dropout(d);
  });
}

template <class T>
void dropout(const Case<T>& c) {
  drop(c, 1 / (1 - c.op.attributes[0]), 0, 0);
}

template <class T>
void alpha_dropout(const Case<T>& c) {
  drop(c, c.op.attributes[2], c.op.attributes[3], c.op.attributes[4]);
}

// Adds the noise, or multiplies by it where it is kept as a second result.
template <class T>
void gaussian_noise(const Case<T>& c) {
  if (!c.at.training) return pass_through(c);
  each_rows(c.at.rows, c.kernels.tile_rows, c.team, [&](size_t from, size_t to) {
    GaussianNoise<T> g{};
    g.x = c.row(c.in(0), from);
    g.y = c.row(c.out(0), from);
    g.noise = c.row(c.out(1), from);
    g.x_stride = c.place(c.in(0)).stride;
    g.y_stride = c.place(c.out(0)).stride;
    g.noise_stride = c.out(1) < 0 ? 0 : c.place(c.out(1)).stride;
    g.rows = to - from;
    g.n = c.padded(c.in(0));
    g.first_row = c.at.first_row + from;
    g.deviation = c.op.attributes[0];
    g.op = static_cast<std::uint32_t>(c.op.attributes[1]);
    g.seed = c.at.seed;
    g.step = c.at.step;
    c.kernels.gaussian_noise(g);
  });
}

template <class T>
void batch_norm(const Case<T>& c) {
  const double epsilon = c.op.attributes[1];
  if (!c.at.training) return standardize_rows(c, c.in(1), c.in(2), epsilon, 0, false);
  const Packed<T>& inverse = c.variable(c.out(1)).main();
  c.each_piece(inverse, [&](size_t p, size_t, size_t) {
    const size_t column = inverse.panels.first(p);
    BatchNorm<T> b{};
    b.x = c.row(c.in(0), 0) + column;
    b.y = c.row(c.out(0), 0) + column;
    b.inverse = inverse.panel(p);
    b.moving_mean = c.variable(c.out(2)).main().panel(p);
    b.moving_variance = c.variable(c.out(3)).main().panel(p);
    b.x_stride = c.place(c.in(0)).stride;
    b.y_stride = c.place(c.out(0)).stride;
    b.rows = c.at.rows;
    b.width = inverse.panels.width(p);
    b.valid = inverse.valid(p);
    b.momentum = c.op.attributes[0];
    b.epsilon = epsilon;
    c.kernels.batch_norm(b);
  });
}

template <class T>
void layer_norm(const Case<T>& c) {
  c.each_row([&](size_t r) {
    c.kernels.layer_norm(c.row(c.in(0), r), c.row(c.out(0), r), c.row(c.out(1), r), c.buffer(c.out(0)).width(),
                         c.op.attributes[0] != 0, static_cast<T>(c.op.attributes[1]));
  });
}

template <class T>
void standardize(const Case<T>& c) {
  standardize_rows(c, c.in(1), c.in(2));
}

template <class T>
void scale_columns(const Case<T>& c) {
  const T* w = c.variable(c.in(1)).main().data;
  c.each_row([&](size_t r) { c.kernels.multiply(c.row(c.in(0), r), w, c.row(c.out(0), r), c.padded(c.out(0))); });
}

template <class T>
void combine(const Case<T>& c) {
  c.each_row([&](size_t r) {
    for (size_t i = 0; i < c.op.in.size(); ++i)
      c.kernels.combine(c.row(c.in(i), r), static_cast<T>(c.op.attributes[i]), c.row(c.out(0), r), c.padded(c.out(0)),
                        i > 0);
  });
}

template <class T>
void multiply(const Case<T>& c) {
  c.each_row([&](size_t r) {
    const T* product = c.row(c.in(0), r);
    for (size_t i = 1; i < c.op.in.size(); ++i) {
      c.kernels.multiply(product, c.row(c.in(i), r), c.row(c.out(0), r), c.padded(c.out(0)));
      product = c.row(c.out(0), r);
    }
  });
}

template <class T>
void concatenate(const Case<T>& c) {
  c.each_row([&](size_t r) {
    T* y = c.row(c.out(0), r);
    for (int b : c.op.in) y = std::copy_n(c.row(b, r), c.buffer(b).width(), y);
  });
}

template <class T>
void embedding(const Case<T>& c) {
  const Table<T> table(c.variable(c.in(1)));
  const size_t columns = c.buffer(c.in(0)).width();
  c.each_row([&](size_t r) {
    T* y = c.row(c.out(0), r);
    for (size_t k = 0; k < columns; ++k, y += table.width()) {
      const size_t id = table.id(c.row(c.in(0), r)[k]);
      if (id < table.ids())
        table.read(id, y);
      else
        std::fill_n(y, table.width(), std::numeric_limits<T>::quiet_NaN());
    }
  });
}

template <class T>
void slice(const Case<T>& c) {
  const size_t width = c.buffer(c.out(0)).width(), padded = c.padded(c.out(0));
  c.each_row([&](size_t r) {
    T* y = std::copy_n(c.row(c.in(0), r) + static_cast<size_t>(c.op.attributes[0]), width, c.row(c.out(0), r));
    std::fill_n(y, padded - width, T{0});  // a gradient's padding is zero
  });
}

// A failure is kept by who called, and ends the run before anything is updated.
template <class T>
void host(const Case<T>& c) {
  if (c.team.thread != 0 || c.work.host_failed) return;
  c.work.host_failed = !(*c.work.host)(c.op, c.work, c.at);
}

}  // namespace

template <class T>
Operation<T> forward_operation(Kind kind) {
  switch (kind) {
    case Kind::dense: return dense<T>;
    case Kind::dense_transposed: return dense_transposed<T>;
    case Kind::add_bias: return add_bias<T>;
    case Kind::activation: return activation<T>;
    case Kind::softmax: return softmax<T>;
    case Kind::prelu: return prelu<T>;
    case Kind::log_softmax: return log_softmax<T>;
    case Kind::distance: return distance<T>;
    case Kind::gaussian: return gaussian<T>;
    case Kind::dropout: return dropout<T>;
    case Kind::alpha_dropout: return alpha_dropout<T>;
    case Kind::gaussian_noise:
    case Kind::gaussian_dropout: return gaussian_noise<T>;
    case Kind::batch_norm: return batch_norm<T>;
    case Kind::layer_norm: return layer_norm<T>;
    case Kind::standardize: return standardize<T>;
    case Kind::scale_columns: return scale_columns<T>;
    case Kind::combine: return combine<T>;
    case Kind::multiply: return multiply<T>;
    case Kind::concatenate: return concatenate<T>;
    case Kind::embedding: return embedding<T>;
    case Kind::slice: return slice<T>;
    case Kind::host: return host<T>;
    default: return nullptr;
  }
}

template Operation<float> forward_operation(Kind);
template Operation<double> forward_operation(Kind);

}  // namespace deltaprop
