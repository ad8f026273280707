// Columns standardised with given statistics: forward for Normalization and for batch normalisation outside training,
// backward for both.
#pragma once

#include "case.h"

namespace deltaprop {

// in(0) -> out(0) by rows, with these buffers as mean (or -1 for zeros) and variance.
template <class T>
void standardize_rows(const Case<T>& c, int mean, int variance, double epsilon, double floor, bool invert) {
  each_rows(c.at.rows, c.kernels.tile_rows, c.team, [&](size_t from, size_t to) {
    Standardize<T> s{};
    s.x = c.row(c.in(0), from);
    s.mean = mean < 0 ? nullptr : c.variable(mean).main().data;
    s.variance = c.variable(variance).main().data;
    s.y = c.row(c.out(0), from);
    s.x_stride = c.place(c.in(0)).stride;
    s.y_stride = c.place(c.out(0)).stride;
    s.rows = to - from;
    s.n = c.buffer(c.out(0)).width();
    s.epsilon = epsilon;
    s.floor = floor;
    s.invert = invert;
    c.kernels.standardize(s);
  });
}

// The same with the attributes of a standardize operation.
template <class T>
void standardize_rows(const Case<T>& c, int mean, int variance) {
  standardize_rows(c, mean, variance, c.op.attributes[0], c.op.attributes[1], c.op.attributes[2] != 0);
}

}  // namespace deltaprop
