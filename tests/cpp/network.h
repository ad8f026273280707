// A small network as a plan built by hand, with data that it can learn: what the tests of plans and of the executor
// run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "executor.h"

namespace network {

using namespace deltaprop;

// x -> dense relu [-> dropout] -> dense -> softmax, cross-entropy with class ids.
struct Shape {
  size_t n_in, hidden, classes;
  double dropout = 0;
  Optimizer optimizer = Optimizer::adam;
  bool fused = false;  // gradients and updates in one
};

inline Plan make_plan(const Shape& s) {
  Plan plan;
  const auto buffer = [&](Role role, std::vector<size_t> shape, const char* name) {
    plan.buffers.push_back({role, std::move(shape), name});
    return static_cast<int>(plan.buffers.size()) - 1;
  };
  const auto op = [&](Kind kind, int function, std::vector<int> in, std::vector<int> out,
                      std::vector<double> attributes) {
    plan.ops.push_back({kind, function, false, std::move(in), std::move(out), std::move(attributes)});
  };
  const auto end_of_span = [&](Span span) { plan.span[static_cast<size_t>(span) + 1] = plan.ops.size(); };
  const int relu = static_cast<int>(Activation::relu);
  const bool drops = s.dropout > 0;

  const int x = buffer(Role::input, {s.n_in}, "x"), y = buffer(Role::target, {1}, "y");
  const int weight = buffer(Role::weight, {1}, "weight");
  const int w1 = buffer(Role::parameter, {s.n_in, s.hidden}, "w1"), b1 = buffer(Role::parameter, {s.hidden}, "b1");
  const int w2 = buffer(Role::parameter, {s.hidden, s.classes}, "w2"), b2 = buffer(Role::parameter, {s.classes}, "b2");
  const int h = buffer(Role::activation, {s.hidden}, "h"), z = buffer(Role::activation, {s.classes}, "z");
  const int p = buffer(Role::activation, {s.classes}, "p");
  const int d = drops ? buffer(Role::activation, {s.hidden}, "d") : h;
  const int mask = drops ? buffer(Role::mask, {s.hidden}, "mask") : -1;
  const int dz = buffer(Role::delta, {s.classes}, "dz"), dh = buffer(Role::delta, {s.hidden}, "dh");
  const int value = buffer(Role::row, {1}, "value"), correct = buffer(Role::row, {1}, "correct");
  const int loss = buffer(Role::counter, {2}, "loss"), accuracy = buffer(Role::counter, {2}, "accuracy");

  op(Kind::dense, relu, {x, w1, b1}, {h}, {});
  if (drops) op(Kind::dropout, 0, {h}, {d, mask}, {s.dropout, 5});
  op(Kind::dense, 0, {d, w2, b2}, {z}, {});
  op(Kind::softmax, 0, {z}, {p}, {});
  end_of_span(Span::forward);
  op(Kind::loss, static_cast<int>(Loss::softmax_sparse_categorical_crossentropy), {p, y, weight, z}, {value, dz}, {1});
  op(Kind::reduce, 0, {value, weight}, {loss}, {0});
  op(Kind::loss, static_cast<int>(Loss::sparse_categorical_accuracy), {p, y}, {correct}, {1});
  op(Kind::reduce, 0, {correct}, {accuracy}, {0});
  end_of_span(Span::loss);

  struct Trained {
    int parameter, x, dz;
  };
  int g[4];
  const int parameters[4] = {w2, b2, w1, b1};
  for (size_t i = 0; i < 4; ++i)
    g[i] = buffer(Role::gradient, plan.buffers[static_cast<size_t>(parameters[i])].shape, "g");
  if (!s.fused) op(Kind::dense_grad_w, 0, {d, dz}, {g[0], g[1]}, {});
  if (drops) {
    op(Kind::dense_grad_x, 0, {dz, w2}, {dh}, {});
    op(Kind::dropout_grad, 0, {dh, mask}, {dh}, {1 - s.dropout});
    op(Kind::activation_grad, relu, {dh, h}, {dh}, {});
  } else {
    op(Kind::dense_grad_x, relu, {dz, w2, h}, {dh}, {});
  }
  if (!s.fused) op(Kind::dense_grad_w, 0, {x, dh}, {g[2], g[3]}, {});
  end_of_span(Span::backward);

  const bool adam = s.optimizer == Optimizer::adam;
  const std::vector<double> attributes =
      adam ? std::vector<double>{0.01, 1, 0.9, 0.999, 1e-7} : std::vector<double>{0, 1};
  for (size_t i = 0; i < 4; ++i) {
    const int parameter = parameters[i], activation = i < 2 ? d : x, delta = i < 2 ? dz : dh;
    const auto shape = plan.buffers[static_cast<size_t>(parameter)].shape;
    std::vector<int> in = {parameter, g[i]}, out = {parameter};
    if (s.fused) {
      in = i % 2 == 0 ? std::vector<int>{activation, delta, parameter} : std::vector<int>{delta, parameter};
      out.push_back(g[i]);
    }
    for (int slot = 0; adam && slot < 2; ++slot) out.push_back(buffer(Role::slot, shape, "slot"));
    const Kind kind = !s.fused ? Kind::update : i % 2 == 0 ? Kind::dense_update : Kind::bias_update;
    op(kind, static_cast<int>(s.optimizer), in, out, attributes);
  }
  end_of_span(Span::update);
  plan.inputs = {x};
  plan.targets = {y};
  plan.weights = {weight};
  plan.outputs = {p};
  plan.objective = {loss};
  return plan;
}

template <class T>
class Network {
 public:
  Network(const Shape& shape, const Kernels<T>& kernels) : shape_(shape) {
    const Plan plan = make_plan(shape);
    variables_.resize(plan.buffers.size());
    check::Random random(1);
    for (size_t b = 0; b < plan.buffers.size(); ++b) {
      const Buffer& buffer = plan.buffers[b];
      if (buffer.role != Role::parameter && buffer.role != Role::slot) continue;
      variables_[b] = std::make_shared<Variable<T>>(buffer.shape, kernels);
      if (buffer.role != Role::parameter) continue;
      const double limit = buffer.shape.size() == 2 ? std::sqrt(6.0 / static_cast<double>(buffer.shape[0])) : 0.1;
      variables_[b]->assign(random.vector<T>(buffer.width(), -limit, limit).data());
    }
    executor_ = std::make_unique<Executor<T>>(plan, variables_, kernels);
  }

