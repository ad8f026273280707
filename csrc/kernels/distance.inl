// Gaussian units exp(-|x - c|^2 / (2 s^2)): half the squared distances from the columns c of a matrix, and their
// gradients, contracted as the products of gemm.inl are. Differences come before sums: nothing cancels where x is near
// c.
#pragma once

#include "gemm.inl"
#include "math.inl"

namespace {

// What one contraction adds for each x(i, k) and w(k, j), given `at`(i, j); and what it makes of the sum.
template <class T>
struct HalfSquare {
  static Vec<T> add(Vec<T> x, Vec<T> w, Vec<T> sum, const T*) { return fma(x - w, x - w, sum); }
  static Vec<T> finish(Vec<T> sum) { return broadcast(T{0.5}) * sum; }
};
template <class T>
struct Pull {  // x is the gradient, w what `at` was compared with
  static Vec<T> add(Vec<T> x, Vec<T> w, Vec<T> sum, const T* at) { return fma(x, load(at) - w, sum); }
  static Vec<T> finish(Vec<T> sum) { return sum; }
};
template <class T>
struct PullByColumn {  // the other way round
  static Vec<T> add(Vec<T> x, Vec<T> w, Vec<T> sum, const T* at) { return fma(w, load(at) - x, sum); }
  static Vec<T> finish(Vec<T> sum) { return sum; }
};

template <class T>
struct Distances {
  const T* x;
  const T* w;
  const T* at;
  T* y;
  size_t x_stride, w_stride, at_stride, y_stride;
  size_t depth, valid;  // columns from `valid` on become zero
  bool accumulate;
};

template <class T, bool kOverRows, class Step>
struct DistanceTile {
  const Distances<T>& operands;

  template <size_t R, size_t V>
  void run(const Distances<T>& p, size_t row) const {
    T* const y = p.y + row * p.y_stride;
    Vec<T> acc[R][V];
    each_accumulator<T>(
        acc, [&](Vec<T>& a, size_t i, size_t j) { a = p.accumulate ? load(y + i * p.y_stride + j) : Vec<T>{}; });
    const auto step = [&](Vec<T> a, Vec<T> b, Vec<T> sum, size_t i, size_t v) {
      return Step::add(a, b, sum, p.at + (row + i) * p.at_stride + v * kLanes<T>);
    };
    contract<T, R, V, kOverRows>(acc, p.x + row * (kOverRows ? 1 : p.x_stride), p.x_stride, p.w, p.w_stride, p.depth,
                                 step, Nothing{});
    each_accumulator<T>(acc, [&](Vec<T>& a, size_t i, size_t j) {
      store(y + i * p.y_stride + j, select<T>(before<T>(j, p.valid), Step::finish(a), Vec<T>{}));
    });
  }
};

template <class T, bool kOverRows, template <class> class Step>
inline void run_distances(const Distances<T>& p, size_t width, size_t rows) {
  run_tiles<T>(DistanceTile<T, kOverRows, Step<T>>{p}, width, rows);
}

template <class T>
void distance(const deltaprop::Product<T>& p) {
  run_distances<T, false, HalfSquare>(
      {p.x, p.w, p.x, p.y, p.x_stride, p.width, p.x_stride, p.y_stride, p.depth, p.width, false}, p.width, p.rows);
}

template <class T>
void distance_grad_x(const deltaprop::Product<T>& p, const T* at, size_t at_stride, size_t valid) {
  run_distances<T, false, Pull>({p.x, p.w, at, p.y, p.x_stride, p.width, at_stride, p.y_stride, p.depth, valid, false},
                                p.width, p.rows);
}

template <class T>
void distance_grad_w(const deltaprop::OuterProduct<T>& p, const T* w, bool transposed) {
  const Distances<T> d{p.x, p.dy, w, p.g, p.x_stride, p.dy_stride, p.width, p.width, p.rows, p.valid, p.accumulate};
  transposed ? run_distances<T, true, Pull>(d, p.width, p.depth)
             : run_distances<T, true, PullByColumn>(d, p.width, p.depth);
}

// s^2, at least the smallest normal number: a unit of no width is 1 at its centre.
template <class T>
inline Vec<T> square_of_width(const T* s) {
  return max(load(s) * load(s), positive<T>(0));
}

template <class T>
void gaussian(const T* d, const T* s, T* y, size_t n) {
  for (size_t j = 0; j < to_units<T>(n); j += kLanes<T>)
    store(y + j, select<T>(before<T>(j, n), exp<T>(-load(d + j) / square_of_width(s + j)), Vec<T>{}));
}

// dy/dd = -y / s^2
template <class T>
void gaussian_grad(const T* dy, const T* y, const T* s, T* dd, size_t n) {
  for (size_t j = 0; j < to_units<T>(n); j += kLanes<T>) {
    const Vec<T> slope = -load(y + j) / square_of_width(s + j);
    store(dd + j, select<T>(before<T>(j, n), load(dy + j) * slope, Vec<T>{}));
  }
}

// dy/ds = 2 y d / s^3; far away y is 0, also where d overflows.
template <class T>
void gaussian_grad_s(const deltaprop::GaussianGradient<T>& p) {
  const Vec<T> largest =
      broadcast(sizeof(T) == sizeof(float) ? static_cast<T>(0x1.fffffep127) : static_cast<T>(0x1.fffffffffffffp1023));
  for (size_t j = 0; j < to_units<T>(p.n); j += kLanes<T>) {
    const Vec<T> square = square_of_width(p.s + j), s = load(p.s + j);
    Vec<T> sum{};
    for (size_t r = 0; r < p.rows; ++r) {
      const Vec<T> d = min(largest, load(p.d + r * p.d_stride + j));
      sum = sum + load(p.dy + r * p.dy_stride + j) * load(p.y + r * p.y_stride + j) * d / square;
    }
    const Vec<T> g = T{2} * s / square * sum;
    store(p.g + j, select<T>(before<T>(j, p.n), p.accumulate ? load(p.g + j) + g : g, Vec<T>{}));
  }
}

}  // namespace
