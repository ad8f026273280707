// The loops over epochs, batches, blocks and operations.
#include "executor.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>

#include "operations/case.h"

namespace deltaprop {
namespace {

// Longer batches run block by block, so that full-batch training needs little memory.
constexpr size_t kBlockRows = 1024;
// Rows that pass through all layers together in a prediction, so that activations stay in the caches.
constexpr size_t kPredictRows = 96;
constexpr auto kHookInterval = std::chrono::milliseconds(100);

// Rows [from, to) of the block of a batch that starts at row `start` of the pass.
template <class T>
void gather(Workspace<T>& work, int buffer, const Source& source, const std::int64_t* order, size_t start, size_t from,
            size_t to) {
  const Place<T>& place = work.place[static_cast<size_t>(buffer)];
  const size_t padded = std::min(place.stride, stride_of<T>(source.width));
  source.read(order ? order + start + from : nullptr, start + from, to - from, place.data + from * place.stride,
              place.stride, padded, *work.kernels);
}

}  // namespace

template <class T>
Executor<T>::Executor(Plan plan, std::vector<std::shared_ptr<Variable<T>>> variables, const Kernels<T>& kernels,
                      Host<T> host)
    : plan_(std::move(plan)), host_(std::move(host)), kernels_(kernels) {
  validate(plan_);
  training_.plan = &plan_;
  training_.kernels = &kernels_;
  training_.variables = std::move(variables);
  training_.host = &host_;
  training_.sums = zero_sums(plan_);
  for (const Op& op : plan_.ops) operations_.push_back(operation_of<T>(op.kind));
  for (size_t b = 0; b < plan_.buffers.size(); ++b)
    if (plan_.buffers[b].role == Role::gradient || plan_.buffers[b].role == Role::unit)
      training_.variables[b] = std::make_shared<Variable<T>>(plan_.buffers[b].shape, kernels_);
  training_.forward_mirrors.resize(plan_.buffers.size());
  for (const Op& op : plan_.ops) {
    if (!Plan::contracts(op.kind)) continue;
    const auto b = static_cast<size_t>(op.in[1]);
    Variable<T>& w = *training_.variables[b];
    if (w.transposed() != Plan::reads_columns(op.kind) || (op.kind == Kind::dense && w.narrow())) continue;
    w.require_mirror();
    if (op.kind != Kind::dense_grad_x) training_.forward_mirrors[b] = true;
  }
  barriers_ = barriers(training_, 0, plan_.ops.size());
  for (size_t i = plan_.begin(Span::forward); i < plan_.end(Span::forward); ++i)
    calls_host_ |= plan_.ops[i].kind == Kind::host;
  for (int input : plan_.inputs) {
    bool contractions_only = true;
    for (size_t i = plan_.begin(Span::forward); i < plan_.end(Span::forward); ++i)
      for (int b : plan_.ops[i].in) contractions_only &= b != input || Plan::contracts(plan_.ops[i].kind);
    readable_in_place_.push_back(contractions_only);
  }
}

template <class T>
double Executor<T>::flops(bool training) const {
  double sum = 0;
  for (size_t i = 0; i < (training ? plan_.ops.size() : plan_.end(Span::loss)); ++i) {
    const Op& op = plan_.ops[i];
    const bool weights =
        op.kind == Kind::dense_grad_w || op.kind == Kind::dense_update || op.kind == Kind::distance_grad_w;
    if (!Plan::contracts(op.kind) && !weights) continue;
    const int matrix = weights ? op.out[0] : op.in[1];
    sum += 2.0 * static_cast<double>(plan_.buffers[static_cast<size_t>(matrix)].width());
  }
  return sum;
}

template <class T>
void Executor<T>::reset_counters() {
  for (auto& sums : training_.sums) std::fill(sums.begin(), sums.end(), 0.0);
}

template <class T>
PassResult Executor<T>::run(const Pass& pass) {
  const bool whole = pass.update && std::any_of(plan_.ops.begin(), plan_.ops.end(),
                                                [](const Op& op) { return Plan::batch_wide(op.kind); });
  const size_t block = std::min(pass.batch, whole ? pass.samples : kBlockRows);
  training_.reserve(block, pass.threads);
  Workspace<T>& work = training_;
  work.host_failed = false;
  for (size_t i = 0; i < plan_.weights.size(); ++i)
    if (!pass.data->weights[i].data) std::fill_n(work.place[static_cast<size_t>(plan_.weights[i])].data, block, T{1});
  const size_t end_of_block = plan_.end(pass.update ? Span::backward : Span::loss);
  // A look at the clock costs as much as a small step does.
  const double block_flops = flops(pass.update) * static_cast<double>(block);
  const size_t look_every = static_cast<size_t>(std::min(64.0, 1.0 + 4e6 / (block_flops + 1.0)));

  std::atomic<bool> stop{false}, diverged{false};
  std::atomic<size_t> steps{pass.first_step};
  auto last_look = std::chrono::steady_clock::now();
  size_t blocks = 0;
  const auto run_ops = [&](size_t first, size_t last, const Position& at, Team& team) {
    for (size_t i = first; i < last; ++i) {
      if (barriers_[i]) team.sync();
      execute(i, work, at, team);
    }
  };
  const auto worker = [&](Team& team, size_t first_step, size_t last_step) {
    Position at;
    at.seed = pass.seed;
    at.training = pass.update;
    for (size_t s = first_step; s < last_step; ++s) {
      at.batch_rows = std::min(pass.batch, pass.samples - s * pass.batch);
      at.step = pass.step + s;
      at.scalars = pass.scalars ? pass.scalars + pass.scalars_per_step * s : nullptr;
      for (at.first_row = 0; at.first_row < at.batch_rows; at.first_row += block) {
        at.rows = std::min(block, at.batch_rows - at.first_row);
        if (team.thread == 0 && pass.keep_going && ++blocks % look_every == 0) {
          const auto now = std::chrono::steady_clock::now();
          if (now - last_look >= kHookInterval) {
            last_look = now;
            if (!pass.keep_going(s - pass.first_step)) stop = true;
          }
        }
        team.sync();  // the block before is done with what the next one overwrites
        if (stop) return;
        gather_block(pass, s * pass.batch + at.first_row, at.rows, team);
        team.sync();
        run_ops(0, end_of_block, at, team);
        if (team.thread == 0 && work.host_failed) stop = true;
        if (!pass.update) continue;
        if (team.thread == 0)
          for (int counter : plan_.objective)
            if (!std::isfinite(work.sums[static_cast<size_t>(counter)][0])) diverged = true;
        team.sync();  // nobody reads the old weights any more
        if (diverged || stop) return;
        for (size_t i = plan_.begin(Span::update); i < plan_.end(Span::update); ++i)
          if (at.last_block() || Plan::forms_gradient(plan_.ops[i].kind)) run_ops(i, i + 1, at, team);
      }
      if (team.thread == 0) steps = s + 1;
    }
  };
  const auto run_steps = [&](unsigned threads, size_t first, size_t last) {
    run_team(threads, [&](Team& team) { worker(team, first, last); });
    return !stop && !diverged;
  };
  if (pass.update) {
    choice_.steps(pass.threads, pass.first_step, pass.last_step, run_steps);
  } else {
    run_steps(choice_.best(pass.threads), pass.first_step, pass.last_step);
  }
  if (pass.batch == 1 || pass.samples % pass.batch == 1) refresh_mirrors();
  // A finite loss can still have had a gradient that was not: no later batch of this pass would tell.
  if (pass.update && !parameters_are_finite()) diverged = true;
  return {diverged ? Outcome::diverged : stop ? Outcome::stopped : Outcome::finished, steps - pass.first_step};
}

// After updates of a single row, which leave some of them as they were.
template <class T>
void Executor<T>::refresh_mirrors() const {
  for (size_t b = 0; b < plan_.buffers.size(); ++b)
    if (plan_.buffers[b].role == Role::parameter) training_.variables[b]->refresh_mirror();
}

template <class T>
bool Executor<T>::parameters_are_finite() const {
  for (size_t b = 0; b < plan_.buffers.size(); ++b) {
    if (plan_.buffers[b].role != Role::parameter) continue;
    const Packed<T>& w = training_.variables[b]->main();
    if (!kernels_.all_finite(w.data, w.size())) return false;
  }
  return true;
}

// Rows [start, start + rows) of the pass, and a hint to the caches which rows come next.
template <class T>
void Executor<T>::gather_block(const Pass& pass, size_t start, size_t rows, const Team& team) {
  const auto gather_all = [&](const std::vector<int>& buffers, const std::vector<Source>& sources) {
    for (size_t i = 0; i < buffers.size(); ++i) {
      if (!sources[i].data) continue;
      each_rows(rows, kernels_.tile_rows, team, [&](size_t from, size_t to) {
        gather(training_, buffers[i], sources[i], pass.order, start, from, to);
        for (size_t next = start + rows + from; next < std::min(start + rows + to, pass.samples); ++next)
          sources[i].prefetch(pass.order ? pass.order[next] : static_cast<std::int64_t>(next));
      });
    }
  };
  gather_all(plan_.inputs, pass.data->inputs);
  gather_all(plan_.targets, pass.data->targets);
  gather_all(plan_.weights, pass.data->weights);
}

template <class T>
std::unique_ptr<Workspace<T>> Executor<T>::take_workspace() {
  if (Workspace<T>* work = spare_.exchange(nullptr)) return std::unique_ptr<Workspace<T>>(work);
  {
    const std::lock_guard<std::mutex> lock(free_mutex_);
    if (!free_.empty()) {
      auto work = std::move(free_.back());
      free_.pop_back();
      return work;
    }
  }
  return training_.for_inference(kPredictRows);
}

template <class T>
void Executor<T>::give_back(std::unique_ptr<Workspace<T>> work) {
  std::unique_ptr<Workspace<T>> other(spare_.exchange(work.release()));
  if (!other) return;
  const std::lock_guard<std::mutex> lock(free_mutex_);
  free_.push_back(std::move(other));
}

template <class T>
void Executor<T>::execute(size_t op, Workspace<T>& work, const Position& at, const Team& team) const {
  operations_[op](Case<T>{plan_.ops[op], work, at, team});
}

template <class T>
void Executor<T>::run_forward(Workspace<T>& work, size_t rows) const {
  Position at;
  at.rows = at.batch_rows = rows;
  Team::Barrier barrier;
  const Team alone(barrier, 0, 1);
  for (size_t i = plan_.begin(Span::forward); i < plan_.end(Span::forward); ++i) execute(i, work, at, alone);
}

template <class T>
void Executor<T>::copy_output(const Workspace<T>& work, size_t output, size_t rows, T* to) const {
  const auto b = static_cast<size_t>(plan_.outputs[output]);
  const size_t width = plan_.buffers[b].width();
  for (size_t r = 0; r < rows; ++r)
    std::memcpy(to + r * width, work.place[b].data + r * work.place[b].stride, width * sizeof(T));
}

template <class T>
void Executor<T>::predict_block(Workspace<T>& work, const std::vector<Source>& inputs, size_t from, size_t to,
                                const std::vector<T*>& outputs) const {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto b = static_cast<size_t>(plan_.inputs[i]);
    const Source& source = inputs[i];
    if (readable_in_place_[i] && source.in_place<T>()) {
      auto* row = reinterpret_cast<T*>(const_cast<char*>(source.row(static_cast<std::int64_t>(from))));
      work.place[b] = {row, static_cast<size_t>(source.row_stride) / sizeof(T)};
    } else {
      work.place[b] = work.own_place[b];
      gather(work, plan_.inputs[i], source, nullptr, from, 0, to - from);
    }
  }
  run_forward(work, to - from);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const size_t width = plan_.buffers[static_cast<size_t>(plan_.outputs[i])].width();
    copy_output(work, i, to - from, outputs[i] + from * width);
  }
}

