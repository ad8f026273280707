// The vocabulary's names.
#include "plan.h"

#include <stdexcept>

namespace deltaprop {
namespace {

const char* const kRoles[] = {"input",     "target",   "weight", "activation", "delta",   "mask",  "row",
                              "parameter", "gradient", "slot",   "unit",       "counter", "scalar"};
const char* const kKinds[] = {"dense",
                              "dense_transposed",
                              "add_bias",
                              "activation",
                              "softmax",
                              "prelu",
                              "log_softmax",
                              "distance",
                              "gaussian",
                              "dropout",
                              "alpha_dropout",
                              "gaussian_noise",
                              "gaussian_dropout",
                              "batch_norm",
                              "layer_norm",
                              "standardize",
                              "scale_columns",
                              "combine",
                              "multiply",
                              "concatenate",
                              "embedding",
                              "slice",
                              "host",
                              "loss",
                              "reduce",
                              "tally",
                              "penalty",
                              "activity",
                              "column_sum",
                              "sparse_kl",
                              "activation_grad",
                              "softmax_grad",
                              "prelu_grad",
                              "prelu_grad_alpha",
                              "log_softmax_grad",
                              "distance_grad_x",
                              "distance_grad_w",
                              "gaussian_grad",
                              "gaussian_grad_s",
                              "dropout_grad",
                              "noise_grad",
                              "batch_norm_grad",
                              "layer_norm_grad",
                              "standardize_grad",
                              "scale_grad",
                              "embedding_grad",
                              "dense_grad_w",
                              "bias_grad",
                              "dense_grad_x",
                              "penalty_grad",
                              "activity_grad",
                              "sparse_kl_grad",
                              "activation_curvature",
                              "softmax_curvature",
                              "square_sum",
                              "clip_norm",
                              "clip_value",
                              "update",
                              "dense_update",
                              "bias_update",
                              "embedding_update",
                              "ema",
                              "min_max_norm",
                              "non_neg"};
const char* const kActivations[] = {
    "linear", "relu", "sigmoid", "tanh", "step",      "sign", "leaky_relu", "relu6",    "hard_tanh",   "hard_sigmoid",
    "elu",    "selu", "celu",    "gelu", "gelu_tanh", "silu", "softplus",   "softsign", "exponential", "mish",
};
const char* const kLosses[] = {"mse",
                               "mae",
                               "half_squared_error",
                               "huber",
                               "log_cosh",
                               "mape",
                               "msle",
                               "poisson",
                               "kl_divergence",
                               "hinge",
                               "squared_hinge",
                               "categorical_hinge",
                               "cosine_similarity",
                               "quantile",
                               "gaussian_nll",
                               "binary_crossentropy",
                               "binary_focal_crossentropy",
                               "categorical_crossentropy",
                               "sparse_categorical_crossentropy",
                               "categorical_focal_crossentropy",
                               "sigmoid_binary_crossentropy",
                               "sigmoid_binary_focal_crossentropy",
                               "softmax_categorical_crossentropy",
                               "softmax_sparse_categorical_crossentropy",
                               "softmax_categorical_focal_crossentropy",
                               "binary_accuracy",
                               "categorical_accuracy",
                               "sparse_categorical_accuracy",
                               "top_k_categorical_accuracy",
                               "sparse_top_k_categorical_accuracy"};
const char* const kTallies[] = {"thresholds", "confusion", "moments"};
const char* const kOptimizers[] = {"sgd",  "momentum", "nesterov", "rmsprop",  "rmsprop_momentum", "centered_rmsprop",
                                   "adam", "amsgrad",  "adagrad",  "adadelta", "adamax",           "nadam",
                                   "lion", "rprop"};

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
static_assert(sizeof kTallies / sizeof *kTallies == size(Tally::count), "a tally lacks its name");
static_assert(sizeof kOptimizers / sizeof *kOptimizers == size(Optimizer::count), "an optimizer lacks its name");

}  // namespace

size_t Buffer::width() const {
  size_t n = 1;
  for (size_t extent : shape) n *= extent;
  return n;
}

Role role_of(const std::string& name) { return static_cast<Role>(index_of(kRoles, name, "role")); }

Kind kind_of(const std::string& name) { return static_cast<Kind>(index_of(kKinds, name, "operation")); }

const char* name_of(Kind kind) { return kKinds[static_cast<size_t>(kind)]; }

int function_of(Kind kind, const std::string& name) {
  if (kind == Kind::loss) return index_of(kLosses, name, "loss");
  if (kind == Kind::tally) return index_of(kTallies, name, "tally");
  if (kind == Kind::update || Plan::forms_gradient(kind)) return index_of(kOptimizers, name, "optimizer");
  return index_of(kActivations, name.empty() ? "linear" : name, "activation");
}

}  // namespace deltaprop
