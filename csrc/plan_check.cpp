// The one validation of a plan: what each operation reads and writes, and of which shapes.
#include <stdexcept>

#include "plan.h"

namespace deltaprop {
namespace {

// What each kind reads and writes, a letter per operand: rows, target, weight, value per row, mask, any of these,
// parameter, gradient, slot, unit, counter, norm. `?` makes one optional, `*` stands for any number of it.
struct Signature {
  const char* in;
  const char* out;
  size_t attributes;
};

Signature signature(Kind kind) {
  switch (kind) {
    case Kind::dense:
    case Kind::dense_transposed: return {"rpp?", "rr?", 0};
    case Kind::add_bias: return {"rp", "r", 0};
    case Kind::activation: return {"r", "r", 0};
    case Kind::softmax:
    case Kind::log_softmax: return {"r", "r", 0};
    case Kind::dropout: return {"r", "rm", 2};
    case Kind::alpha_dropout: return {"r", "rm", 5};
    case Kind::gaussian_noise: return {"r", "r", 2};
    case Kind::gaussian_dropout: return {"r", "rr", 2};
    case Kind::batch_norm: return {"rpp", "rupp", 2};
    case Kind::layer_norm: return {"r", "rv", 2};
    case Kind::standardize: return {"rpp", "r", 3};
    case Kind::scale_columns: return {"rp", "r", 0};
    case Kind::combine:
    case Kind::multiply:
    case Kind::concatenate: return {"rr*", "r", 0};
    case Kind::embedding: return {"rp", "r", 0};
    case Kind::slice: return {"r", "r", 1};
    case Kind::host: return {"aa*", "aa*", 1};
    case Kind::loss: return {"rtw?r?", "vr?", 1};
    case Kind::reduce: return {"vw?", "c", 1};
    case Kind::tally: return {"rtw?", "c", 0};
    case Kind::penalty: return {"p", "c", 2};
    case Kind::activity: return {"r", "v", 2};
    case Kind::column_sum: return {"r", "u", 0};
    case Kind::sparse_kl: return {"u", "uc", 2};
    case Kind::distance:
    case Kind::gaussian: return {"rp", "r", 0};
    case Kind::distance_grad_x: return {"rpr", "r", 0};
    case Kind::distance_grad_w: return {"rrp", "g", 0};
    case Kind::gaussian_grad: return {"rrp", "r", 0};
    case Kind::gaussian_grad_s: return {"rrrp", "g", 0};
    case Kind::prelu: return {"rp", "r", 0};
    case Kind::prelu_grad: return {"rrp", "r", 0};
    case Kind::prelu_grad_alpha: return {"rr", "g", 0};
    case Kind::activation_grad:
    case Kind::softmax_grad:
    case Kind::log_softmax_grad: return {"rr", "r", 0};
    case Kind::dropout_grad: return {"rm", "r", 1};
    case Kind::noise_grad: return {"rr", "r", 0};
    case Kind::batch_norm_grad: return {"rru", "r", 0};
    case Kind::layer_norm_grad: return {"rrv", "r", 1};
    case Kind::standardize_grad: return {"rp", "r", 3};
    case Kind::scale_grad: return {"rr", "g", 0};
    case Kind::embedding_grad: return {"rr", "g", 0};
    case Kind::dense_grad_w: return {"rr", "gg?", 0};
    case Kind::bias_grad: return {"r", "g", 0};
    case Kind::dense_grad_x: return {"rpr?", "r", 0};
    case Kind::penalty_grad: return {"p", "g", 2};
    case Kind::activity_grad: return {"r", "r", 2};
    case Kind::sparse_kl_grad: return {"u", "r", 0};
    case Kind::activation_curvature:
    case Kind::softmax_curvature: return {"rrr", "r", 0};
    case Kind::square_sum: return {"g", "n", 0};
    case Kind::clip_norm: return {"gn*", "g", 1};
    case Kind::clip_value: return {"g", "g", 1};
    case Kind::update: return {"pg", "ps*", 2};
    case Kind::dense_update: return {"rrp", "pgs*", 2};
    case Kind::bias_update: return {"rp", "pgs*", 2};
    case Kind::embedding_update: return {"rrp", "pg", 2};
    case Kind::ema: return {"ps", "sp", 2};
    case Kind::min_max_norm: return {"p", "p", 4};
    case Kind::non_neg: return {"p", "p", 0};
    case Kind::count: break;
  }
  return {"", "", 0};
}

// How many slots and constants an optimiser keeps.
struct Keeps {
  size_t slots, constants;
};
constexpr Keeps kKeeps[] = {{0, 0}, {1, 1}, {1, 1}, {1, 3}, {2, 3}, {3, 3}, {2, 3},
                            {3, 3}, {1, 1}, {2, 2}, {2, 3}, {2, 3}, {1, 2}, {2, 4}};
static_assert(sizeof kKeeps / sizeof *kKeeps == size(Optimizer::count), "an optimizer lacks its slots");

bool has_role(Role role, char letter) {
  switch (letter) {
    case 'r': return role == Role::input || role == Role::activation || role == Role::delta;
    case 't': return role == Role::target;
    case 'w': return role == Role::weight;
    case 'v': return role == Role::row;
    case 'm': return role == Role::mask;
    case 'a': return role <= Role::row && role != Role::mask;
    case 'p': return role == Role::parameter;
    case 'g': return role == Role::gradient;
    case 's': return role == Role::slot;
    case 'u': return role == Role::unit;
    case 'c': return role == Role::counter;
    default: return role == Role::scalar;
  }
}

// The checks of one operation; each throws a text that names it.
class OpCheck {
 public:
  OpCheck(const Plan& plan, size_t number) : plan_(plan), number_(number), op_(plan.ops[number]) {}

