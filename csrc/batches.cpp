// Reading rows out of the caller's arrays.
#include "batches.h"

#include <cmath>
#include <cstring>

namespace deltaprop {
namespace {

template <class T>
constexpr Scalar kScalarOf = sizeof(T) == sizeof(float) ? Scalar::float32 : Scalar::float64;

template <class T>
bool finite(const char* row, const Source& source) {
  // The sum of x - x is zero exactly where every x is finite, and the loop has no branch.
  T sum = 0;
  for (size_t j = 0; j < source.width; ++j) {
    T x;
    std::memcpy(&x, row + (source.offsets.empty() ? static_cast<std::ptrdiff_t>(j * sizeof(T)) : source.offsets[j]), sizeof x);
    sum += x - x;
  }
  return sum == 0;
}

}  // namespace

size_t bytes(Scalar type) {
  switch (type) {
    case Scalar::boolean:
    case Scalar::int8:
    case Scalar::uint8: return 1;
    case Scalar::int16:
    case Scalar::uint16: return 2;
    case Scalar::int32:
    case Scalar::uint32:
    case Scalar::float32: return 4;
    default: return 8;
  }
}

template <class T>
void Source::read(std::int64_t i, T* to, size_t padded, const Kernels<T>& kernels) const {
  const auto convert = kernels.convert[size(type)];
  if (offsets.empty()) {
    convert(row(i), to, width);
  } else {
    for (size_t j = 0; j < width; ++j) convert(row(i) + offsets[j], to + j, 1);
  }
  for (size_t j = width; j < padded; ++j) to[j] = 0;
}

template <class T>
bool Source::in_place() const {
  return type == kScalarOf<T> && offsets.empty() && row_stride % static_cast<std::ptrdiff_t>(sizeof(T)) == 0 &&
         reinterpret_cast<std::uintptr_t>(data) % sizeof(T) == 0 && row_stride >= 0;
}

bool Source::all_finite() const {
  if (type != Scalar::float32 && type != Scalar::float64) return true;
  for (size_t i = 0; i < rows; ++i) {
    const char* at = row(static_cast<std::int64_t>(i));
    if (!(type == Scalar::float32 ? finite<float>(at, *this) : finite<double>(at, *this))) return false;
  }
  return true;
}

template void Source::read(std::int64_t, float*, size_t, const Kernels<float>&) const;
template void Source::read(std::int64_t, double*, size_t, const Kernels<double>&) const;
template bool Source::in_place<float>() const;
template bool Source::in_place<double>() const;

}  // namespace deltaprop
