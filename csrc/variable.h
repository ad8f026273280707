// A variable's memory: weights in the kernels' own layout for their whole life, and the transposed form that some
// products read. Everything outside sees the canonical (n_in, n_out), C order.
#pragma once

#include <memory>
#include <vector>

#include "kernels/table.h"

namespace deltaprop {

// Zeroed memory that starts on a cache line; several owners may hold parts of one slab.
class Slab {
 public:
  explicit Slab(size_t bytes) : memory_(new unsigned char[bytes + 64]()) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.get());
    data_ = memory_.get() + (64 - address % 64) % 64;
  }
  unsigned char* data() const { return data_; }

 private:
  std::unique_ptr<unsigned char[]> memory_;
  unsigned char* data_;
};

// A (depth, columns) matrix in panels. Padding is always zero.
template <class T>
struct Packed {
  T* data = nullptr;
  size_t depth = 0, columns = 0;
  Panels panels{};

  Packed() = default;
  Packed(size_t depth, size_t columns, size_t panel_units) : depth(depth), columns(columns) {
    const size_t unit = 64 / sizeof(T), units = (columns + unit - 1) / unit;
    panels = {units, (units + panel_units - 1) / panel_units, unit};
  }
  size_t size() const { return depth * panels.units * panels.unit; }
  T* panel(size_t p) const { return data + depth * panels.first(p); }
  // Columns of panel p that are not padding.
  size_t valid(size_t p) const {
    const size_t left = columns - panels.first(p);
    return left < panels.width(p) ? left : panels.width(p);
  }
};

template <class T>
class Variable {
 public:
  Variable(std::vector<size_t> shape, const Kernels<T>& kernels) : shape_(std::move(shape)), kernels_(&kernels) {
    const size_t n_in = shape_.size() == 2 ? shape_[0] : 1, n_out = shape_.back();
    // A narrow matrix (few classes, one regression output) is mostly padding unless its long side runs along the
    // vectors.
    transposed_ = n_out < 64 / sizeof(T) && n_in > n_out;
    main_ = transposed_ ? Packed<T>(n_out, n_in, kernels.panel_units) : Packed<T>(n_in, n_out, kernels.panel_units);
    slab_ = std::make_shared<Slab>(main_.size() * sizeof(T));
    main_.data = reinterpret_cast<T*>(slab_->data());
  }

  const std::vector<size_t>& shape() const { return shape_; }
  bool transposed() const { return transposed_; }
  // So few outputs that the forward product is a reduction over the transposed form.
  bool narrow() const { return transposed_ && main_.depth <= 2; }
  // The layout that optimiser slots and gradients share: element-wise kernels run over it flat.
  const Packed<T>& main() const { return main_; }
  // w as (n_in, n_out), for the forward product, and as (n_out, n_in), for the input gradient.
  const Packed<T>& forward() const { return transposed_ ? mirror_ : main_; }
  const Packed<T>& backward() const { return transposed_ ? main_ : mirror_; }

  // Keeps the other form too from now on.
  void require_mirror() {
    if (mirror_.data || shape_.size() != 2) return;
    mirror_ = Packed<T>(main_.columns, main_.depth, kernels_->panel_units);
    mirror_slab_ = std::make_shared<Slab>(mirror_.size() * sizeof(T));
    mirror_.data = reinterpret_cast<T*>(mirror_slab_->data());
    refresh_mirror();
  }
  bool has_mirror() const { return mirror_.data != nullptr; }
  void refresh_mirror() const {
    for (size_t p = 0; has_mirror() && p < main_.panels.count; ++p) refresh_mirror(p, 0, main_.depth);
  }
  // After rows [first, last) of panel p have changed.
  void refresh_mirror(size_t p, size_t first, size_t last) const {
    const size_t width = main_.panels.width(p), column = main_.panels.first(p);
    for (size_t q = 0; q < mirror_.panels.count; ++q) {
      const size_t start = mirror_.panels.first(q), mirror_width = mirror_.panels.width(q);
      const size_t low = first > start ? first : start;
      const size_t high = last < start + mirror_width ? last : start + mirror_width;
      if (low >= high) continue;
      kernels_->transpose(main_.panel(p) + low * width, width, high - low, main_.valid(p),
                          mirror_.panel(q) + column * mirror_width + (low - start), mirror_width);
    }
  }

  // canonical: prod(shape) elements, C order.
  void assign(const T* canonical) {
    each([&](T& packed, size_t i) { packed = canonical[i]; });
    refresh_mirror();
  }
  void read(T* canonical) const {
    each([&](const T& packed, size_t i) { canonical[i] = packed; });
  }

 private:
  template <class F>
  void each(const F& f) const {
    const size_t n_out = shape_.back();
    for (size_t p = 0; p < main_.panels.count; ++p) {
      const size_t width = main_.panels.width(p), column = main_.panels.first(p), valid = main_.valid(p);
      for (size_t k = 0; k < main_.depth; ++k)
        for (size_t j = 0; j < valid; ++j)
          f(main_.panel(p)[k * width + j], transposed_ ? (column + j) * n_out + k : k * n_out + column + j);
    }
  }

  std::vector<size_t> shape_;
  const Kernels<T>* kernels_;
  bool transposed_ = false;
  Packed<T> main_, mirror_;
  std::shared_ptr<Slab> slab_, mirror_slab_;
};

}  // namespace deltaprop