  void run(std::vector<bool>& written) const {
    const Signature s = signature(op_.kind);
    const size_t known = op_.kind == Kind::loss    ? size(Loss::count)
                         : op_.kind == Kind::tally ? size(Tally::count)
                         : is_update()             ? size(Optimizer::count)
                                                   : size(Activation::count);
    check(op_.function >= 0 && static_cast<size_t>(op_.function) < known, "a function that nobody knows");
    operands(op_.in, s.in);
    operands(op_.out, s.out);
    const size_t constants = is_update() ? kKeeps[op_.function].constants : has_constant();
    check(op_.attributes.size() >= s.attributes + constants, "too few attributes");
    shapes();
    const bool adds = op_.accumulate || op_.kind == Kind::penalty_grad || op_.kind == Kind::activation_curvature ||
                      op_.kind == Kind::softmax_curvature;
    for (int b : op_.in) check(b < 0 || written[static_cast<size_t>(b)], "reads what was not written before");
    check(!adds || written[static_cast<size_t>(op_.out[0])], "adds to what was not written before");
    for (int b : op_.out)
      if (b >= 0) written[static_cast<size_t>(b)] = true;
  }

 private:
  // Whether the operation's function is an activation with a constant.
  bool has_constant() const {
    const auto f = static_cast<Activation>(op_.function);
    const bool activates = Plan::forward_product(op_.kind) || op_.kind == Kind::activation ||
                           op_.kind == Kind::activation_grad || op_.kind == Kind::dense_grad_x;
    return activates &&
           (f == Activation::leaky_relu || f == Activation::relu6 || f == Activation::elu || f == Activation::celu);
  }
  bool is_update() const { return op_.kind == Kind::update || Plan::forms_gradient(op_.kind); }

  void check(bool fits, const char* what) const {
    if (fits) return;
    throw std::invalid_argument("operation " + std::to_string(number_) + " (" + name_of(op_.kind) +
                                ") of the plan: " + what);
  }

  void operands(const std::vector<int>& buffers, const char* letters) const {
    size_t i = 0;
    for (; *letters; ++letters) {
      const char mark = letters[1];
      size_t most = mark == '*' ? buffers.size() : i + 1;
      for (; i < most; ++i) {
        check(i < buffers.size() || mark == '?', "wrong number of operands");
        if (i >= buffers.size()) break;
        check(buffers[i] >= (mark == '?' ? -1 : 0) && buffers[i] < static_cast<int>(plan_.buffers.size()),
              "an operand that is no buffer of the plan");
        check(buffers[i] < 0 || has_role(buffer(buffers[i]).role, *letters), "an operand of the wrong role");
      }
      if (mark == '?' || mark == '*') ++letters;
    }
    check(i >= buffers.size(), "wrong number of operands");
  }

  const Buffer& buffer(int b) const { return plan_.buffers[static_cast<size_t>(b)]; }
  int in(size_t i) const { return i < op_.in.size() ? op_.in[i] : -1; }
  int out(size_t i) const { return i < op_.out.size() ? op_.out[i] : -1; }

  void same_width(int a, int b) const {
    if (a >= 0 && b >= 0) check(buffer(a).width() == buffer(b).width(), "operands of different widths");
  }
  void same_shape(int a, int b) const {
    if (a >= 0 && b >= 0) check(buffer(a).shape == buffer(b).shape, "operands of different shapes");
  }
  // A weight matrix joins rows of its n_in and rows of its n_out.
  void matrix(int n_in, int w, int n_out) const {
    const auto& shape = buffer(w).shape;
    check(shape.size() == 2, "the weights are no matrix");
    check(buffer(n_in).width() == shape[0] && buffer(n_out).width() == shape[1],
          "the weights' shape does not fit the rows");
  }

