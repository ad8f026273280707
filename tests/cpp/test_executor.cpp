// The executor on networks built by hand: right gradients, the same bits for every number of threads, level and way of
// cutting a batch, predictions at once, forks, stops, divergence.
#include <algorithm>
#include <memory>
#include <thread>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"
#include "network.h"

using check::name;
using namespace deltaprop;
using network::Network;
using network::Shape;
using network::Task;

namespace {

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

}  // namespace

int main() {
  watch_for_fork();
  check::each_table([](const auto& k) {
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