template <class T>
void Executor<T>::predict(const std::vector<Source>& inputs, size_t rows, const std::vector<T*>& outputs,
                          unsigned threads) {
  const size_t blocks = (rows + kPredictRows - 1) / kPredictRows;
  const auto team_size = static_cast<unsigned>(std::min<size_t>(threads, blocks));
  run_team(calls_host_ ? 1 : team_size, [&](Team& team) {  // Python is called on this thread alone
    std::unique_ptr<Workspace<T>> work = take_workspace();
    const size_t end = team.end(blocks);
    for (size_t b = team.begin(blocks); b < end && !work->host_failed; ++b)
      predict_block(*work, inputs, b * kPredictRows, std::min(rows, (b + 1) * kPredictRows), outputs);
    work->host_failed = false;
    give_back(std::move(work));
  });
}

template <class T>
bool Executor<T>::predict_few(const T* input, size_t rows, T* output) {
  if (plan_.inputs.size() != 1 || plan_.outputs.size() != 1 || rows > kPredictRows || calls_host_) return false;
  const FlushDenormals flush;
  std::unique_ptr<Workspace<T>> work = take_workspace();
  const auto b = static_cast<size_t>(plan_.inputs[0]);
  const size_t width = plan_.buffers[b].width();
  if (readable_in_place_[0]) {
    work->place[b] = {const_cast<T*>(input), width};
  } else {
    const Place<T>& own = work->place[b] = work->own_place[b];
    for (size_t r = 0; r < rows; ++r)
      std::fill_n(std::copy_n(input + r * width, width, own.data + r * own.stride), own.stride - width, T{0});
  }
  run_forward(*work, rows);
  copy_output(*work, 0, rows, output);
  give_back(std::move(work));
  return true;
}

