// The seam between the executor and the kernels: the vocabulary of functions, their arguments, and one table of
// function pointers per ISA level and float type. Nothing is computed here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace deltaprop {

using std::size_t;

// Adding a function: one word here, in the same place in plan.cpp's names, and in the table at the end of kernels.cpp.
enum class Activation {
  linear,
  relu,
  sigmoid,
  tanh,
  step,
  sign,
  leaky_relu,
  relu6,
  hard_tanh,
  hard_sigmoid,
  elu,
  selu,
  celu,
  gelu,
  gelu_tanh,
  silu,
  softplus,
  softsign,
  exponential,
  mish,
  count
};
enum class Loss {
  mse,
  mae,
  half_squared_error,
  huber,
  log_cosh,
  mape,
  msle,
  poisson,
  kl_divergence,
  hinge,
  squared_hinge,
  categorical_hinge,
  cosine_similarity,
  quantile,
  gaussian_nll,
  binary_crossentropy,
  binary_focal_crossentropy,
  categorical_crossentropy,
  sparse_categorical_crossentropy,
  categorical_focal_crossentropy,
  sigmoid_binary_crossentropy,
  sigmoid_binary_focal_crossentropy,
  softmax_categorical_crossentropy,
  softmax_sparse_categorical_crossentropy,
  softmax_categorical_focal_crossentropy,
  binary_accuracy,
  categorical_accuracy,
  sparse_categorical_accuracy,
  top_k_categorical_accuracy,
  sparse_top_k_categorical_accuracy,
  count
};
enum class Tally { thresholds, confusion, moments, count };
enum class Optimizer {
  sgd,
  momentum,
  nesterov,
  rmsprop,
  rmsprop_momentum,
  centered_rmsprop,
  adam,
  amsgrad,
  adagrad,
  adadelta,
  adamax,
  nadam,
  lion,
  rprop,
  count
};
enum class Scalar { boolean, int8, uint8, int16, uint16, int32, uint32, int64, uint64, float32, float64, count };

constexpr size_t size(Activation a) { return static_cast<size_t>(a); }
constexpr size_t size(Loss l) { return static_cast<size_t>(l); }
constexpr size_t size(Tally t) { return static_cast<size_t>(t); }
constexpr size_t size(Optimizer o) { return static_cast<size_t>(o); }
constexpr size_t size(Scalar s) { return static_cast<size_t>(s); }

// How a weight matrix lies in memory: its columns, padded to whole units of 64 bytes, are spread evenly over panels; a
// panel is stored row by row, (depth, panel width), and panel follows panel.
struct Panels {
  size_t units = 0;               // 64-byte units in a row
  size_t count = 1;               // panels
  size_t unit = 1;                // elements per unit
  size_t narrow = units / count;  // units of a panel, but the first `wider` panels have one more; kept, because
  size_t wider = units % count;   // divisions cost a small operation as much as its arithmetic

  size_t first(size_t p) const { return (p * narrow + (p < wider ? p : wider)) * unit; }
  size_t width(size_t p) const { return (narrow + (p < wider)) * unit; }
};

// y = x w (+ bias), one panel of w at a time; also dx = dy w' on the transposed form.
template <class T>
struct Product {
  const T* x;     // (rows, depth)
  const T* w;     // (depth, width), one panel
  const T* bias;  // (width) or null
  const T* mask;  // (rows, width): y is kept where it is positive, after any accumulation; or null
  T* y;           // (rows, width)
  size_t x_stride, mask_stride, y_stride;
  size_t rows, depth, width;
  bool relu;        // y = max(0, y)
  bool accumulate;  // y += instead of y =
};

// g = x' dy, some rows of one panel of g.
template <class T>
struct OuterProduct {
  const T* x;   // (rows, depth)
  const T* dy;  // (rows, width)
  T* g;         // (depth, width)
  size_t x_stride, dy_stride;
  size_t rows, depth, width;
  size_t valid;     // columns of the panel that are not padding; the others are set to zero
  bool accumulate;  // continue the sums that g holds
};

