// The executor on plans built by hand: right gradients, the same bits for every number of threads, level and way of
// cutting a batch, predictions at once, forks, stops, divergence; and the pieces it stands on: validation, variables,
// sources.
#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"
#include "executor.h"

using check::name;
using namespace deltaprop;

namespace {

// ---- a network: x -> dense relu [-> dropout] -> dense -> softmax, cross-entropy with class ids

struct Shape {
  size_t n_in, hidden, classes;
  double dropout = 0;
  Optimizer optimizer = Optimizer::adam;
  bool fused = false;  // gradients and updates in one
};

Plan make_plan(const Shape& s) {
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
  const int loss = buffer(Role::counter, {1}, "loss"), accuracy = buffer(Role::counter, {1}, "accuracy");

  op(Kind::dense, relu, {x, w1, b1}, {h}, {});
  if (drops) op(Kind::dropout, 0, {h}, {d, mask}, {s.dropout, 5});
  op(Kind::dense, 0, {d, w2, b2}, {z}, {});
  op(Kind::softmax, 0, {z}, {p}, {});
  end_of_span(Span::forward);
  op(Kind::loss, static_cast<int>(Loss::softmax_sparse_categorical_crossentropy), {p, y, weight, z}, {value, dz}, {});
  op(Kind::reduce, 0, {value, weight}, {loss}, {0});
  op(Kind::loss, static_cast<int>(Loss::sparse_categorical_accuracy), {p, y}, {correct}, {});
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
    op(Kind::dropout_grad, 0, {dh, mask}, {dh}, {s.dropout});
    op(Kind::activation_grad, relu, {dh, h}, {dh}, {});
  } else {
    op(Kind::dense_grad_x, relu, {dz, w2, h}, {dh}, {});
  }
  if (!s.fused) op(Kind::dense_grad_w, 0, {x, dh}, {g[2], g[3]}, {});
  end_of_span(Span::backward);

