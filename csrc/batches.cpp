// Reading rows out of the caller's arrays.
#include "batches.h"

#include <algorithm>

#include "kernels/dispatch.h"

namespace deltaprop {
namespace {

template <class T>
constexpr Scalar kScalarOf = sizeof(T) == sizeof(float) ? Scalar::float32 : Scalar::float64;

template <class T>
bool rows_finite(const Source& source) {
  const auto finite = kernels<T>(available_isas().front())->all_finite;
  const bool contiguous = source.offsets.empty();
  if (contiguous && source.row_stride == static_cast<std::ptrdiff_t>(source.width * sizeof(T)))
    return finite(reinterpret_cast<const T*>(source.data), source.rows * source.width);
  for (size_t i = 0; i < source.rows; ++i) {
    const char* row = source.row(static_cast<std::int64_t>(i));
    if (contiguous && !finite(reinterpret_cast<const T*>(row), source.width)) return false;
    for (std::ptrdiff_t offset : source.offsets)
      if (!finite(reinterpret_cast<const T*>(row + offset), 1)) return false;
  }
  return true;
}

}  // namespace

template <class T>
void Source::read(const std::int64_t* order, size_t first, size_t count, T* y, size_t y_stride, size_t padded,
                  const Kernels<T>& kernels) const {
  SourceRows<T> rows{data, row_stride, order, y, count, width, y_stride, padded};
  if (!order) rows.data = row(static_cast<std::int64_t>(first));
  if (offsets.empty()) return kernels.read_rows[size(type)](rows);
  const char* const start = rows.data;
  rows.width = rows.padded = 1;
  for (size_t j = 0; j < width; ++j) {
    rows.data = start + offsets[j];
    rows.y = y + j;
    kernels.read_rows[size(type)](rows);
  }
  for (size_t r = 0; r < count; ++r) std::fill(y + r * y_stride + width, y + r * y_stride + padded, T{0});
}

template <class T>
bool Source::in_place() const {
  return type == kScalarOf<T> && offsets.empty() && row_stride % static_cast<std::ptrdiff_t>(sizeof(T)) == 0 &&
         reinterpret_cast<std::uintptr_t>(data) % sizeof(T) == 0 && row_stride >= 0;
}

bool Source::all_finite() const {
  if (type == Scalar::float32) return rows_finite<float>(*this);
  return type != Scalar::float64 || rows_finite<double>(*this);
}

template void Source::read(const std::int64_t*, size_t, size_t, float*, size_t, size_t, const Kernels<float>&) const;
template void Source::read(const std::int64_t*, size_t, size_t, double*, size_t, size_t, const Kernels<double>&) const;
template bool Source::in_place<float>() const;
template bool Source::in_place<double>() const;

}  // namespace deltaprop