// y = x w + bias with each output a row reduction over x: for one or two outputs, because a panel would be mostly
// padding, and for the input gradient of a single row, which so needs no transposed copy of the weights.
template <class T>
struct NarrowProduct {
  const T* x;     // (rows, depth)
  const T* w;     // the transposed form, (n, depth) in panels
  const T* bias;  // (n) or null
  T* y;           // (rows, n), whose padding is set to zero
  size_t x_stride, y_stride;
  size_t rows, depth, n;
  Panels panels;
  bool relu;
};

// The gradient of slopes below zero: sums of da z where z < 0, down each column, or where it is shared over all.
template <class T>
struct PreluGradient {
  const T* da;  // (rows, n)
  const T* z;   // (rows, n)
  T* g;         // (n), or (1) where it is shared
  size_t da_stride, z_stride;
  size_t rows, n;
  bool shared, accumulate;
};

// The gradient of the widths s of units y = exp(-d / s^2): sums down each column.
template <class T>
struct GaussianGradient {
  const T* dy;  // (rows, n)
  const T* y;   // (rows, n)
  const T* d;   // (rows, n)
  const T* s;   // (n)
  T* g;         // (n)
  size_t dy_stride, y_stride, d_stride;
  size_t rows, n;
  bool accumulate;
};

// One loss or metric over some rows of a batch. All strides are in elements.
template <class T>
struct LossRows {
  const T* prediction;  // (rows, n), what the model puts out
  const T* logits;      // (rows, n), what went into the last activation; matched losses only
  const T* target;      // (rows, n), (rows, 1) class ids, or (rows, n / blocks) where a target has several outputs
  const T* weight;      // (rows), where delta is asked for
  T* value;             // (rows), not yet weighted
  T* delta;             // (rows, n), d objective / d prediction (or logits), or null
  size_t prediction_stride, logits_stride, target_stride, delta_stride;
  size_t rows, n;
  T scale;                  // the loss's factor, over the rows of the batch: the objective is a mean
  const double* constants;  // the loss's own, see plan_check.cpp
  size_t constant_count;
};

// Some rows of a batch, added to the sums of a metric.
template <class T>
struct TallyRows {
  const T* prediction;  // (rows, n)
  const T* target;      // (rows, n), or (rows, 1) class ids
  const T* weight;      // (rows), or null for ones
  size_t prediction_stride, target_stride;
  size_t rows, n;
  bool class_ids;
  const double* constants;  // the tally's own, see metrics.inl
  size_t constant_count;
  double* sums;
};

// One optimiser step over a span of one variable.
template <class T>
struct UpdateSpan {
  T* w;         // (n)
  const T* g;   // (n), or null for the gradient of a single row, x' dy:
  const T* x;   // (n / width)
  const T* dy;  // (width)
  size_t width;
  T* slot[3];  // (n) each, as many as the optimiser keeps
  size_t n;
  double rate;              // this step's learning rate, bias corrections included
  double decay;             // this step's decoupled weight decay: w -= decay * w first
  const double* constants;  // the optimiser's own, in the order of its constructor
  const double* more;       // this step's numbers beside the rate, where the optimiser has any
};

template <class T>
struct Dropout {
  const T* x;          // (rows, n)
  T* y;                // (rows, n)
  std::uint8_t* mask;  // (rows, n), 1 where a unit is kept
  size_t x_stride, y_stride, mask_stride;
  size_t rows, n, first_row;  // first_row: where these rows lie in the batch
  double rate;                // probability that a unit is dropped
  T scale, shift, dropped;    // y = scale x + shift where a unit is kept, else `dropped`
  std::uint64_t step;
  std::uint32_t seed, op;
};

