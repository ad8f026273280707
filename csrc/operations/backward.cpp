// The operations of the backward span.
#include "embedding.h"
#include "gradients.h"
#include "standardize.h"

namespace deltaprop {
namespace {

template <class T>
void activation_grad(const Case<T>& c) {
  const auto f = c.kernels.activation[static_cast<size_t>(c.op.function)].grad;
  const T alpha = static_cast<T>(c.op.constant());
  c.each_row([&](size_t r) { f(c.row(c.in(0), r), c.row(c.in(1), r), c.row(c.out(0), r), c.padded(c.out(0)), alpha); });
}

template <class T>
void softmax_grad(const Case<T>& c) {
  c.each_row([&](size_t r) {
    c.kernels.softmax_grad(c.row(c.in(0), r), c.row(c.in(1), r), c.row(c.out(0), r), c.buffer(c.out(0)).width());
  });
}

template <class T>
void prelu_grad(const Case<T>& c) {
  const T* alpha = c.variable(c.in(2)).main().data;
  const bool shared = c.buffer(c.in(2)).width() == 1;
  c.each_row([&](size_t r) {
    c.kernels.prelu_grad(c.row(c.in(0), r), c.row(c.in(1), r), alpha, shared, c.row(c.out(0), r), c.padded(c.out(0)));
  });
}

template <class T>
void prelu_grad_alpha(const Case<T>& c) {
  const Packed<T>& g = c.variable(c.out(0)).main();
  const bool shared = g.columns == 1;
  c.each_piece(g, [&](size_t p, size_t, size_t) {
    PreluGradient<T> gradient{};
    gradient.da = c.row(c.in(0), 0) + g.panels.first(p);
    gradient.z = c.row(c.in(1), 0) + g.panels.first(p);
    gradient.g = g.panel(p);
    gradient.da_stride = c.place(c.in(0)).stride;
    gradient.z_stride = c.place(c.in(1)).stride;
    gradient.rows = c.at.rows;
    gradient.n = shared ? c.buffer(c.in(1)).width() : g.valid(p);
    gradient.shared = shared;
    gradient.accumulate = c.accumulate();
    c.kernels.prelu_grad_alpha(gradient);
  });
}

template <class T>
void log_softmax_grad(const Case<T>& c) {
  c.each_row([&](size_t r) {
    c.kernels.log_softmax_grad(c.row(c.in(0), r), c.row(c.in(1), r), c.row(c.out(0), r), c.buffer(c.out(0)).width());
  });
}

template <class T>
void distance_grad_x(const Case<T>& c) {
  const Packed<T>& w = c.variable(c.in(1)).backward();
  each_product_rows(w.panels.count, c.at.rows, c.kernels.tile_rows, c.team, [&](size_t p, size_t from, size_t to) {
    const T* at = c.row(c.in(2), from) + w.panels.first(p);
    c.kernels.distance_grad_x(c.product(c.in(0), w, c.out(0), p, from, to), at, c.place(c.in(2)).stride, w.valid(p));
  });
}

template <class T>
void distance_grad_w(const Case<T>& c) {
  const Variable<T>& w = c.variable(c.in(2));
  const Packed<T>& g = c.variable(c.out(0)).main();
  each_outer_product(c, w, c.in(0), c.in(1), 0, c.at.rows,
                     [&](OuterProduct<T>& product, size_t p, size_t from, size_t) {
                       product.g = g.panel(p) + from * product.width;
                       product.accumulate = c.accumulate();
                       c.kernels.distance_grad_w(product, w.main().panel(p) + from * product.width, w.transposed());
                     });
}

template <class T>
void gaussian_grad(const Case<T>& c) {
  const T* s = c.variable(c.in(2)).main().data;
  c.each_row([&](size_t r) {
    c.kernels.gaussian_grad(c.row(c.in(0), r), c.row(c.in(1), r), s, c.row(c.out(0), r), c.buffer(c.out(0)).width());
  });
}

template <class T>
void gaussian_grad_s(const Case<T>& c) {
  const Packed<T>& g = c.variable(c.out(0)).main();
  c.each_piece(g, [&](size_t p, size_t, size_t) {
    const size_t column = g.panels.first(p);
    GaussianGradient<T> gradient{};
    gradient.dy = c.row(c.in(0), 0) + column;
    gradient.y = c.row(c.in(1), 0) + column;
    gradient.d = c.row(c.in(2), 0) + column;
    gradient.s = c.variable(c.in(3)).main().panel(p);
    gradient.g = g.panel(p);
    gradient.dy_stride = c.place(c.in(0)).stride;
    gradient.y_stride = c.place(c.in(1)).stride;
    gradient.d_stride = c.place(c.in(2)).stride;
    gradient.rows = c.at.rows;
    gradient.n = g.valid(p);
    gradient.accumulate = c.accumulate();
    c.kernels.gaussian_grad_s(gradient);
  });
}

template <class T>
void dropout_grad(const Case<T>& c) {
  const T scale = static_cast<T>(1 / c.op.attributes[0]);
  c.each_row([&](size_t r) {
    c.kernels.dropout_grad(c.row(c.in(0), r), c.mask_row(c.in(1), r), scale, c.row(c.out(0), r), c.padded(c.out(0)));
  });
}

template <class T>
void noise_grad(const Case<T>& c) {
  c.each_row([&](size_t r) {
    c.kernels.multiply(c.row(c.in(0), r), c.row(c.in(1), r), c.row(c.out(0), r), c.padded(c.out(0)));
  });
}

template <class T>
void batch_norm_grad(const Case<T>& c) {
  const Packed<T>& inverse = c.variable(c.in(2)).main();
  c.each_piece(inverse, [&](size_t p, size_t, size_t) {
    const size_t column = inverse.panels.first(p);
    BatchNormGrad<T> b{};
    b.dy = c.row(c.in(0), 0) + column;
    b.y = c.row(c.in(1), 0) + column;
    b.inverse = inverse.panel(p);
    b.dx = c.row(c.out(0), 0) + column;
    b.dy_stride = c.place(c.in(0)).stride;
    b.y_stride = c.place(c.in(1)).stride;
    b.dx_stride = c.place(c.out(0)).stride;
    b.rows = c.at.rows;
    b.width = inverse.panels.width(p);
    b.valid = inverse.valid(p);
    c.kernels.batch_norm_grad(b);
  });
}

template <class T>
void layer_norm_grad(const Case<T>& c) {
  c.each_row([&](size_t r) {
    c.kernels.layer_norm_grad(c.row(c.in(0), r), c.row(c.in(1), r), *c.row(c.in(2), r), c.row(c.out(0), r),
                              c.buffer(c.out(0)).width(), c.op.attributes[0] != 0);
  });
}

template <class T>
void standardize_grad(const Case<T>& c) {
  standardize_rows(c, -1, c.in(1));
}

template <class T>
void scale_grad(const Case<T>& c) {
  const Packed<T>& g = c.variable(c.out(0)).main();
  c.each_piece(g, [&](size_t p, size_t, size_t) {
    const size_t column = g.panels.first(p);
    c.kernels.add_products(c.row(c.in(0), 0) + column, c.place(c.in(0)).stride, c.row(c.in(1), 0) + column,
                           c.place(c.in(1)).stride, c.at.rows, g.panels.width(p), g.panel(p), c.accumulate());
  });
}

template <class T>
void embedding_grad(const Case<T>& c) {
  const Table<T> g(c.variable(c.out(0)));
  if (!c.accumulate()) each_own_id(c, g, [&](size_t id) { g.clear(id); });
  each_own_id(c, g, c.in(0), c.in(1), [&](size_t id, const T* dy) { g.add(id, dy); });
}

template <class T>
void dense_grad_w(const Case<T>& c) {
  weight_gradient(c, c.variable(c.out(0)), c.in(0), c.in(1), c.accumulate());
  if (c.out(1) >= 0) sum_rows(c, c.out(1), c.in(1));
}

template <class T>
void bias_grad(const Case<T>& c) {
  sum_rows(c, c.out(0), c.in(0));
}

// Columns [from, to) of the input gradient of a single row, which reads w itself: its transposed copy would have to be
// refreshed in every step.
template <class T>
void single_row_grad_x(const Case<T>& c, const Packed<T>& w, size_t from, size_t to) {
  NarrowProduct<T> product{};
  product.x = c.row(c.in(0), 0);
  product.w = w.data;
  product.y = c.row(c.out(0), 0);
  product.bias = c.op.accumulate ? product.y : nullptr;
  product.rows = 1;
  product.depth = w.columns;
  product.n = w.depth;
  product.panels = w.panels;
  c.kernels.row_product(product, from, to);
}

template <class T>
void dense_grad_x(const Case<T>& c) {
  const Variable<T>& variable = c.variable(c.in(1));
  const Packed<T>& w = variable.backward();
  const bool copied = c.at.batch_rows > 1 || variable.transposed();
  const auto function = static_cast<Activation>(c.op.function);
  const auto grad = c.kernels.activation[size(function)].grad;
  each_product_rows(w.panels.count, c.at.rows, c.kernels.tile_rows, c.team, [&](size_t p, size_t from, size_t to) {
    const size_t column = w.panels.first(p);
    Product<T> product = c.product(c.in(0), w, c.out(0), p, from, to);
    product.accumulate = c.op.accumulate;
    if (function == Activation::relu) {
      product.mask = c.row(c.in(2), from) + column;
      product.mask_stride = c.place(c.in(2)).stride;
    }
    if (copied)
      c.kernels.product(product);
    else
      single_row_grad_x(c, variable.main(), column, column + w.valid(p));
    if (function == Activation::linear || (function == Activation::relu && copied)) return;
    for (size_t r = from; r < to; ++r) {
      T* dx = c.row(c.out(0), r) + column;
      grad(dx, c.row(c.in(2), r) + column, dx, product.width, static_cast<T>(c.op.constant()));
    }
  });
}

// Once per batch: it does not depend on the rows.
template <class T>
void penalty_grad(const Case<T>& c) {
  if (c.at.first_row != 0) return;
  const Packed<T>& w = c.variable(c.in(0)).main();
  c.each_span(w, [&](size_t at, size_t n) {
    c.kernels.penalty_grad(w.data + at, static_cast<T>(c.op.attributes[0]), static_cast<T>(c.op.attributes[1]),
                           c.variable(c.out(0)).main().data + at, n);
  });
}

template <class T>
void activity_grad(const Case<T>& c) {
  const double rows = static_cast<double>(c.at.batch_rows);
  const T l1 = static_cast<T>(c.op.attributes[0] / rows), l2 = static_cast<T>(c.op.attributes[1] / rows);
  c.each_row([&](size_t r) {
    T* da = c.row(c.out(0), r);
    if (!c.op.accumulate) std::fill_n(da, c.padded(c.out(0)), T{0});
    c.kernels.penalty_grad(c.row(c.in(0), r), l1, l2, da, c.buffer(c.out(0)).width());
  });
}

template <class T>
void sparse_kl_grad(const Case<T>& c) {
  const T* slope = c.variable(c.in(0)).main().data;
  c.each_row([&](size_t r) {
    T* da = c.row(c.out(0), r);
    if (!c.op.accumulate) std::fill_n(da, c.padded(c.out(0)), T{0});
    c.kernels.add_bias(da, slope, da, c.padded(c.out(0)));
  });
}

template <class T>
void activation_curvature(const Case<T>& c) {
  const auto f = c.kernels.activation[static_cast<size_t>(c.op.function)].curvature;
  const T alpha = static_cast<T>(c.op.constant());
  c.each_row([&](size_t r) {
    f(c.row(c.in(0), r), c.row(c.in(1), r), c.row(c.in(2), r), c.row(c.out(0), r), c.padded(c.out(0)), alpha);
  });
}

template <class T>
void softmax_curvature(const Case<T>& c) {
  c.each_row([&](size_t r) {
    c.kernels.softmax_curvature(c.row(c.in(0), r), c.row(c.in(1), r), c.row(c.in(2), r), c.row(c.out(0), r),
                                c.buffer(c.out(0)).width());
  });
}

}  // namespace

template <class T>
Operation<T> backward_operation(Kind kind) {
  switch (kind) {
    case Kind::activation_grad: return activation_grad<T>;
    case Kind::softmax_grad: return softmax_grad<T>;
    case Kind::prelu_grad: return prelu_grad<T>;
    case Kind::prelu_grad_alpha: return prelu_grad_alpha<T>;
    case Kind::log_softmax_grad: return log_softmax_grad<T>;
    case Kind::distance_grad_x: return distance_grad_x<T>;
    case Kind::distance_grad_w: return distance_grad_w<T>;
    case Kind::gaussian_grad: return gaussian_grad<T>;
    case Kind::gaussian_grad_s: return gaussian_grad_s<T>;
    case Kind::dropout_grad: return dropout_grad<T>;
    case Kind::noise_grad: return noise_grad<T>;
    case Kind::batch_norm_grad: return batch_norm_grad<T>;
    case Kind::layer_norm_grad: return layer_norm_grad<T>;
    case Kind::standardize_grad: return standardize_grad<T>;
    case Kind::scale_grad: return scale_grad<T>;
    case Kind::embedding_grad: return embedding_grad<T>;
    case Kind::dense_grad_w: return dense_grad_w<T>;
    case Kind::bias_grad: return bias_grad<T>;
    case Kind::dense_grad_x: return dense_grad_x<T>;
    case Kind::penalty_grad: return penalty_grad<T>;
    case Kind::activity_grad: return activity_grad<T>;
    case Kind::sparse_kl_grad: return sparse_kl_grad<T>;
    case Kind::activation_curvature: return activation_curvature<T>;
    case Kind::softmax_curvature: return softmax_curvature<T>;
    default: return nullptr;
  }
}

template Operation<float> backward_operation(Kind);
template Operation<double> backward_operation(Kind);

}  // namespace deltaprop
