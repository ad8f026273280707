// What the cases of operations/ share: an operation's operands where they lie, and this thread's share of them.
#pragma once

#include <algorithm>

#include "operations.h"
#include "share.h"

namespace deltaprop {

// One operation at one position of a run, for one thread of a team.
template <class T>
struct Case {
  const Op& op;
  Workspace<T>& work;
  const Position& at;
  const Team& team;
  const Kernels<T>& kernels = *work.kernels;

  int in(size_t i) const { return i < op.in.size() ? op.in[i] : -1; }
  int out(size_t i) const { return i < op.out.size() ? op.out[i] : -1; }
  const Buffer& buffer(int b) const { return work.plan->buffers[static_cast<size_t>(b)]; }
  const Place<T>& place(int b) const { return work.place[static_cast<size_t>(b)]; }
  const Variable<T>& variable(int b) const { return *work.variables[static_cast<size_t>(b)]; }
  double* sums(int b) const { return work.sums[static_cast<size_t>(b)].data(); }
  T* row(int b, size_t r) const { return b < 0 || !place(b).data ? nullptr : place(b).data + r * place(b).stride; }
  std::uint8_t* mask_row(int b, size_t r) const {
    return reinterpret_cast<std::uint8_t*>(place(b).data) + r * place(b).stride;
  }
  size_t padded(int b) const {
    const size_t unit = 64 / sizeof(T);
    return (buffer(b).width() + unit - 1) / unit * unit;
  }
  // Gradients of parameters are sums over the batch: later blocks of it always add.
  bool accumulate() const { return op.accumulate || at.first_row > 0; }

  // y = x w for rows [from, to) and the columns of panel p.
  Product<T> product(int x, const Packed<T>& w, int y, size_t p, size_t from, size_t to) const {
    Product<T> product{};
    product.x = row(x, from);
    product.x_stride = place(x).stride;
    product.w = w.panel(p);
    product.y = row(y, from) + w.panels.first(p);
    product.y_stride = place(y).stride;
    product.rows = to - from;
    product.depth = w.depth;
    product.width = w.panels.width(p);
    return product;
  }

  template <class F>
  void each_row(const F& f) const {
    each_rows(at.rows, kernels.tile_rows, team, [&](size_t from, size_t to) {
      for (size_t r = from; r < to; ++r) f(r);
    });
  }
  template <class F>
  void each_piece(const Packed<T>& w, const F& f) const {
    each_tiles(w.panels.count, w.depth, kernels.tile_rows, team, f);
  }
  // f(offset, n) for this thread's part of a variable; the part is contiguous.
  template <class F>
  void each_span(const Packed<T>& w, const F& f) const {
    each_piece(w, [&](size_t p, size_t from, size_t to) {
      const size_t width = w.panels.width(p);
      f(w.depth * w.panels.first(p) + from * width, (to - from) * width);
    });
  }
};

}  // namespace deltaprop
