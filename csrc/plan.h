// The plan: what a network computes, as a flat list of operations over numbered logical buffers. It knows no memory
// layout, ISA level, float type or row count.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "kernels/table.h"

namespace deltaprop {

enum class Role {
  input,       // (rows, ...), from the caller
  target,      // (rows, ...), from the caller
  weight,      // (rows), from the caller; ones where absent
  activation,  // (rows, ...)
  delta,       // (rows, ...), d objective / d activation
  mask,        // (rows, ...), uint8
  row,         // (rows), a value per row
  parameter,   // a variable, in its own layout
  gradient,    // the same shape as its parameter
  slot,        // an optimiser's, the same shape as its parameter
  unit,        // (n), a value per unit of a layer, over the batch; lies as a bias does
  counter,     // float64: a sum and what to divide it by, or a metric's own sums
  scalar,      // one float64
  count
};

struct Buffer {
  Role role;
  std::vector<size_t> shape;  // without the rows
  std::string name;

  bool of_rows() const { return role <= Role::row; }
  bool of_variable() const { return role >= Role::parameter && role <= Role::unit; }
  size_t width() const;  // elements per row, or in all
};

// in -> out, with -1 for an optional operand that is absent. `function` is an Activation, Loss, Tally or Optimizer.
enum class Kind {
  dense,             // x w [b] -> y [z]        y = function(z), z = x w + b; attributes: the function's constant
  dense_transposed,  // x w [b] -> y [z]        the same with z = x w' + b: a layer on another one's weights
  add_bias,          // z b -> y
  activation,        // z -> a                  attributes: the function's constant
  softmax,           // z -> p
  prelu,             // z alpha -> a            alpha: a slope below zero per column, or one for all
  log_softmax,       // z -> a
  distance,          // x c -> d                d = |x - c|^2 / 2 from each column of c
  gaussian,          // d s -> y                y = exp(-d / s^2), a width s per column
  dropout,           // x -> y mask             attributes: rate, stream
  alpha_dropout,     // x -> y mask             kept units become a x + b, others c; attributes: rate, stream, a, b, c
  gaussian_noise,    // x -> y                  attributes: deviation, stream
  gaussian_dropout,  // x -> y noise            y = x noise; attributes: deviation, stream
  batch_norm,        // x m v -> y s m v   m and v follow in training; s = 1 / deviation; attributes: momentum, epsilon
  layer_norm,        // x -> y s                s = 1 / deviation of each row; attributes: 1 to centre or 0, epsilon
  standardize,       // x m v -> y              attributes: epsilon, the least variance, 1 to invert or 0
  scale_columns,     // x w -> y
  combine,           // x ... -> y              y = c1 x1 + c2 x2 + ...; attributes: a coefficient for each
  multiply,          // x ... -> y              y = x1 x2 ...
  concatenate,       // x ... -> y              side by side
  embedding,         // ids w -> y              the rows of w with these ids, side by side; NaN for what is no id
  slice,             // x -> y                  the columns from an offset on, as many as y has; attributes: offset
  host,              // x ... -> y ...          a Python function on the calling thread; attributes: its number
  loss,              // p y [weight] [z] -> value [delta]; a delta wants the weight, a matched loss wants z;
                     //                         attributes: its factor, its constants (see plan_check.cpp)
  reduce,            // value [weight] -> counter   attributes: 1 to divide by the weights, 0 by the rows
  tally,             // p y [weight] -> counter  attributes: see metrics.inl
  penalty,           // w -> counter            attributes: l1, l2
  activity,          // a -> value              attributes: l1, l2
  column_sum,        // a -> s                  the sum of the batch's rows
  sparse_kl,         // s -> slope counter      attributes: rho, beta
  activation_grad,  // da s -> dz              s is a or z, as the function's derivative reads; attributes: the constant
  softmax_grad,     // dp p -> dz
  prelu_grad,       // da z alpha -> dz
  prelu_grad_alpha,      // da z -> galpha
  log_softmax_grad,      // da a -> dz
  distance_grad_x,       // dd c x -> dx
  distance_grad_w,       // x dd c -> gc
  gaussian_grad,         // dy y s -> dd
  gaussian_grad_s,       // dy y d s -> gs
  dropout_grad,          // dy mask -> dx           attributes: what kept gradients are divided by
  noise_grad,            // dy noise -> dx
  batch_norm_grad,       // dy y s -> dx
  layer_norm_grad,       // dy y s -> dx            attributes: 1 if centred
  standardize_grad,      // dy v -> dx              attributes: as forward
  scale_grad,            // x dy -> gw              the gradient of scale_columns' w
  embedding_grad,        // ids dy -> gw
  dense_grad_w,          // x dz -> gw [gb]
  bias_grad,             // dz -> gb
  dense_grad_x,          // dz w [s] -> dx          dx = (dz w') function'(s); attributes: the constant
  penalty_grad,          // w -> gw                 always added; attributes: l1, l2
  activity_grad,         // a -> da                 attributes: l1, l2
  sparse_kl_grad,        // slope -> da
  activation_curvature,  // da t s -> dz        always added: da t function''(s); attributes: the constant
  softmax_curvature,     // dp t p -> dz           always added: the gradient by z of dp . J(z) t
  square_sum,            // g -> s
  clip_norm,             // g s ... -> g            g limit / max(limit, sqrt(sum s)); attributes: limit
  clip_value,            // g -> g                  attributes: limit
  update,                // w g -> w slots ...      attributes: decay, rate factor, the optimiser's constants
  dense_update,  // x dz w -> w g slots ... dense_grad_w and update in one; g holds sums between blocks of a long batch
  bias_update,   // dz b -> b g slots ...   bias_grad and update in one
  embedding_update,  // ids dy w -> w g          embedding_grad and update by plain descent in one: of rows that occur
  ema,               // w average -> average w  attributes: momentum; steps between overwrites of w by it, 0 for none
  min_max_norm,      // w -> w                  attributes: min, max, rate, axis: 0 down the inputs, 1 across, -1 both
  non_neg,           // w -> w
  count
};

struct Op {
  Kind kind;
  int function = 0;
  bool accumulate = false;  // add to the (single) gradient written instead of replacing it
  std::vector<int> in, out;
  std::vector<double> attributes;