// On spans; alpha is the activation's constant, and s what its derivatives read: the output a, or the input z.
template <class T>
struct ActivationKernels {
  void (*value)(const T* z, T* a, size_t n, T alpha);
  void (*grad)(const T* da, const T* s, T* dz, size_t n, T alpha);  // da times the first derivative
  // Adds da t times the second derivative: what a tangent t that passed here with the slope owes the input.
  void (*curvature)(const T* da, const T* t, const T* s, T* dz, size_t n, T alpha);
};

// A norm moves to rate clip(norm, low, high) + rest norm, rest = 1 - rate.
template <class T>
struct NormLimits {
  T low, high, rate, rest;
};

template <class T>
struct GaussianNoise {
  const T* x;  // (rows, n)
  T* y;        // (rows, n)
  T* noise;    // (rows, n), the factors; or null: then noise is added
  size_t x_stride, y_stride, noise_stride;
  size_t rows, n, first_row;
  double deviation;
  std::uint64_t step;
  std::uint32_t seed, op;
};

// Some columns of a batch, normalised by the means and variances of its rows; the moving ones follow.
template <class T>
struct BatchNorm {
  const T* x;          // (rows, width)
  T* y;                // (rows, width)
  T* inverse;          // (width), 1 / sqrt(variance + epsilon)
  T* moving_mean;      // (width)
  T* moving_variance;  // (width)
  size_t x_stride, y_stride;
  size_t rows, width;
  size_t valid;  // columns that are not padding; the others are set to zero
  double momentum, epsilon;
};

template <class T>
struct BatchNormGrad {
  const T* dy;       // (rows, width)
  const T* y;        // (rows, width), and
  const T* inverse;  // (width), as above
  T* dx;             // (rows, width)
  size_t dy_stride, y_stride, dx_stride;
  size_t rows, width, valid;
};

// y = (x - mean) / deviation or, inverted, x deviation + mean, with deviation^2 = max(variance + epsilon, floor).
template <class T>
struct Standardize {
  const T* x;         // (rows, n)
  const T* mean;      // (n), or null for zeros
  const T* variance;  // (n)
  T* y;               // (rows, n)
  size_t x_stride, y_stride;
  size_t rows, n;
  double epsilon, floor;
  bool invert;
};

// Rows of a caller's array, of any type: row r of y is row order[r] of it, or row r without an order. Columns from
// `width` on become zero up to `padded`, which is whole units or, for no padding, the width.
template <class T>
struct SourceRows {
  const char* data;
  std::ptrdiff_t stride;  // in bytes
  const std::int64_t* order;
  T* y;
  size_t rows, width, y_stride, padded;
};

// Spans are whole units long; matrices of rows have strides of whole units.
template <class T>
struct Kernels {
  const char* isa;
  size_t panel_units;  // units in the widest panel
  size_t tile_rows;    // rows that the matrix kernels take at once
  size_t outer_rows;   // rows of the batch that an outer product contracts best at once

  void (*product)(const Product<T>&);
  void (*narrow_product)(const NarrowProduct<T>&);
  // The same for the outputs [from, to) of one row, any number of them, without function and padding.
  void (*row_product)(const NarrowProduct<T>&, size_t from, size_t to);
  void (*outer_product)(const OuterProduct<T>&);
  // Half the squared distances of the rows of x from the columns of w, in place of the product.
  void (*distance)(const Product<T>&);
  // Their gradients. Of the rows `at`, whose columns from `valid` on are padding: y = sum_k x(., k) (at - w(k, .)).
  void (*distance_grad_x)(const Product<T>&, const T* at, size_t at_stride, size_t valid);
  // Of w, as it lies in memory: `transposed` with a row per unit, for rows of the batch as dy and their gradients as x.
  void (*distance_grad_w)(const OuterProduct<T>&, const T* w, bool transposed);
  // Of a row of n; padding becomes zero.
  void (*gaussian)(const T* d, const T* s, T* y, size_t n);
  void (*gaussian_grad)(const T* dy, const T* y, const T* s, T* dd, size_t n);
  void (*gaussian_grad_s)(const GaussianGradient<T>&);
  void (*add_bias)(const T* z, const T* bias, T* y, size_t n);
  void (*combine)(const T* x, T c, T* y, size_t n, bool add);  // y = c x, or y += c x
  void (*add_rows)(const T* dy, size_t dy_stride, size_t rows, size_t n, T* g, bool accumulate);
  void (*transpose)(const T* w, size_t w_stride, size_t rows, size_t n, T* t, size_t t_stride);

