// The vocabulary's names, and the one validation of a plan.
#include "plan.h"

#include <stdexcept>

namespace deltaprop {
namespace {

const char* const kRoles[] = {"input", "target",    "weight",   "activation", "delta",   "mask",
                              "row",   "parameter", "gradient", "slot",       "counter", "scalar"};
const char* const kKinds[] = {"dense",        "add_bias",     "activation",   "softmax",   "dropout",
                              "loss",         "reduce",       "penalty",      "activation_grad", "softmax_grad",
                              "dropout_grad", "dense_grad_w", "bias_grad",    "dense_grad_x", "penalty_grad",
                              "square_sum",   "clip_norm",    "clip_value",   "update",    "dense_update",
                              "bias_update"};
const char* const kActivations[] = {"linear", "relu", "sigmoid", "tanh"};
const char* const kLosses[] = {"mse",
                               "mae",
                               "half_squared_error",
                               "binary_crossentropy",
                               "categorical_crossentropy",
                               "sparse_categorical_crossentropy",
                               "sigmoid_binary_crossentropy",
                               "softmax_categorical_crossentropy",
                               "softmax_sparse_categorical_crossentropy",
                               "binary_accuracy",
                               "categorical_accuracy",
                               "sparse_categorical_accuracy"};
const char* const kOptimizers[] = {"sgd",     "momentum",         "nesterov", "rmsprop", "rmsprop_momentum",
                                   "centered_rmsprop", "adam",    "amsgrad"};

template <size_t n>
int index_of(const char* const (&names)[n], const std::string& name, const char* what) {
  for (size_t i = 0; i < n; ++i)
    if (name == names[i]) return static_cast<int>(i);
  throw std::invalid_argument(std::string("unknown ") + what + " '" + name + "' in the plan");
}

static_assert(sizeof kRoles / sizeof *kRoles == static_cast<size_t>(Role::count), "a role lacks its name");
static_assert(sizeof kKinds / sizeof *kKinds == static_cast<size_t>(Kind::count), "an operation lacks its name");
static_assert(sizeof kActivations / sizeof *kActivations == size(Activation::count), "an activation lacks its name");
static_assert(sizeof kLosses / sizeof *kLosses == size(Loss::count), "a loss lacks its name");
static_assert(sizeof kOptimizers / sizeof *kOptimizers == size(Optimizer::count), "an optimizer lacks its name");

// What each kind takes: required and greatest numbers of operands, and of attributes.
struct Arity {
  size_t in, most_in, out, most_out, attributes;
};
constexpr size_t kAny = 1000000;

Arity arity(Kind kind) {
  switch (kind) {
    case Kind::dense: return {2, 3, 1, 1, 0};
    case Kind::add_bias: return {2, 2, 1, 1, 0};
    case Kind::activation: return {1, 1, 1, 1, 0};
    case Kind::softmax: return {1, 1, 1, 1, 0};
    case Kind::dropout: return {1, 1, 2, 2, 2};
    case Kind::loss: return {2, 4, 1, 2, 0};
    case Kind::reduce: return {1, 2, 1, 1, 1};
    case Kind::penalty: return {1, 1, 1, 1, 2};
    case Kind::activation_grad: return {2, 2, 1, 1, 0};
    case Kind::softmax_grad: return {2, 2, 1, 1, 0};
    case Kind::dropout_grad: return {2, 2, 1, 1, 1};
    case Kind::dense_grad_w: return {2, 2, 1, 2, 0};
    case Kind::bias_grad: return {1, 1, 1, 1, 0};
    case Kind::dense_grad_x: return {2, 3, 1, 1, 0};
    case Kind::penalty_grad: return {1, 1, 1, 1, 2};
    case Kind::square_sum: return {1, 1, 1, 1, 0};
    case Kind::clip_norm: return {2, kAny, 1, 1, 1};
    case Kind::clip_value: return {1, 1, 1, 1, 1};
    case Kind::update: return {2, 2, 1, 4, 1};
    case Kind::dense_update: return {3, 3, 2, 5, 1};
    case Kind::bias_update: return {2, 2, 2, 5, 1};
    case Kind::count: break;
  }
  return {};
}

void check(bool fits, size_t op, const Plan& plan, const char* what) {
  if (fits) return;
  throw std::invalid_argument("operation " + std::to_string(op) + " (" + kKinds[static_cast<size_t>(plan.ops[op].kind)] +
                              ") of the plan: " + what);
}

void check_operands(const Plan& plan, size_t i, const std::vector<int>& operands, size_t least, size_t most) {
  check(operands.size() >= least && operands.size() <= most, i, plan, "wrong number of operands");
  for (size_t k = 0; k < operands.size(); ++k)
    check(operands[k] < static_cast<int>(plan.buffers.size()) && operands[k] >= (k < least ? 0 : -1), i, plan,
          "an operand that is no buffer of the plan");
}

// A weight matrix joins a row buffer of its n_in and one of its n_out.
void check_matrix(const Plan& plan, size_t i, int narrow, int matrix, int wide) {
  const auto& shape = plan.buffers[static_cast<size_t>(matrix)].shape;
  check(shape.size() == 2, i, plan, "the weights are no matrix");
  check(plan.buffers[static_cast<size_t>(narrow)].width() == shape[0] &&
            plan.buffers[static_cast<size_t>(wide)].width() == shape[1],
        i, plan, "the weights' shape does not fit the rows");
}

void check_same_width(const Plan& plan, size_t i, int a, int b) {
  if (a < 0 || b < 0) return;
  check(plan.buffers[static_cast<size_t>(a)].width() == plan.buffers[static_cast<size_t>(b)].width(), i, plan,
        "operands of different widths");
}

void check_op(const Plan& plan, size_t i) {
  const Op& op = plan.ops[i];
  const Arity a = arity(op.kind);
  check_operands(plan, i, op.in, a.in, a.most_in);
  check_operands(plan, i, op.out, a.out, a.most_out);
  check(op.attributes.size() >= a.attributes, i, plan, "too few attributes");
  switch (op.kind) {
    case Kind::dense: check_matrix(plan, i, op.in[0], op.in[1], op.out[0]); break;
    case Kind::dense_grad_w:
    case Kind::dense_update: check_matrix(plan, i, op.in[0], op.out[0], op.in[1]); break;
    case Kind::dense_grad_x: check_matrix(plan, i, op.out[0], op.in[1], op.in[0]); break;
    case Kind::reduce:
    case Kind::penalty:
      check(plan.buffers[static_cast<size_t>(op.out[0])].role == Role::counter, i, plan, "writes no counter");
      break;
    case Kind::square_sum:
      check(plan.buffers[static_cast<size_t>(op.out[0])].role == Role::scalar, i, plan, "writes no scalar");
      break;
    case Kind::clip_norm: break;
    case Kind::loss:
      if (op.out.size() > 1) check_same_width(plan, i, op.in[0], op.out[1]);
      break;
    default:
      for (int operand : op.in) check_same_width(plan, i, operand, op.out[0]);
  }
}

}  // namespace

size_t Buffer::width() const {
  size_t n = 1;
  for (size_t extent : shape) n *= extent;
  return n;
}

void validate(const Plan& plan) {
  if (plan.span.back() != plan.ops.size()) throw std::invalid_argument("the plan's spans do not cover its operations");
  for (size_t s = 0; s + 1 < plan.span.size(); ++s)
    if (plan.span[s] > plan.span[s + 1]) throw std::invalid_argument("the plan's spans are out of order");
  for (const Buffer& buffer : plan.buffers)
    if (buffer.width() == 0) throw std::invalid_argument("buffer '" + buffer.name + "' of the plan is empty");
  if (plan.weights.size() != plan.targets.size()) throw std::invalid_argument("the plan needs one weight per target");
  for (size_t i = 0; i < plan.ops.size(); ++i) check_op(plan, i);
}

Role role_of(const std::string& name) { return static_cast<Role>(index_of(kRoles, name, "role")); }

Kind kind_of(const std::string& name) { return static_cast<Kind>(index_of(kKinds, name, "operation")); }

int function_of(Kind kind, const std::string& name) {
  if (kind == Kind::loss) return index_of(kLosses, name, "loss");
  if (kind == Kind::update || Plan::forms_gradient(kind)) return index_of(kOptimizers, name, "optimizer");
  return index_of(kActivations, name.empty() ? "linear" : name, "activation");
}

}  // namespace deltaprop