  const bool adam = s.optimizer == Optimizer::adam;
  const std::vector<double> attributes = adam ? std::vector<double>{0.01, 0.9, 0.999, 1e-7} : std::vector<double>{0};
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

template <class T>
std::vector<T> trained(const Kernels<T>& k, const Shape& shape, const Task<T>& task, size_t batch, unsigned threads,
                       size_t epochs = 2) {
  Network<T> network(shape, k);
  bool finished = true;
  for (size_t e = 0; e < epochs; ++e) {
    Pass pass = task.pass(batch, threads);
    pass.step = e * pass.last_step;
    network.executor().reset_counters();
    // The executor tries fewer threads now and then, and begins with all of them after another number was asked for:
    // the first epoch goes step by step, so that all of its steps run on all threads.
    const size_t steps = pass.last_step;
    for (size_t s = 0; s < steps; s = pass.last_step) {
      pass.first_step = pass.last_step = s;
      pass.threads = threads + 1;
      network.executor().run(pass);
      pass.threads = threads;
      pass.last_step = e == 0 && threads > 1 ? s + 1 : steps;
      const PassResult result = network.executor().run(pass);
      finished &= result.outcome == Outcome::finished && result.steps == pass.last_step - s;
    }
  }
  check::that(finished, name(k) + ": an epoch is not finished");
  check::that(network.padding_is_zero(), name(k) + ": padding of parameters or slots is not zero");
  std::vector<T> state = network.state();
  state.push_back(static_cast<T>(network.loss()));
  state.push_back(static_cast<T>(network.accuracy()));
  return state;
}

std::string describe(const Shape& s, size_t batch) {
  return std::to_string(s.n_in) + "-" + std::to_string(s.hidden) + "-" + std::to_string(s.classes) +
         (s.dropout > 0 ? " with dropout" : "") + (s.fused ? " fused" : "") + ", batches of " + std::to_string(batch);
}

// One and two outputs, few outputs, several panels.
constexpr Shape kShapes[] = {{1, 1, 1}, {3, 17, 10}, {40, 33, 2}, {20, 150, 18}};

// ---- training

template <class T>
void test_learns(const Kernels<T>& k) {
  const Shape shape{20, 40, 5};
  const Task<T> task(shape, 400);
  Network<T> network(shape, k);
  double first = 0;
  for (size_t epoch = 0; epoch < 10; ++epoch) {
    Pass pass = task.pass(32, 2);
    pass.step = epoch * pass.last_step;
    network.executor().reset_counters();
    network.executor().run(pass);
    if (epoch == 0) first = network.loss();
  }
  check::that(network.loss() < first / 10 && network.accuracy() > 0.99,
              name(k) + ": learns too little, loss " + std::to_string(network.loss()));

  // An evaluation counts every row once, changes nothing and needs no rates.
  const auto before = network.state();
  Pass pass = task.pass(32, 2);
  pass.update = false;
  pass.scalars = nullptr;
  network.executor().reset_counters();
  check::that(network.executor().run(pass).outcome == Outcome::finished, name(k) + ": an evaluation ends");
  check::that(network.accuracy() > 0.99 && check::same_bits(before, network.state()), name(k) + ": an evaluation");
}

// One step of plain gradient descent with rate 1 moves the parameters by the gradient, which a few loops can form too.
template <class T>
void test_gradient(const Kernels<T>& k) {
  for (Shape shape : kShapes)
    for (bool fused : {false, true}) {
      shape.optimizer = Optimizer::sgd;
      shape.fused = fused;
      const size_t n = shape.n_in, h = shape.hidden, c = shape.classes, samples = 13;
      const Task<T> task(shape, samples);
      Network<T> network(shape, k);
      const auto w1 = network.read("w1"), b1 = network.read("b1"), w2 = network.read("w2"), b2 = network.read("b2");
      std::vector<long double> g1(n * h), gb1(h), g2(h * c), gb2(c);
      for (size_t r = 0; r < samples; ++r) {
        const T* x = &task.x[r * n];
        std::vector<long double> a(h), delta(c);
        for (size_t i = 0; i < h; ++i) {
          a[i] = b1[i];
          for (size_t j = 0; j < n; ++j) a[i] += static_cast<long double>(x[j]) * w1[j * h + i];
          a[i] = std::max(a[i], 0.0L);
        }
        long double total = 0;
        for (size_t j = 0; j < c; ++j) {
          delta[j] = b2[j];
          for (size_t i = 0; i < h; ++i) delta[j] += a[i] * w2[i * c + j];
          total += delta[j] = std::exp(delta[j]);
        }
        for (size_t j = 0; j < c; ++j) {
          delta[j] = (delta[j] / total - (j == task.y[r])) * task.weight[r] / samples;
          gb2[j] += delta[j];
        }
        for (size_t i = 0; i < h; ++i) {
          long double back = 0;
          for (size_t j = 0; j < c; ++j) {
            g2[i * c + j] += a[i] * delta[j];
            back += w2[i * c + j] * delta[j];
          }
          if (!(a[i] > 0)) continue;
          gb1[i] += back;
          for (size_t j = 0; j < n; ++j) g1[j * h + i] += x[j] * back;
        }
      }
      const double one[] = {1, 1};
      Pass pass = task.pass(samples, 2);
      pass.scalars = one;
      network.executor().run(pass);
      check::Close close(name(k) + " gradient of " + describe(shape, samples));
      const auto compare = [&](const std::vector<T>& before, const std::vector<T>& after,
                               const std::vector<long double>& g) {
        check::that(before.size() == g.size() && after.size() == g.size(), name(k) + ": sizes of the parameters");
        for (size_t i = 0; i < g.size(); ++i) close.add(i, after[i], before[i] - g[i], 200 * check::epsilon<T>());
      };
      compare(w1, network.read("w1"), g1);
      compare(b1, network.read("b1"), gb1);
      compare(w2, network.read("w2"), g2);
      compare(b2, network.read("b2"), gb2);
    }
}

// The same bits for 1, 2 and 3 threads, fused or not, and on all levels with the same arithmetic.
template <class T>
void test_same_bits(const Kernels<T>& k) {
  for (Shape shape : kShapes)
    for (double dropout : {0.0, 0.3})
      for (size_t batch : {1, 7, 64}) {
        shape.dropout = dropout;
        shape.fused = false;
        const Task<T> task(shape, batch == 1 ? 12 : batch == 7 ? 45 : 150);
        const auto expected = trained(check::peer(k), shape, task, batch, 1);
        for (bool fused : {false, true})
          for (unsigned threads : {1, 2, 3}) {
            shape.fused = fused;
            check::that(
                check::same_bits(expected, trained(k, shape, task, batch, threads)),
                name(k) + " " + describe(shape, batch) + ": other bits on " + std::to_string(threads) + " threads");
          }
      }
}

// A batch longer than a block runs block by block and updates once.
template <class T>
void test_long_batches(const Kernels<T>& k) {
  for (double dropout : {0.0, 0.3}) {
    Shape shape{20, 70, 6, dropout};
    const Task<T> task(shape, 2500);
    const auto expected = trained(check::peer(k), shape, task, 2300, 1);
    for (bool fused : {false, true})
      for (unsigned threads : {1, 2, 3}) {
        shape.fused = fused;
        check::that(check::same_bits(expected, trained(k, shape, task, 2300, threads)),
                    name(k) + " " + describe(shape, 2300) + ": other bits on " + std::to_string(threads) + " threads");
      }
  }
}

// An epoch in several calls, in an order of its own, is the epoch in one call on rows that lie in that order.
template <class T>
void test_order_and_parts(const Kernels<T>& k) {
  Shape shape{20, 40, 5};
  const Task<T> task(shape, 150);
  Task<T> shuffled(shape, 150);
  std::vector<std::int64_t> order(150);
  for (size_t i = 0; i < 150; ++i) order[i] = static_cast<std::int64_t>((i * 77 + 5) % 150);
  for (size_t i = 0; i < 150; ++i) {
    const auto from = static_cast<size_t>(order[i]);
    std::copy_n(&task.x[from * 20], 20, &shuffled.x[i * 20]);
    shuffled.y[i] = task.y[from];
    shuffled.weight[i] = task.weight[from];
  }
  const auto expected = trained(k, shape, shuffled, 16, 2, 1);
  Network<T> network(shape, k);
  Pass pass = task.pass(16, 2);
  pass.order = order.data();
  const size_t steps = pass.last_step;
  for (size_t cut : {size_t{0}, size_t{3}, size_t{4}}) {
    pass.first_step = cut;
    pass.last_step = cut == 0 ? 3 : cut == 3 ? 4 : steps;
    network.executor().run(pass);
  }
  auto got = network.state();
  got.push_back(static_cast<T>(network.loss()));
  got.push_back(static_cast<T>(network.accuracy()));
  check::that(check::same_bits(expected, got), name(k) + ": an epoch in parts and in an order has other bits");
}

template <class T>
void test_absent_weights_are_ones(const Kernels<T>& k) {
  const Shape shape{3, 17, 10};
  Task<T> ones(shape, 50), absent(shape, 50);
  std::fill(ones.weight.begin(), ones.weight.end(), T{1});
  absent.batches.weights[0] = {};
  check::that(check::same_bits(trained(k, shape, ones, 8, 2), trained(k, shape, absent, 8, 2)),
              name(k) + ": absent weights are not ones");
}

// ---- predicting

template <class T>
std::vector<T> predict(Network<T>& network, const Task<T>& task, size_t first, size_t rows, unsigned threads) {
  std::vector<T> out(rows * network.shape().classes);
  Source source = task.batches.inputs[0];
  source.data = source.row(static_cast<std::int64_t>(first));
  source.rows = rows;
  network.executor().predict({source}, rows, {out.data()}, threads);
  return out;
}

template <class T>
void test_predict(const Kernels<T>& k) {
  for (Shape shape : kShapes)
    for (double dropout : {0.0, 0.3}) {
      shape.dropout = dropout;
      const Task<T> task(shape, 500);
      Network<T> network(shape, k);
      const std::string what = name(k) + " prediction by " + describe(shape, 500);
      const auto all = predict(network, task, 0, 500, 1);
      for (unsigned threads : {2, 3})
        check::that(check::same_bits(all, predict(network, task, 0, 500, threads)), what + ": depends on the threads");
      for (size_t rows : {1, 2, 13, 97})
        check::that(check::same_bits(predict(network, task, 300, rows, 1).data(), &all[300 * shape.classes],
                                     rows * shape.classes),
                    what + ": depends on the rows that come with a row");
      bool proper = true;
      for (size_t r = 0; r < 500; ++r) {
        double sum = 0;
        for (size_t j = 0; j < shape.classes; ++j) sum += all[r * shape.classes + j];
        proper &= std::abs(sum - 1) < 1e-5;
      }
      check::that(proper, what + ": no probabilities");
      predict(network, task, 0, 0, 2);  // no rows are no problem
    }
}

template <class T>
void test_predict_from_two_threads(const Kernels<T>& k) {
  const Shape shape{20, 150, 18};
  const Task<T> task(shape, 1000);
  Network<T> network(shape, k);
  const auto expected = predict(network, task, 0, 1000, 1);
  int same[2] = {0, 0};
  const auto work = [&](int& count, unsigned threads) {
    for (int i = 0; i < 20; ++i) count += check::same_bits(expected, predict(network, task, 0, 1000, threads));
  };
  std::thread other(work, std::ref(same[0]), 1);
  work(same[1], 2);
  other.join();
  check::that(same[0] == 20 && same[1] == 20, name(k) + ": predictions from two threads at once");
}

template <class T>
void test_predict_keeps_nan_in_its_row(const Kernels<T>& k) {
  const Shape shape{20, 40, 5};
  Task<T> task(shape, 100);
  Network<T> network(shape, k);
  const auto clean = predict(network, task, 0, 100, 1);
  task.x[50 * 20 + 3] = std::numeric_limits<T>::quiet_NaN();
  const auto got = predict(network, task, 0, 100, 1);
  bool same = true, nan = true;
  for (size_t r = 0; r < 100; ++r)
    for (size_t j = 0; j < 5; ++j) {
      if (r == 50)
        nan &= std::isnan(got[r * 5 + j]);
      else
        same &= got[r * 5 + j] == clean[r * 5 + j];
    }
  check::that(nan, name(k) + ": a NaN in a row is lost");
  check::that(same, name(k) + ": a NaN leaves its row");
}

// ---- what happens to runs

template <class T>
void test_keep_going(const Kernels<T>& k) {
  const Shape shape{3, 17, 10};
  Task<T> task(shape, 8);
  constexpr size_t kSteps = 300000;  // some seconds, if nobody stops them
  std::vector<std::int64_t> order(8 * kSteps);
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i % 8);
  task.scalars.clear();
  for (size_t s = 0; s < kSteps; ++s) task.scalars.insert(task.scalars.end(), {0.001, 0.001});
  for (unsigned threads : {sizeof(T) == 4 ? 1u : 2u}) {
    Network<T> network(shape, k);
    Pass pass = task.pass(8, threads);
    pass.order = order.data();
    pass.samples = order.size();
    pass.last_step = kSteps;
    size_t calls = 0, told = 0;
    bool own_thread = true;
    const auto caller = std::this_thread::get_id();
    pass.keep_going = [&](size_t steps) {
      own_thread &= std::this_thread::get_id() == caller;
      told = steps;
      return ++calls < 1;
    };
    const PassResult result = network.executor().run(pass);
    check::that(result.outcome == Outcome::stopped && calls == 1, name(k) + ": keep_going stops the run");
    check::that(own_thread, name(k) + ": keep_going is called on the calling thread");
    check::that(result.steps == told && result.steps > 0 && result.steps < kSteps, name(k) + ": steps that are done");

    // The model is where so many steps would have left it.
    Network<T> again(shape, k);
    pass.keep_going = nullptr;
    pass.last_step = result.steps;
    check::that(again.executor().run(pass).outcome == Outcome::finished, name(k) + ": a run without a hook");
    check::that(check::same_bits(network.state(), again.state()), name(k) + ": a stopped run leaves half a step");
  }
}

