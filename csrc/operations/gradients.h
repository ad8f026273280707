// The gradients of a dense layer's parameters, which the backward span keeps and the update span uses up.
#pragma once

#include "case.h"

namespace deltaprop {

// More rows than this are packed before they are contracted.
constexpr size_t kUnpackedRows = 64;

// The columns [first, first + width) of a buffer of rows, side by side where there are so many rows that their
// strides would cost a page each.
template <class T>
const T* pack(const Case<T>& c, int b, size_t first, size_t width, size_t* stride) {
  const T* rows = c.row(b, 0) + first;
  *stride = c.place(b).stride;
  if (c.at.rows <= kUnpackedRows) return rows;
  T* packed = reinterpret_cast<T*>(c.work.scratch[c.team.thread]->data());
  for (size_t r = 0; r < c.at.rows; ++r) std::copy_n(rows + r * *stride, width, packed + r * width);
  *stride = width;
  return packed;
}

// For this thread's parts of the gradient of w: f(product, p, from, to), with the operands of rows [from, to) of
// panel p but for where they go.
template <class T, class F>
void each_outer_product(const Case<T>& c, const Variable<T>& w, int x, int dz, const F& f) {
  const Packed<T>& main = w.main();
  // The long side runs along the vectors: that of dz, or for narrow layers that of x.
  const int scalar = w.transposed() ? dz : x, vector = w.transposed() ? x : dz;
  c.each_piece(main, [&](size_t p, size_t from, size_t to) {
    OuterProduct<T> product{};
    product.x = c.row(scalar, 0) + from;
    product.x_stride = c.place(scalar).stride;
    product.width = main.panels.width(p);
    product.valid = main.valid(p);
    product.dy = pack(c, vector, main.panels.first(p), product.width, &product.dy_stride);
    product.rows = c.at.rows;
    product.depth = to - from;
    f(product, p, from, to);
  });
}

// g = x' dy, written to or added to a gradient that is kept.
template <class T>
void weight_gradient(const Case<T>& c, const Variable<T>& gradient, int x, int dz, bool accumulate) {
  const Packed<T>& g = gradient.main();
  each_outer_product(c, gradient, x, dz, [&](OuterProduct<T>& product, size_t p, size_t from, size_t) {
    product.g = g.panel(p) + from * product.width;
    product.accumulate = accumulate;
    for (size_t left = product.rows; left > 0; left -= product.rows) {
      product.rows = std::min(c.kernels.outer_rows, left);
      c.kernels.outer_product(product);
      product.x += product.rows * product.x_stride;
      product.dy += product.rows * product.dy_stride;
      product.accumulate = true;
    }
  });
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