  // Each id stands for a row of the table.
  void table(int ids, int w, int rows) const {
    const auto& shape = buffer(w).shape;
    check(shape.size() == 2, "the table is no matrix");
    check(buffer(ids).width() * shape[1] == buffer(rows).width(), "the table's shape does not fit the rows");
  }

  // A slope per column, or one for all.
  void slopes(int alpha, int rows) const {
    if (buffer(alpha).width() != 1) same_width(alpha, rows);
  }

  void shapes() const {
    switch (op_.kind) {
      case Kind::dense:
        matrix(in(0), in(1), out(0));
        same_width(out(0), out(1));
        return same_width(in(2), out(0));
      case Kind::dense_transposed:
        matrix(out(0), in(1), in(0));
        same_width(out(0), out(1));
        return same_width(in(2), out(0));
      case Kind::dense_grad_w: matrix(in(0), out(0), in(1)); return same_width(out(1), in(1));
      case Kind::distance: return matrix(in(0), in(1), out(0));
      case Kind::distance_grad_w: matrix(in(0), out(0), in(1)); return same_shape(in(2), out(0));
      case Kind::distance_grad_x: matrix(out(0), in(1), in(0)); return same_width(in(2), out(0));
      case Kind::dense_grad_x:
        matrix(out(0), in(1), in(0));
        check(op_.function == 0 || in(2) >= 0, "a derivative without what it reads");
        return same_width(in(2), out(0));
      case Kind::dense_update:
        matrix(in(0), in(2), in(1));
        same_shape(in(2), out(0));
        return optimizer();
      case Kind::embedding: return table(in(0), in(1), out(0));
      case Kind::embedding_grad: return table(in(0), out(0), in(1));
      case Kind::embedding_update:
        table(in(0), in(2), in(1));
        same_shape(in(2), out(0));
        check(op_.function == static_cast<int>(Optimizer::sgd) && op_.attributes[0] == 0,
              "an update that does not leave rows without a gradient alone");
        return optimizer();
      case Kind::bias_update:
        same_width(in(0), in(1));
        same_shape(in(1), out(0));
        return optimizer();
      case Kind::update:
        same_shape(in(0), in(1));
        same_shape(in(0), out(0));
        return optimizer();
      case Kind::prelu: same_width(in(0), out(0)); return slopes(in(1), in(0));
      case Kind::prelu_grad:
        same_width(in(0), out(0));
        same_width(in(1), out(0));
        return slopes(in(2), in(0));
      case Kind::prelu_grad_alpha: same_width(in(0), in(1)); return slopes(out(0), in(0));
      case Kind::loss: return loss();
      case Kind::tally: return tally();
      case Kind::dropout:
      case Kind::alpha_dropout:
      case Kind::gaussian_dropout: same_width(in(0), out(1)); return same_width(in(0), out(0));
      case Kind::batch_norm:
        check(in(1) == out(2) && in(2) == out(3), "moving statistics that do not stay where they are");
        for (int b : {in(0), in(1), in(2), out(1)}) same_width(b, out(0));
        return;
      case Kind::layer_norm_grad: same_width(in(0), out(0)); return same_width(in(1), out(0));
      case Kind::concatenate: {
        size_t width = 0;
        for (int b : op_.in) width += buffer(b).width();
        return check(width == buffer(out(0)).width(), "operands whose widths do not add up");
      }
      case Kind::slice:
        return check(op_.attributes[0] >= 0 && op_.attributes[0] + static_cast<double>(buffer(out(0)).width()) <=
                                                   static_cast<double>(buffer(in(0)).width()),
                     "columns that are not there");
      case Kind::combine:
        check(op_.attributes.size() == op_.in.size(), "not a coefficient for each operand");
        for (int b : op_.in) same_width(b, out(0));
        return;
      case Kind::host:
      case Kind::reduce:
      case Kind::penalty:
      case Kind::activity:
      case Kind::square_sum: return;
      case Kind::min_max_norm:
      case Kind::non_neg: return check(in(0) == out(0), "constrains a variable into another");
      case Kind::clip_norm: return same_shape(in(0), out(0));
      case Kind::ema:
        check(in(0) == out(1) && in(1) == out(0), "an average that is not of its own parameter");
        return same_shape(in(0), in(1));
      default:
        for (int b : op_.in) same_width(b, out(0));
    }
  }