template <class T>
void test_divergence(const Kernels<T>& k) {
  const Shape shape{20, 40, 5};
  Task<T> task(shape, 80);
  Network<T> network(shape, k);
  network.executor().snapshot();
  const auto before = network.state();
  const auto predictions = predict(network, task, 0, 80, 1);
  task.x[50 * 20] = std::numeric_limits<T>::quiet_NaN();
  Pass pass = task.pass(8, 2);
  PassResult result = network.executor().run(pass);
  check::that(result.outcome == Outcome::diverged && result.steps == 6,
              name(k) + ": a NaN in step 6 stops the run there");
  bool finite = true;
  for (T x : network.state()) finite &= static_cast<bool>(std::isfinite(x));
  check::that(finite, name(k) + ": a diverged batch updates nothing");
  task.x[50 * 20] = 1;
  network.executor().restore();
  check::that(check::same_bits(before, network.state()), name(k) + ": restore brings the snapshot back");
  task.x[50 * 20] = Task<T>(shape, 80).x[50 * 20];
  check::that(check::same_bits(predictions, predict(network, task, 0, 80, 1)),
              name(k) + ": and with it the predictions");

  // A rate that is far too large: weights overflow while the loss is still finite, at the latest at the end.
  std::fill(task.scalars.begin(), task.scalars.end(), std::numeric_limits<T>::max());
  result = network.executor().run(task.pass(80, 2));
  check::that(result.outcome == Outcome::diverged, name(k) + ": weights that overflow in the last step");
}