  Executor<T>& executor() { return *executor_; }
  const Shape& shape() const { return shape_; }
  double loss() const { return mean("loss"); }
  double accuracy() const { return mean("accuracy"); }

  std::vector<T> read(const std::string& wanted) const {
    const auto& buffers = executor_->plan().buffers;
    for (size_t b = 0; b < buffers.size(); ++b) {
      if (buffers[b].name != wanted) continue;
      std::vector<T> values(buffers[b].width());
      variables_[b]->read(values.data());
      return values;
    }
    return {};
  }
  // Parameters and slots as the outside sees them.
  std::vector<T> state() const {
    std::vector<T> all;
    for (const auto& variable : variables_) {
      if (!variable) continue;
      const size_t n = all.size();
      size_t elements = 1;
      for (size_t extent : variable->shape()) elements *= extent;
      all.resize(n + elements);
      variable->read(all.data() + n);
    }
    return all;
  }
  bool padding_is_zero() const {
    for (const auto& variable : variables_) {
      if (!variable) continue;
      const Packed<T>& w = variable->main();
      for (size_t p = 0; p < w.panels.count; ++p)
        for (size_t k = 0; k < w.depth; ++k)
          for (size_t j = w.valid(p); j < w.panels.width(p); ++j)
            if (w.panel(p)[k * w.panels.width(p) + j] != 0) return false;
    }
    return true;
  }

 private:
  double mean(const std::string& wanted) const {
    const auto& buffers = executor_->plan().buffers;
    for (size_t b = 0; b < buffers.size(); ++b)
      if (buffers[b].name == wanted)
        return executor_->sums(static_cast<int>(b))[0] / executor_->sums(static_cast<int>(b))[1];
    return -1;
  }

  Shape shape_;
  std::vector<std::shared_ptr<Variable<T>>> variables_;
  std::unique_ptr<Executor<T>> executor_;
};

// Clusters that a network can tell apart, as (samples, n_in) and uint8 labels; and the passes over them.
template <class T>
struct Task {
  size_t samples, n_in;
  std::vector<T> x, weight;
  std::vector<std::uint8_t> y;
  Batches batches;
  std::vector<double> scalars;

  Task(const Shape& shape, size_t samples) : samples(samples), n_in(shape.n_in) {
    check::Random random(42);
    const auto centers = random.vector<double>(shape.classes * n_in, -2, 2);
    for (size_t i = 0; i < samples; ++i) {
      const size_t label = random.bits() % shape.classes;
      y.push_back(static_cast<std::uint8_t>(label));
      for (size_t j = 0; j < n_in; ++j)
        x.push_back(static_cast<T>(centers[label * n_in + j] + random.uniform(-0.5, 0.5)));
    }
    weight = random.vector<T>(samples, 0.5, 1.5);
    batches.inputs = {rows(x, n_in)};
    batches.targets = {{reinterpret_cast<const char*>(y.data()), Scalar::uint8, samples, 1, 1, {}}};
    batches.weights = {rows(weight, 1)};
    for (size_t s = 0; s < 2 * samples; ++s) {  // enough for every batch size
      const double t = static_cast<double>(s + 1);
      scalars.push_back(0.01 * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t)));
      scalars.push_back(0.01);
    }
  }
  Task(const Task&) = delete;

  static Source rows(const std::vector<T>& values, size_t width) {
    return {reinterpret_cast<const char*>(values.data()),
            sizeof(T) == 4 ? Scalar::float32 : Scalar::float64,
            values.size() / width,
            width,
            static_cast<std::ptrdiff_t>(width * sizeof(T)),
            {}};
  }
  Pass pass(size_t batch, unsigned threads) const {
    Pass pass;
    pass.data = &batches;
    pass.samples = samples;
    pass.batch = batch;
    pass.last_step = (samples + batch - 1) / batch;
    pass.scalars = scalars.data();
    pass.seed = 9;
    pass.update = true;
    pass.threads = threads;
    return pass;
  }
};

}  // namespace network