  ActivationKernels<T> activation[size(Activation::count)];
  void (*softmax)(const T* z, T* p, size_t n);  // one row; padding becomes zero
  void (*softmax_grad)(const T* dp, const T* p, T* dz, size_t n);
  // Of a row, with a slope below zero per column, or where it is shared one for all.
  void (*prelu)(const T* z, const T* alpha, bool shared, T* a, size_t n);
  void (*prelu_grad)(const T* da, const T* z, const T* alpha, bool shared, T* dz, size_t n);
  void (*prelu_grad_alpha)(const PreluGradient<T>&);
  // Adds what a tangent t that passed through softmax owes its input.
  void (*softmax_curvature)(const T* dp, const T* t, const T* p, T* dz, size_t n);
  void (*log_softmax)(const T* z, T* a, size_t n);
  void (*log_softmax_grad)(const T* da, const T* a, T* dz, size_t n);
  void (*dropout)(const Dropout<T>&);
  void (*dropout_grad)(const T* dy, const std::uint8_t* mask, T scale, T* dx, size_t n);
  void (*gaussian_noise)(const GaussianNoise<T>&);

  void (*batch_norm)(const BatchNorm<T>&);
  void (*batch_norm_grad)(const BatchNormGrad<T>&);
  void (*standardize)(const Standardize<T>&);
  // One row of n; *inverse becomes 1 / sqrt(mean square + epsilon) unless it is null.
  void (*layer_norm)(const T* x, T* y, T* inverse, size_t n, bool centred, T epsilon);
  void (*layer_norm_grad)(const T* dy, const T* y, T inverse, T* dx, size_t n, bool centred);
  void (*multiply)(const T* x, const T* w, T* y, size_t n);
  void (*add_products)(const T* x, size_t x_stride, const T* dy, size_t dy_stride, size_t rows, size_t n, T* g,
                       bool accumulate);

  void (*loss[size(Loss::count)])(const LossRows<T>&);
  void (*tally[size(Tally::count)])(const TallyRows<T>&);

  // Sums over one panel, down each column and then over columns, continuing *sum.
  void (*square_sum)(const T* g, size_t depth, size_t width, double* sum);
  void (*penalty)(const T* w, size_t depth, size_t width, T l1, T l2, double* sum);
  void (*penalty_grad)(const T* w, T l1, T l2, T* g, size_t n);  // any n; adds to g
  T (*activity)(const T* a, T l1, T l2, size_t n);               // of one row
  void (*scale)(T* g, T factor, size_t n);
  void (*clip)(T* g, T limit, size_t n);
  // average = momentum average + (1 - momentum) w
  void (*ema)(const T* w, T momentum, T* average, size_t n);
  void (*update[size(Optimizer::count)])(const UpdateSpan<T>&);
  // The update with an outer product as its gradient, whose g is scratch for two tiles.
  void (*outer_product_update[size(Optimizer::count)])(const OuterProduct<T>&, const UpdateSpan<T>&);

  // Of the columns of one panel, of rows [from, to) across all panels, and of a whole variable.
  void (*limit_column_norms)(T* w, size_t depth, size_t width, const NormLimits<T>&);
  void (*limit_row_norms)(T* w, size_t depth, const Panels&, size_t from, size_t to, const NormLimits<T>&);
  void (*limit_norm)(T* w, size_t depth, const Panels&, const NormLimits<T>&);

  void (*read_rows[size(Scalar::count)])(const SourceRows<T>&);
  bool (*all_finite)(const T* x, size_t n);  // any n
};

}  // namespace deltaprop
