// Cutting arenas.
#include "workspace.h"

#include <algorithm>

namespace deltaprop {
namespace {

template <class T>
size_t row_bytes(const Buffer& buffer) {
  if (buffer.role == Role::mask) return stride_of<T>(buffer.width());
  if (buffer.width() == 1 && buffer.role != Role::activation && buffer.role != Role::delta) return sizeof(T);
  return stride_of<T>(buffer.width()) * sizeof(T);
}

// Cuts a workspace's arena: buffers get offsets first, then memory.
template <class T>
class Arena {
 public:
  explicit Arena(Workspace<T>& work) : work_(work), offsets_(work.plan->buffers.size(), kNone) {}

  size_t bytes_of(size_t b) const { return (row_bytes<T>(work_.plan->buffers[b]) * work_.capacity + 63) / 64 * 64; }
  void put(size_t b, size_t offset) {
    offsets_[b] = offset;
    end_ = std::max(end_, offset + bytes_of(b));
  }
  void append(size_t b) { put(b, end_); }
  void allocate() {
    work_.arena = std::make_unique<Slab>(end_ + 64);
    work_.place.assign(offsets_.size(), {});
    for (size_t b = 0; b < offsets_.size(); ++b) {
      if (offsets_[b] == kNone) continue;
      const Buffer& buffer = work_.plan->buffers[b];
      work_.place[b].data = reinterpret_cast<T*>(work_.arena->data() + offsets_[b]);
      work_.place[b].stride = row_bytes<T>(buffer) / (buffer.role == Role::mask ? 1 : sizeof(T));
    }
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  Workspace<T>& work_;
  std::vector<size_t> offsets_;
  size_t end_ = 0;
};

}  // namespace

std::vector<std::vector<double>> zero_sums(const Plan& plan) {
  std::vector<std::vector<double>> sums;
  for (const Buffer& b : plan.buffers)
    sums.emplace_back(b.role == Role::counter || b.role == Role::scalar ? b.width() : 0);
  return sums;
}

template <class T>
void Workspace<T>::reserve(size_t rows, unsigned threads) {
  if (rows > capacity) {
    capacity = rows;
    scratch.clear();
    Arena<T> arena(*this);
    for (size_t b = 0; b < plan->buffers.size(); ++b)
      if (plan->buffers[b].of_rows()) arena.append(b);
    arena.allocate();
  }
  const size_t panel_bytes = kernels->panel_units * 64;
  while (scratch.size() < threads) scratch.push_back(std::make_unique<Slab>(capacity * panel_bytes));
}

template <class T>
std::unique_ptr<Workspace<T>> Workspace<T>::for_inference(size_t rows) const {
  auto work = std::make_unique<Workspace<T>>();
  work->plan = plan;
  work->kernels = kernels;
  work->variables = variables;
  work->host = host;
  work->sums = zero_sums(*plan);
  work->capacity = rows;

  const size_t n = plan->buffers.size(), begin = plan->begin(Span::forward), end = plan->end(Span::forward);
  std::vector<size_t> same(n), last_use(n, 0);  // same: the buffer whose memory this one is
  for (size_t b = 0; b < n; ++b) same[b] = b;
  for (size_t i = begin; i < end; ++i) {
    const Op& op = plan->ops[i];
    if (Plan::only_trains(op.kind)) same[static_cast<size_t>(op.out[0])] = same[static_cast<size_t>(op.in[0])];
    for (int b : op.in)
      if (b >= 0) last_use[same[static_cast<size_t>(b)]] = i;
  }
  for (int b : plan->outputs) last_use[same[static_cast<size_t>(b)]] = end;

  struct Held {
    size_t offset, bytes, last_use;
  };
  Arena<T> arena(*work);
  std::vector<Held> held;
  const auto put = [&](size_t b, size_t now) {
    size_t offset = 0;
    bool moved = true;
    while (moved) {  // the first gap that is wide enough
      moved = false;
      for (const Held& h : held)
        if (h.last_use >= now && offset < h.offset + h.bytes && h.offset < offset + arena.bytes_of(b)) {
          offset = h.offset + h.bytes;
          moved = true;
        }
    }
    arena.put(b, offset);
    held.push_back({offset, arena.bytes_of(b), last_use[b]});
  };
  for (int b : plan->inputs) put(static_cast<size_t>(b), begin);
  for (size_t i = begin; i < end; ++i) {
    const Op& op = plan->ops[i];
    if (!Plan::only_trains(op.kind)) put(static_cast<size_t>(op.out[0]), i);
  }
  arena.allocate();
  for (size_t b = 0; b < n; ++b) work->place[b] = work->place[same[b]];
  work->own_place = work->place;
  return work;
}

template struct Workspace<float>;
template struct Workspace<double>;

}  // namespace deltaprop