  void loss() const {
    const auto function = static_cast<Loss>(op_.function);
    const bool matched = function >= Loss::sigmoid_binary_crossentropy && function < Loss::binary_accuracy;
    const size_t n = buffer(in(0)).width(), given = op_.attributes.size() - 1;  // behind the factor
    size_t width = n, constants = 0;
    switch (function) {
      case Loss::sparse_categorical_crossentropy:
      case Loss::softmax_sparse_categorical_crossentropy:
      case Loss::sparse_categorical_accuracy: width = 1; break;
      case Loss::huber:                     // delta
      case Loss::binary_crossentropy:       // the smoothing
      case Loss::categorical_crossentropy:  // the smoothing
      case Loss::sigmoid_binary_crossentropy:
      case Loss::softmax_categorical_crossentropy:
      case Loss::binary_accuracy:                                   // the threshold
      case Loss::top_k_categorical_accuracy: constants = 1; break;  // k
      case Loss::sparse_top_k_categorical_accuracy:
        width = 1;
        constants = 1;
        break;
      case Loss::binary_focal_crossentropy:  // the smoothing, gamma, the weights of yes and no
      case Loss::sigmoid_binary_focal_crossentropy: constants = 4; break;
      case Loss::categorical_focal_crossentropy:  // the smoothing, gamma, a weight for each class
      case Loss::softmax_categorical_focal_crossentropy: constants = 2 + n; break;
      case Loss::quantile:  // the quantiles
        check(given > 0 && n % given == 0, "outputs that are not one block per quantile");
        width = n / given;
        break;
      case Loss::gaussian_nll:  // the smallest variance, what is added to each value
        check(n % 2 == 0, "outputs that are not means and variances");
        width = n / 2;
        constants = 2;
        break;
      default: break;
    }
    check(given >= constants, "too few attributes");
    check(buffer(in(1)).width() == width, "a target of another width");
    check(!matched || in(3) >= 0, "a matched loss without logits");
    check(out(1) < 0 || in(2) >= 0, "a delta without a weight");
    same_width(in(0), in(3));
    same_width(in(0), out(1));
  }

  void tally() const {
    const auto function = static_cast<Tally>(op_.function);
    const size_t n = buffer(in(0)).width(), given = op_.attributes.size(), classes = n > 1 ? n : 2;
    check(buffer(in(1)).width() == n || (function != Tally::moments && buffer(in(1)).width() == 1),
          "a target of another width");
    check(given > 0 || function == Tally::moments, "too few attributes");
    const size_t sums = function == Tally::thresholds  ? n * 2 * (given + 1)
                        : function == Tally::confusion ? classes * classes
                                                       : n * 4;
    check(buffer(out(0)).width() == sums, "not as many sums as the tally has");
  }

  void optimizer() const {
    const size_t before = op_.kind == Kind::update ? 1 : 2;
    check(op_.out.size() == before + kKeeps[op_.function].slots, "not the optimiser's number of slots");
    for (int b : op_.out) same_shape(b, out(0));
  }

  const Plan& plan_;
  const size_t number_;
  const Op& op_;
};

// Every entry is a buffer of that role.
void check_list(const Plan& plan, const std::vector<int>& list, char letter, const char* what) {
  for (int b : list)
    if (b < 0 || b >= static_cast<int>(plan.buffers.size()) ||
        !has_role(plan.buffers[static_cast<size_t>(b)].role, letter))
      throw std::invalid_argument(std::string("the plan's ") + what + " name something else");
}

}  // namespace

void validate(const Plan& plan) {
  if (plan.span.front() != 0 || plan.span.back() != plan.ops.size())
    throw std::invalid_argument("the plan's spans do not cover its operations");
  for (size_t s = 0; s + 1 < plan.span.size(); ++s)
    if (plan.span[s] > plan.span[s + 1]) throw std::invalid_argument("the plan's spans are out of order");
  for (const Buffer& buffer : plan.buffers)
    if (buffer.width() == 0) throw std::invalid_argument("buffer '" + buffer.name + "' of the plan is empty");
  if (plan.weights.size() != plan.targets.size()) throw std::invalid_argument("the plan needs one weight per target");
  for (int b : plan.inputs)
    if (b < 0 || b >= static_cast<int>(plan.buffers.size()) || plan.buffers[static_cast<size_t>(b)].role != Role::input)
      throw std::invalid_argument("the plan's inputs name something else");
  check_list(plan, plan.targets, 't', "targets");
  check_list(plan, plan.weights, 'w', "weights");
  check_list(plan, plan.outputs, 'r', "outputs");
  check_list(plan, plan.objective, 'c', "objective");

  std::vector<bool> written(plan.buffers.size());
  for (size_t b = 0; b < plan.buffers.size(); ++b) {
    const Role role = plan.buffers[b].role;
    written[b] = role == Role::input || role == Role::target || role == Role::weight || role == Role::parameter ||
                 role == Role::slot;
  }
  for (size_t i = 0; i < plan.ops.size(); ++i) OpCheck(plan, i).run(written);
  for (int b : plan.outputs)
    if (!written[static_cast<size_t>(b)]) throw std::invalid_argument("the plan never writes one of its outputs");
}

}  // namespace deltaprop