template <class T>
void Executor<T>::snapshot() {
  saved_.clear();
  for (size_t b = 0; b < plan_.buffers.size(); ++b) {
    const Role role = plan_.buffers[b].role;
    if (role != Role::parameter && role != Role::slot) continue;
    const Packed<T>& w = training_.variables[b]->main();
    saved_.insert(saved_.end(), w.data, w.data + w.size());
  }
  saved_sums_ = training_.sums;
}

template <class T>
void Executor<T>::restore() {
  const T* from = saved_.data();
  for (size_t b = 0; b < plan_.buffers.size(); ++b) {
    const Role role = plan_.buffers[b].role;
    if (role != Role::parameter && role != Role::slot) continue;
    const Variable<T>& variable = *training_.variables[b];
    std::copy_n(from, variable.main().size(), variable.main().data);
    from += variable.main().size();
    variable.refresh_mirror();
  }
  training_.sums = saved_sums_;
}

template <class T>
void Executor<T>::prepare(const Position& at, const std::vector<double>& scalars) {
  training_.reserve(at.rows, 1);
  position_scalars_ = scalars;
  position_ = at;
  position_.scalars = position_scalars_.data();
}

template <class T>
void Executor<T>::step(size_t first, size_t last, unsigned threads, size_t repeats) {
  training_.reserve(position_.rows, threads);
  run_team(threads, [&](Team& team) {
    for (size_t n = 0; n < repeats; ++n)
      for (size_t i = first; i < last; ++i) {
        team.sync();
        execute(i, training_, position_, team);
      }
  });
  if (position_.batch_rows == 1) refresh_mirrors();
}

template class Executor<float>;
template class Executor<double>;

}  // namespace deltaprop