// The caller's floating-point mode survives.
template <class T>
void test_mode_is_restored(const Kernels<T>& k) {
#if defined(__x86_64__)
  const Shape shape{3, 17, 10};
  const Task<T> task(shape, 50);
  Network<T> network(shape, k);
  const unsigned before = _mm_getcsr();
  for (unsigned threads : {1, 2}) {
    // The flags of the lowest six bits only ever collect.
    Pass pass = task.pass(8, threads);
    network.executor().run(pass);
    check::that((_mm_getcsr() & ~0x3fu) == (before & ~0x3fu), name(k) + ": the floating-point mode after a run");
    predict(network, task, 0, 50, threads);
    check::that((_mm_getcsr() & ~0x3fu) == (before & ~0x3fu), name(k) + ": the floating-point mode after a prediction");
  }
  unsigned inside[2] = {0, 0};
  run_team(2, [&](Team& team) { inside[team.thread] = _mm_getcsr(); });
  check::that((inside[0] & 0x8040) == 0x8040, "denormals are flushed on the calling thread");
  check::that(inside[1] == 0 || (inside[1] & 0x8040) == 0x8040, "denormals are flushed on the other threads");
#else
  (void)k;
#endif
}

// OpenMP's threads are not there in a forked child: it must run by itself instead of waiting for them.
template <class T>
void test_fork(const Kernels<T>& k) {
#if defined(__unix__) || defined(__APPLE__)
  const Shape shape{20, 150, 18};
  const Task<T> task(shape, 150);
  const auto expected = trained(k, shape, task, 32, 2);
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // ends a child that hangs
    const bool same = check::same_bits(expected, trained(k, shape, task, 32, 2));
    _exit(same ? 0 : 1);
  }
  int status = -1;
  check::that(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0,
              name(k) + ": a forked child trains, status " + std::to_string(status));
  check::that(check::same_bits(expected, trained(k, shape, task, 32, 2)), name(k) + ": and the parent afterwards");
