// The gradients of a dense layer's parameters, which the backward span keeps and the update span uses up.
#pragma once

#include "case.h"

namespace deltaprop {

// Rows that lie apart cost a page each. From so many rows on, of which the product reads each so often, they are copied
// side by side.
constexpr size_t kPackedRows = 64, kPackedDepth = 512;

template <class T>
void pack(const Case<T>& c, OuterProduct<T>& product) {
  if (product.rows < kPackedRows || product.depth < kPackedDepth || product.dy_stride == product.width) return;
  T* packed = reinterpret_cast<T*>(c.work.scratch[c.team.thread]->data());
  for (size_t r = 0; r < product.rows; ++r)
    std::copy_n(product.dy + r * product.dy_stride, product.width, packed + r * product.width);
  product.dy = packed;
  product.dy_stride = product.width;
}

// For this thread's parts of the gradient of w by `count` rows from `row` on: f(product, p, from, to), with the
// operands of rows [from, to) of panel p but for where they go.
template <class T, class F>
void each_outer_product(const Case<T>& c, const Variable<T>& w, int x, int dz, size_t row, size_t count, const F& f) {
  const Packed<T>& main = w.main();
  // The long side runs along the vectors: that of dz, or for narrow layers that of x.
  const int scalar = w.transposed() ? dz : x, vector = w.transposed() ? x : dz;
  c.each_piece(main, [&](size_t p, size_t from, size_t to) {
    OuterProduct<T> product{};
    product.x = c.row(scalar, row) + from;
    product.x_stride = c.place(scalar).stride;
    product.width = main.panels.width(p);
    product.valid = main.valid(p);
    product.dy = c.row(vector, row) + main.panels.first(p);
    product.dy_stride = c.place(vector).stride;
    product.rows = count;
    product.depth = to - from;
    pack(c, product);
    f(product, p, from, to);
  });
}

// g = x' dy, written to or added to a gradient that is kept. Blocks of rows come before panels, so that x stays in the
// L2 cache from one panel to the next.
template <class T>
void weight_gradient(const Case<T>& c, const Variable<T>& gradient, int x, int dz, bool accumulate) {
  const Packed<T>& g = gradient.main();
  for (size_t row = 0; row < c.at.rows; row += c.kernels.outer_rows) {
    const size_t count = std::min(c.kernels.outer_rows, c.at.rows - row);
    each_outer_product(c, gradient, x, dz, row, count, [&](OuterProduct<T>& product, size_t p, size_t from, size_t) {
      product.g = g.panel(p) + from * product.width;
      product.accumulate = accumulate || row > 0;
      c.kernels.outer_product(product);
    });
  }
}

template <class T>
void sum_rows(const Case<T>& c, int gradient, int dz) {
  const Packed<T>& g = c.variable(gradient).main();
  c.each_piece(g, [&](size_t p, size_t, size_t) {
    c.kernels.add_rows(c.row(dz, 0) + g.panels.first(p), c.place(dz).stride, c.at.rows, g.panels.width(p), g.panel(p),
                       c.accumulate());
  });
}

}  // namespace deltaprop
