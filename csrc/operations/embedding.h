// Tables with a row for each id, as embeddings read and change them. Threads own ranges of ids.
#pragma once

#include <cmath>

#include "case.h"

namespace deltaprop {

template <class T>
class Table {
 public:
  explicit Table(const Variable<T>& variable)
      : main_(&variable.main()),
        transposed_(variable.transposed()),
        ids_(variable.shape()[0]),
        width_(variable.shape()[1]) {}

  size_t ids() const { return ids_; }
  size_t width() const { return width_; }
  T* data() const { return main_->data; }

  // ids() for what is no id of this table.
  size_t id(T value) const {
    const bool valid = value >= 0 && value < static_cast<T>(ids_) && value == std::floor(value);
    return valid ? static_cast<size_t>(value) : ids_;
  }

  // f(column, data, stride, n) for the pieces of a row: columns [column, column + n), every stride-th of data.
  template <class F>
  void each_piece(size_t id, const F& f) const {
    if (transposed_) {
      const size_t p = panel_of(id);
      return f(0, main_->panel(p) + id - main_->panels.first(p), main_->panels.width(p), width_);
    }
    for (size_t p = 0; p < main_->panels.count; ++p)
      f(main_->panels.first(p), main_->panel(p) + id * main_->panels.width(p), 1, main_->valid(p));
  }
  void read(size_t id, T* to) const {
    each_piece(id, [&](size_t column, const T* data, size_t stride, size_t n) {
      for (size_t j = 0; j < n; ++j) to[column + j] = data[j * stride];
    });
  }
  void write(size_t id, const T* from) const {
    each_piece(id, [&](size_t column, T* data, size_t stride, size_t n) {
      for (size_t j = 0; j < n; ++j) data[j * stride] = from[column + j];
    });
  }
  void add(size_t id, const T* from) const {
    each_piece(id, [&](size_t column, T* data, size_t stride, size_t n) {
      for (size_t j = 0; j < n; ++j) data[j * stride] += from[column + j];
    });
  }
  void clear(size_t id) const {
    each_piece(id, [&](size_t, T* data, size_t stride, size_t n) {
      for (size_t j = 0; j < n; ++j) data[j * stride] = 0;
    });
  }

 private:
  size_t panel_of(size_t column) const {
    const Panels& panels = main_->panels;
    const size_t unit = column / panels.unit, in_wider = panels.wider * (panels.narrow + 1);
    return unit < in_wider ? unit / (panels.narrow + 1) : panels.wider + (unit - in_wider) / panels.narrow;
  }

  const Packed<T>* main_;
  bool transposed_;
  size_t ids_, width_;
};

// f(id, dy) for each id of the block that this thread owns, in the order of the rows, with its part of the gradient.
template <class T, class F>
void each_own_id(const Case<T>& c, const Table<T>& table, int ids, int dy, const F& f) {
  const size_t first = c.team.begin(table.ids()), last = c.team.end(table.ids());
  const size_t columns = c.buffer(ids).width();
  for (size_t r = 0; r < c.at.rows; ++r)
    for (size_t k = 0; k < columns; ++k) {
      const size_t id = table.id(c.row(ids, r)[k]);
      if (id >= first && id < last) f(id, c.row(dy, r) + k * table.width());
    }
}

// f(id) for each id that this thread owns, whether it occurs or not.
template <class T, class F>
void each_own_id(const Case<T>& c, const Table<T>& table, const F& f) {
  for (size_t id = c.team.begin(table.ids()); id < c.team.end(table.ids()); ++id) f(id);
}

}  // namespace deltaprop