#else
  (void)k;
#endif
}

// One operation at a time is the whole run.
template <class T>
void test_step(const Kernels<T>& k) {
  const Shape shape{20, 40, 5, 0.3};
  const Task<T> task(shape, 30);
  const auto expected = trained(k, shape, task, 30, 1, 1);
  Network<T> network(shape, k);
  Executor<T>& executor = network.executor();
  Position at;
  at.rows = at.batch_rows = 30;
  at.seed = 9;
  at.training = true;
  executor.prepare(at, {task.scalars[0], task.scalars[1]});
  Workspace<T>& work = executor.workspace();
  for (size_t r = 0; r < 30; ++r) {
    const auto row = [&](int b) {
      return work.place[static_cast<size_t>(b)].data + r * work.place[static_cast<size_t>(b)].stride;
    };
    std::copy_n(&task.x[r * 20], 20, row(executor.plan().inputs[0]));
    *row(executor.plan().targets[0]) = task.y[r];
    *row(executor.plan().weights[0]) = task.weight[r];
  }
  for (size_t i = 0; i < executor.plan().ops.size(); ++i) executor.step(i, i + 1, 1 + i % 2);
  auto got = network.state();
  got.push_back(static_cast<T>(network.loss()));
  got.push_back(static_cast<T>(network.accuracy()));
  check::that(check::same_bits(expected, got), name(k) + ": stepping through a plan has other bits than running it");
}

