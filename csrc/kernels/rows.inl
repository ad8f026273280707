// Rows of the caller's arrays: into a batch, whatever their type, and whether they are finite.
#pragma once

#include "table.h"
#include "vec.h"

namespace {

template <class T, class From>
constexpr bool kSame = false;
template <class T>
constexpr bool kSame<T, T> = true;

// NumPy's arrays need not be aligned to their elements.
template <class From>
inline From read_element(const char* at) {
  From x;
  __builtin_memcpy(&x, at, sizeof x);
  return x;
}

// n < 2 kPiece elements, in pieces of constant sizes: a call of memcpy costs as much as a short row does.
template <class T, size_t kPiece>
inline void copy_pieces(const char* from, T* to, size_t n) {
  if (n & kPiece) {
    __builtin_memcpy(to, from, kPiece * sizeof(T));
    from += kPiece * sizeof(T);
    to += kPiece;
  }
  if constexpr (kPiece > 1) copy_pieces<T, kPiece / 2>(from, to, n);
}

template <class T>
inline void copy_row(const char* from, T* to, size_t width, size_t padded) {
  size_t j = 0;
  for (; j + kLanes<T> <= width; j += kLanes<T>) __builtin_memcpy(to + j, from + j * sizeof(T), kVectorBytes);
  for (size_t k = j; k + kLanes<T> <= padded; k += kLanes<T>) store(to + k, Vec<T>{});
  copy_pieces<T, kLanes<T> / 2>(from + j * sizeof(T), to + j, width - j);
}

template <class T, class From>
inline void convert_row(const char* from, T* to, size_t width, size_t padded) {
  for (size_t j = 0; j < width; ++j) to[j] = static_cast<T>(read_element<From>(from + j * sizeof(From)));
  for (size_t j = width; j < padded; ++j) to[j] = 0;
}

template <class T, class From>
void read_rows(const deltaprop::SourceRows<T>& given) {
  const deltaprop::SourceRows<T> p = given;
  for (size_t r = 0; r < p.rows; ++r) {
    const std::int64_t i = p.order ? p.order[r] : static_cast<std::int64_t>(r);
    const char* const from = p.data + i * p.stride;
    T* const to = p.y + r * p.y_stride;
    if constexpr (kSame<T, From>)
      copy_row(from, to, p.width, p.padded);
    else
      convert_row<T, From>(from, to, p.width, p.padded);
  }
}

// The sum of x - x is zero exactly where every x is finite: no branch until the end.
template <class T>
bool all_finite(const T* x, size_t n) {
  Vec<T> sum[4] = {};
  size_t j = 0;
  for (; j + 4 * kLanes<T> <= n; j += 4 * kLanes<T>)
    for (size_t i = 0; i < 4; ++i) {
      const Vec<T> v = load(x + j + i * kLanes<T>);
      sum[i] = sum[i] + (v - v);
    }
  T total = 0;
  for (; j < n; ++j) {
    const T last = read_element<T>(reinterpret_cast<const char*>(x + j));
    total += last - last;
  }
  const Vec<T> all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  for (size_t i = 0; i < kLanes<T>; ++i) total += all[i];
  return total == 0;
}

}  // namespace