  // Of an activation; most have none.
  double constant() const { return attributes.empty() ? 0 : attributes[0]; }
};

enum class Span { forward, loss, backward, update, count };

struct Plan {
  std::vector<Buffer> buffers;
  std::vector<Op> ops;
  std::array<size_t, 5> span{};                        // span s holds the ops [span[s], span[s + 1])
  std::vector<int> inputs, targets, weights, outputs;  // buffers; weights[i] belongs to targets[i]
  std::vector<int> objective;                          // the counters whose sum is minimised

  // Whether an operation of the update span forms a gradient, so that every block of a batch runs it.
  static bool forms_gradient(Kind kind) {
    return kind == Kind::dense_update || kind == Kind::bias_update || kind == Kind::embedding_update;
  }

  // Whether it contracts rows with the whole of a matrix, in[1]: along the matrix's columns, or along its rows.
  static bool reads_columns(Kind kind) { return kind == Kind::dense || kind == Kind::distance; }
  static bool reads_rows(Kind kind) {
    return kind == Kind::dense_transposed || kind == Kind::dense_grad_x || kind == Kind::distance_grad_x;
  }

  // Whether it contracts rows with a matrix at all: then it reads nothing beside them.
  static bool contracts(Kind kind) { return reads_columns(kind) || reads_rows(kind); }

  // Whether it is the product of a layer with its weights.
  static bool forward_product(Kind kind) { return kind == Kind::dense || kind == Kind::dense_transposed; }

  // Whether an operation does nothing outside training, so that its result is its input.
  static bool only_trains(Kind kind) {
    return kind == Kind::dropout || kind == Kind::alpha_dropout || kind == Kind::gaussian_noise ||
           kind == Kind::gaussian_dropout;
  }
  // Whether training needs the whole batch before the gradient of any of its rows: no blocks then.
  static bool batch_wide(Kind kind) { return kind == Kind::batch_norm || kind == Kind::sparse_kl; }

  size_t begin(Span s) const { return span[static_cast<size_t>(s)]; }
  size_t end(Span s) const { return span[static_cast<size_t>(s) + 1]; }
};

// Throws std::invalid_argument that names the first operation or buffer which does not fit; everything behind it
// asserts.
void validate(const Plan& plan);

// The words of the vocabulary; throw std::invalid_argument for an unknown one.
Role role_of(const std::string& name);
Kind kind_of(const std::string& name);
const char* name_of(Kind kind);
int function_of(Kind kind, const std::string& name);

}  // namespace deltaprop