// ---- plans

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

// ---- variables

template <class T>
bool holds(const Packed<T>& packed, const std::vector<T>& canonical, size_t n_in, size_t n_out, bool as_transposed) {
  size_t seen = 0;
  for (size_t p = 0; p < packed.panels.count; ++p) {
    const size_t width = packed.panels.width(p), column = packed.panels.first(p);
    for (size_t k = 0; k < packed.depth; ++k)
      for (size_t j = 0; j < width; ++j) {
        const T value = packed.panel(p)[k * width + j];
        const bool padding = j >= packed.valid(p);
        const size_t i = as_transposed ? (column + j) * n_out + k : k * n_out + column + j;
        if (padding ? value != 0 : value != canonical[i]) return false;
        seen += !padding;
      }
  }
  return seen == n_in * n_out;
}

template <class T>
void test_variable(const Kernels<T>& k) {
  check::Random random(3);
  for (size_t n : {1, 2, 15, 16, 17, 64, 65, 129, 400}) {
    Variable<T> bias({n}, k);
    const auto values = random.vector<T>(n);
    std::vector<T> back(n);
    bias.assign(values.data());
    bias.read(back.data());
    bias.require_mirror();
    check::that(values == back && holds(bias.main(), values, 1, n, false) && !bias.has_mirror(),
                name(k) + ": a vector of " + std::to_string(n));
  }
  for (size_t n_in : {1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64, 65, 129, 200})
    for (size_t n_out : {1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 33, 64, 65, 129, 200}) {
      const std::string what = name(k) + ": a variable of " + std::to_string(n_in) + " x " + std::to_string(n_out);
      Variable<T> w({n_in, n_out}, k);
      const bool narrow = w.transposed();
      auto values = random.vector<T>(n_in * n_out);
      std::vector<T> back(values.size());
      w.assign(values.data());
      w.read(back.data());
      check::that(values == back, what + " does not come back");
      check::that(holds(w.main(), values, n_in, n_out, narrow), what + ": main form");
      check::that(reinterpret_cast<std::uintptr_t>(w.main().data) % 64 == 0, what + ": not on a cache line");
      check::that(w.main().panels.units <= w.main().panels.count * k.panel_units, what + ": panels are too wide");

      w.require_mirror();  // holds what was assigned before
      const auto forms_agree = [&] {
        return holds(w.forward(), values, n_in, n_out, false) && holds(w.backward(), values, n_in, n_out, true);
      };
      check::that(w.has_mirror() && forms_agree(), what + ": a mirror asked for late");
      for (T& x : values) x *= 2;
      w.assign(values.data());
      check::that(forms_agree(), what + ": the mirror after assign");

      // As updates do it: some rows of one panel change, then the mirror of just those.
      for (T& x : values) x += 1;
      const Packed<T>& main = w.main();
      Variable<T> other({n_in, n_out}, k);
      other.assign(values.data());
      for (size_t p = 0; p < main.panels.count; ++p)
        for (size_t from = 0; from < main.depth; from += 5) {
          const size_t to = std::min(main.depth, from + 5), width = main.panels.width(p);
          std::copy_n(other.main().panel(p) + from * width, (to - from) * width, main.panel(p) + from * width);
          w.refresh_mirror(p, from, to);
        }
      check::that(forms_agree(), what + ": the mirror after updates of its parts");
    }
}

// ---- sources

