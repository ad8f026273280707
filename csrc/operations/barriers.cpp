// Where the threads of a team must meet: from which shares of which buffers each operation reads and writes.
#include <map>

#include "operations.h"

namespace deltaprop {
namespace {

// How an operation's share of a buffer is cut. Equal cuts of one buffer touch disjoint parts, except `whole`.
enum class Cut { whole, rows, columns, pieces, one_thread };

template <class T>
Cut cut_of(const Workspace<T>& work, const Op& op, int buffer, bool written) {
  const Buffer& b = work.plan->buffers[static_cast<size_t>(buffer)];
  const auto panels = [&](const Packed<T>& w) { return w.panels.count == 1 ? Cut::rows : Cut::columns; };
  switch (op.kind) {
    case Kind::host:
    case Kind::reduce:
    case Kind::tally:
    case Kind::penalty:
    case Kind::sparse_kl:
    case Kind::square_sum: return Cut::one_thread;
    case Kind::dense:
    case Kind::dense_transposed:
    case Kind::dense_grad_x:
    case Kind::distance:
    case Kind::distance_grad_x: {
      const Variable<T>& w = *work.variables[static_cast<size_t>(op.in[1])];
      if (b.of_variable()) return Cut::whole;
      if (op.kind == Kind::dense && w.narrow()) return Cut::rows;
      const Packed<T>& packed = Plan::reads_columns(op.kind) ? w.forward() : w.backward();
      if (written || (op.in.size() > 2 && buffer == op.in[2])) return panels(packed);
      return packed.panels.count == 1 ? Cut::rows : Cut::whole;
    }
    case Kind::dense_grad_w:
    case Kind::distance_grad_w:
    case Kind::gaussian_grad_s:
    case Kind::bias_grad:
    case Kind::prelu_grad_alpha:
    case Kind::scale_grad:
    case Kind::batch_norm:
    case Kind::batch_norm_grad:
    case Kind::column_sum:
    case Kind::dense_update:
    case Kind::bias_update: return b.of_variable() ? Cut::pieces : Cut::whole;
    case Kind::gaussian:
    case Kind::gaussian_grad:
    case Kind::prelu:
    case Kind::prelu_grad:
    case Kind::add_bias:
    case Kind::scale_columns:
    case Kind::embedding:
    case Kind::standardize:
    case Kind::standardize_grad:
    case Kind::sparse_kl_grad: return b.of_variable() ? Cut::whole : Cut::rows;
    case Kind::embedding_grad:
    case Kind::embedding_update:
    case Kind::min_max_norm: return Cut::whole;
    default:
      if (b.of_variable()) return Cut::pieces;
      return b.of_rows() ? Cut::rows : Cut::whole;
  }
}

}  // namespace

template <class T>
std::vector<bool> barriers(const Workspace<T>& work, size_t first, size_t last) {
  struct Access {
    Cut cut;
    bool written;
  };
  std::multimap<int, Access> since;  // they last met
  std::vector<bool> needed(last - first);
  for (size_t i = first; i < last; ++i) {
    const Op& op = work.plan->ops[i];
    std::multimap<int, Access> now;
    for (int b : op.in)
      if (b >= 0) now.insert({b, {cut_of(work, op, b, false), false}});
    for (int b : op.out)
      if (b >= 0) now.insert({b, {cut_of(work, op, b, true), true}});
    for (const auto& [b, access] : now) {
      const auto range = since.equal_range(b);
      for (auto other = range.first; other != range.second; ++other)
        if ((access.written || other->second.written) && (access.cut != other->second.cut || access.cut == Cut::whole))
          needed[i - first] = true;
    }
    if (needed[i - first]) since.clear();
    since.merge(now);
  }
  return needed;
}

template std::vector<bool> barriers(const Workspace<float>&, size_t, size_t);
template std::vector<bool> barriers(const Workspace<double>&, size_t, size_t);

}  // namespace deltaprop
