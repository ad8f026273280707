// The operations of the loss span: losses, metrics, penalties, and their sums.
#include <cmath>

#include "gradients.h"

namespace deltaprop {
namespace {

template <class T>
void loss(const Case<T>& c) {
  each_rows(c.at.rows, c.kernels.tile_rows, c.team, [&](size_t from, size_t to) {
    LossRows<T> l{};
    l.prediction = c.row(c.in(0), from);
    l.target = c.row(c.in(1), from);
    l.weight = c.row(c.in(2), from);
    l.logits = c.row(c.in(3), from);
    l.value = c.row(c.out(0), from);
    l.delta = c.row(c.out(1), from);
    l.prediction_stride = c.place(c.in(0)).stride;
    l.target_stride = c.place(c.in(1)).stride;
    l.logits_stride = c.in(3) < 0 ? 0 : c.place(c.in(3)).stride;
    l.delta_stride = c.out(1) < 0 ? 0 : c.place(c.out(1)).stride;
    l.rows = to - from;
    l.n = c.buffer(c.in(0)).width();
    l.scale = static_cast<T>(c.op.attributes[0] / static_cast<double>(c.at.batch_rows));
    l.constants = c.op.attributes.data() + 1;
    l.constant_count = c.op.attributes.size() - 1;
    c.kernels.loss[static_cast<size_t>(c.op.function)](l);
  });
}

// In row order and in double, by one thread: the same sum for every number of threads and every cut into blocks.
template <class T>
void reduce(const Case<T>& c) {
  if (c.team.thread != 0) return;
  const T* value = c.row(c.in(0), 0);
  const T* weight = c.row(c.in(1), 0);
  double sum = c.sums(c.out(0))[0], total = 0;
  for (size_t r = 0; r < c.at.rows; ++r) {
    const double w = weight ? static_cast<double>(weight[r]) : 1.0;
    sum += w * static_cast<double>(value[r]);
    total += w;
  }
  c.sums(c.out(0))[0] = sum;
  c.sums(c.out(0))[1] += c.op.attributes[0] != 0 ? total : static_cast<double>(c.at.rows);
}

template <class T>
void tally(const Case<T>& c) {
  if (c.team.thread != 0) return;
  TallyRows<T> t{};
  t.prediction = c.row(c.in(0), 0);
  t.target = c.row(c.in(1), 0);
  t.weight = c.row(c.in(2), 0);
  t.prediction_stride = c.place(c.in(0)).stride;
  t.target_stride = c.place(c.in(1)).stride;
  t.rows = c.at.rows;
  t.n = c.buffer(c.in(0)).width();
  t.class_ids = t.n > 1 && c.buffer(c.in(1)).width() == 1;
  t.constants = c.op.attributes.data();
  t.constant_count = c.op.attributes.size();
  t.sums = c.sums(c.out(0));
  c.kernels.tally[static_cast<size_t>(c.op.function)](t);
}

// Once per batch, counted for each of its rows, so that it is divided as the losses are.
template <class T>
void penalty(const Case<T>& c) {
  if (c.team.thread != 0 || c.at.first_row != 0) return;
  const Packed<T>& w = c.variable(c.in(0)).main();
  double sum = 0;
  for (size_t p = 0; p < w.panels.count; ++p)
    c.kernels.penalty(w.panel(p), w.depth, w.panels.width(p), static_cast<T>(c.op.attributes[0]),
                      static_cast<T>(c.op.attributes[1]), &sum);
  c.sums(c.out(0))[0] += sum * static_cast<double>(c.at.batch_rows);
}

template <class T>
void activity(const Case<T>& c) {
  const T l1 = static_cast<T>(c.op.attributes[0]), l2 = static_cast<T>(c.op.attributes[1]);
  const size_t n = c.buffer(c.in(0)).width();
  c.each_row([&](size_t r) { *c.row(c.out(0), r) = c.kernels.activity(c.row(c.in(0), r), l1, l2, n); });
}

template <class T>
void column_sum(const Case<T>& c) {
  sum_rows(c, c.out(0), c.in(0));
}

// beta sum KL(rho, q) over the units, q the mean of a unit's column, and its slope for each row. q is kept off 0 and 1,
// where the penalty is taken as flat.
template <class T>
void sparse_kl(const Case<T>& c) {
  constexpr double epsilon = 1e-7;
  if (c.team.thread != 0 || !c.at.last_block()) return;
  const double rho = c.op.attributes[0], beta = c.op.attributes[1], rows = static_cast<double>(c.at.batch_rows);
  const T* sum = c.variable(c.in(0)).main().data;
  T* slope = c.variable(c.out(0)).main().data;
  double total = 0;
  for (size_t j = 0; j < c.buffer(c.in(0)).width(); ++j) {
    const double mean = static_cast<double>(sum[j]) / rows, q = std::min(std::max(mean, epsilon), 1 - epsilon);
    total += rho * std::log(rho / q) + (1 - rho) * std::log((1 - rho) / (1 - q));
    slope[j] = q == mean ? static_cast<T>(beta / rows * ((1 - rho) / (1 - q) - rho / q)) : T{0};
  }
  c.sums(c.out(1))[0] += beta * total * rows;
}

}  // namespace

template <class T>
Operation<T> loss_operation(Kind kind) {
  switch (kind) {
    case Kind::loss: return loss<T>;
    case Kind::reduce: return reduce<T>;
    case Kind::tally: return tally<T>;
    case Kind::penalty: return penalty<T>;
    case Kind::activity: return activity<T>;
    case Kind::column_sum: return column_sum<T>;
    case Kind::sparse_kl: return sparse_kl<T>;
    default: return nullptr;
  }
}

template Operation<float> loss_operation(Kind);
template Operation<double> loss_operation(Kind);

}  // namespace deltaprop