template <class T, class From>
void test_source_of(const Kernels<T>& k, Scalar type, std::initializer_list<From> corners) {
  // Rows of `corners`, backwards in memory and off their alignment.
  const size_t n = corners.size(), rows = 3, distance = n * sizeof(From) + 3;
  std::vector<char> memory(rows * distance + 1);
  for (size_t r = 0; r < rows; ++r) std::memcpy(&memory[1 + r * distance], corners.begin(), n * sizeof(From));
  Source source;
  source.data = &memory[1 + (rows - 1) * distance];
  source.type = type;
  source.rows = rows;
  source.width = n;
  source.row_stride = -static_cast<std::ptrdiff_t>(distance);
  const std::string what = name(k) + ": a source of scalar type " + std::to_string(size(type));
  for (bool strided : {false, true}) {
    if (strided)
      for (size_t j = 0; j < n; ++j) source.offsets.push_back(static_cast<std::ptrdiff_t>((n - 1 - j) * sizeof(From)));
    for (size_t r = 0; r < rows; ++r) {
      std::vector<T> got(n + 5, T{7});
      source.read(static_cast<std::int64_t>(r), got.data(), n + 4, k);
      bool right = got[n + 4] == 7;
      for (size_t j = 0; j < n; ++j) right &= got[j] == static_cast<T>(corners.begin()[strided ? n - 1 - j : j]);
      for (size_t j = n; j < n + 4; ++j) right &= got[j] == 0;
      check::that(right, what + (strided ? ", strided" : ""));
    }
    check::that(source.all_finite(), what + " is finite");
    check::that(!source.in_place<T>(), what + " cannot be read in place");
  }
  check::that(bytes(type) == sizeof(From), what + ": its size");
}

template <class T>
void test_sources(const Kernels<T>& k) {
  test_source_of<T, bool>(k, Scalar::boolean, {true, false, true});
  test_source_of<T, std::int8_t>(k, Scalar::int8, {-128, 0, 127});
  test_source_of<T, std::uint8_t>(k, Scalar::uint8, {0, 1, 255});
  test_source_of<T, std::int16_t>(k, Scalar::int16, {-32768, 0, 32767});
  test_source_of<T, std::uint16_t>(k, Scalar::uint16, {0, 1, 65535});
  test_source_of<T, std::int32_t>(k, Scalar::int32, {-2147483647 - 1, 0, 2147483647});
  test_source_of<T, std::uint32_t>(k, Scalar::uint32, {0, 1, 4294967295u});
  test_source_of<T, std::int64_t>(k, Scalar::int64, {INT64_MIN, -1, INT64_MAX});
  test_source_of<T, std::uint64_t>(k, Scalar::uint64, {0, 1, UINT64_MAX});
  test_source_of<T, float>(k, Scalar::float32, {-1.5f, 0, 3e38f});
  test_source_of<T, double>(k, Scalar::float64, {-1.1, 0, 1e-3});
}

template <class T>
void test_finite() {
  using L = std::numeric_limits<T>;
  std::vector<T> values(60, 1);
  const Source source = Task<T>::rows(values, 20);
  values[7] = L::max();
  check::that(source.all_finite() && source.in_place<T>(), "large numbers are finite");
  for (T bad : {L::quiet_NaN(), L::infinity(), -L::infinity()})
    for (size_t at : {0, 31, 59}) {
      values.assign(60, 1);
      values[at] = bad;
      check::that(!source.all_finite(), "a number that is not finite is found");
    }
}

}  // namespace

int main() {
  watch_for_fork();
  test_validate();
  test_finite<float>();
  test_finite<double>();
  check::each_table([](const auto& k) {
    test_variable(k);
    test_sources(k);
    test_learns(k);
    test_gradient(k);
    test_same_bits(k);
    test_long_batches(k);
    test_order_and_parts(k);
    test_absent_weights_are_ones(k);
    test_predict(k);
    test_predict_from_two_threads(k);
    test_predict_keeps_nan_in_its_row(k);
    test_keep_going(k);
    test_divergence(k);
    test_mode_is_restored(k);
    test_fork(k);
    test_step(k);
  });
  return check::summary();
}
