// The validation of plans: every kind of damage is found before a plan runs.
#include <algorithm>
#include <functional>
#include <stdexcept>

#include "check.h"
#include "network.h"

using namespace deltaprop;
using network::make_plan;
using network::Shape;

namespace {

void test_validate() {
  const Shape shape{3, 4, 5, 0.3};
  struct Damage {
    const char* name;
    std::function<void(Plan&)> apply;
  };
  const auto op = [](Plan& plan, Kind kind) -> Op& {
    return *std::find_if(plan.ops.begin(), plan.ops.end(), [&](const Op& o) { return o.kind == kind; });
  };
  const auto buffer = [](Plan& plan, const std::string& wanted) {
    const auto found =
        std::find_if(plan.buffers.begin(), plan.buffers.end(), [&](const Buffer& b) { return b.name == wanted; });
    return static_cast<int>(found - plan.buffers.begin());
  };
  const Damage damages[] = {
      {"spans that end early", [](Plan& p) { --p.span[4]; }},
      {"spans that start late", [](Plan& p) { p.span[0] = 1; }},
      {"spans out of order", [](Plan& p) { std::swap(p.span[1], p.span[2]); }},
      {"an empty buffer", [](Plan& p) { p.buffers[0].shape = {0}; }},
      {"a weight too few", [](Plan& p) { p.weights.clear(); }},
      {"an operand too few", [&](Plan& p) { op(p, Kind::dense).in.pop_back(), op(p, Kind::dense).in.pop_back(); }},
      {"an operand too many", [&](Plan& p) { op(p, Kind::softmax).in.push_back(0); }},
      {"a result too few", [&](Plan& p) { op(p, Kind::dropout).out.pop_back(); }},
      {"an operand beyond the buffers", [&](Plan& p) { op(p, Kind::dense).in[0] = 1000; }},
      {"a negative operand", [&](Plan& p) { op(p, Kind::dense).in[1] = -1; }},
      {"a result beyond the buffers", [&](Plan& p) { op(p, Kind::dense).out[0] = 1000; }},
      {"an attribute too few", [&](Plan& p) { op(p, Kind::dropout).attributes.pop_back(); }},
      {"constants of the optimiser too few", [&](Plan& p) { op(p, Kind::update).attributes.resize(1); }},
      {"slots of the optimiser too few", [&](Plan& p) { op(p, Kind::update).out.pop_back(); }},
      {"an unknown activation", [&](Plan& p) { op(p, Kind::dense).function = 99; }},
      {"an unknown loss", [&](Plan& p) { op(p, Kind::loss).function = static_cast<int>(Loss::count); }},
      {"an unknown optimiser", [&](Plan& p) { op(p, Kind::update).function = -1; }},
      {"weights that do not fit the rows", [&](Plan& p) { p.buffers[size_t(buffer(p, "w1"))].shape = {2, 4}; }},
      {"weights that are no matrix", [&](Plan& p) { p.buffers[size_t(buffer(p, "w1"))].shape = {12}; }},
      {"weights that are no parameter", [&](Plan& p) { p.buffers[size_t(buffer(p, "w1"))].role = Role::activation; }},
      {"a bias that does not fit", [&](Plan& p) { p.buffers[size_t(buffer(p, "b1"))].shape = {9}; }},
      {"a dense layer on a variable", [&](Plan& p) { op(p, Kind::dense).in[0] = buffer(p, "b1"); }},
      {"different widths", [&](Plan& p) { op(p, Kind::softmax).in[0] = buffer(p, "h"); }},
      {"a mask that is none", [&](Plan& p) { op(p, Kind::dropout).out[1] = buffer(p, "d"); }},
      {"a sum that is no counter", [&](Plan& p) { op(p, Kind::reduce).out[0] = buffer(p, "h"); }},
      {"a matched loss without logits", [&](Plan& p) { op(p, Kind::loss).in.pop_back(); }},
      {"a delta without weights", [&](Plan& p) { op(p, Kind::loss).in[2] = -1; }},
      {"a delta of another width", [&](Plan& p) { op(p, Kind::loss).out[1] = buffer(p, "dh"); }},
      {"a relu gradient without its output",
       [&](Plan& p) {
         Op& o = op(p, Kind::dense_grad_x);
         o.function = static_cast<int>(Activation::relu);
       }},
      {"a gradient that is a parameter's", [&](Plan& p) { op(p, Kind::update).in[1] = buffer(p, "w1"); }},
      {"a slot of another shape", [&](Plan& p) { p.buffers.back().shape = {1000}; }},
      {"an input that is none", [](Plan& p) { p.inputs[0] = 1000; }},
      {"a target that is none", [](Plan& p) { p.targets[0] = -1; }},
      {"an output that is none", [](Plan& p) { p.outputs[0] = 1000; }},
      {"an output that is a parameter", [&](Plan& p) { p.outputs[0] = buffer(p, "w1"); }},
      {"an objective that is no counter", [](Plan& p) { p.objective[0] = 0; }},
  };
  for (bool fused : {false, true}) {
    Shape good = shape;
    good.fused = fused;
    bool valid = true;
    try {
      validate(make_plan(good));
    } catch (const std::exception& e) {
      valid = check::that(false, std::string("a good plan does not validate: ") + e.what());
    }
    check::that(valid, "a good plan validates");
  }
  for (const Damage& damage : damages) {
    Plan plan = make_plan(shape);
    damage.apply(plan);
    bool thrown = false;
    try {
      validate(plan);
    } catch (const std::invalid_argument& e) {
      thrown = *e.what() != '\0';
    }
    check::that(thrown, std::string("validate() lets a plan through with ") + damage.name);
  }
  for (const auto& unknown :
       {std::function<void()>([] { role_of("rule"); }), std::function<void()>([] { kind_of("dens"); }),
        std::function<void()>([] { function_of(Kind::loss, "adam"); })}) {
    bool thrown = false;
    try {
      unknown();
    } catch (const std::invalid_argument&) {
      thrown = true;
    }
    check::that(thrown, "an unknown word throws");
  }
}

}  // namespace

int main() {
  test_validate();
  return check::summary();
}
