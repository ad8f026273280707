// What the test programs share: checks that count and print, repeatable numbers, and matrices whose surroundings are
// watched. No test lives here.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/dispatch.h"

namespace check {

using deltaprop::Kernels;

inline int passed = 0, failed = 0;

// The default arguments are the caller's place: no macro is needed to print it.
inline bool that(bool good, const std::string& what, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  ++(good ? passed : failed);
  if (!good && failed <= 100) std::printf("%s:%d: %s\n", file, line, what.c_str());
  return good;
}

// The end of every main.
inline int summary() {
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}

// Many numbers against what they should be, as one check that prints the worst of them.
class Close {
 public:
  explicit Close(std::string what, const char* file = __builtin_FILE(), int line = __builtin_LINE())
      : what_(std::move(what)), file_(file), line_(line) {}
  Close(const Close&) = delete;
  Close& operator=(const Close&) = delete;
  ~Close() {
    char text[200];
    std::snprintf(text, sizeof text, ": element %zu is %.17Lg, not %.17Lg (allowed error %.3Lg)", where_, value_,
                  expected_, allowed_);
    that(worst_ <= 1, what_ + text, file_, line_);
  }
  // A NaN is close to a NaN, an infinity to itself.
  void add(size_t where, long double value, long double expected, long double allowed) {
    long double error = std::abs(value - expected) / allowed;
    if (value == expected || (value != value && expected != expected)) error = 0;
    if (error <= worst_) return;
    worst_ = error == error ? error : std::numeric_limits<long double>::infinity();
    where_ = where;
    value_ = value;
    expected_ = expected;
    allowed_ = allowed;
  }

 private:
  std::string what_;
  const char* file_;
  int line_;
  long double worst_ = 0, value_ = 0, expected_ = 0, allowed_ = 0;
  size_t where_ = 0;
};

template <class T>
bool same_bits(const T* a, const T* b, size_t n) {
  return std::memcmp(a, b, n * sizeof(T)) == 0;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && same_bits(a.data(), b.data(), a.size());
}

template <class T>
constexpr long double epsilon() {
  return std::numeric_limits<T>::epsilon();
}

template <class T>
constexpr size_t unit() {
  return 64 / sizeof(T);
}

template <class T>
constexpr size_t to_units(size_t n) {
  return (n + unit<T>() - 1) / unit<T>() * unit<T>();
}

class Random {  // splitmix64
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double uniform(double low, double high) { return low + (high - low) * static_cast<double>(bits() >> 11) * 0x1p-53; }
  template <class T>
  std::vector<T> vector(size_t n, double low = -1, double high = 1) {
    std::vector<T> v(n);
    for (T& x : v) x = static_cast<T>(uniform(low, high));
    return v;
  }

 private:
  std::uint64_t state_;
};

// rows x width elements at a stride. All that lies between and around them is one particular NaN: who reads it shows
// it, and who writes it is found. Under the address sanitizer nothing lies behind the last element.
template <class T>
class Matrix {
 public:
  Matrix(size_t rows, size_t width, size_t stride, size_t offset = 0)
      : rows_(rows),
        width_(width),
        stride_(stride),
        offset_(offset),
        memory_(offset + (rows - 1) * stride + width + kMargin) {
    for (T& x : memory_) x = canary();
  }
  T* data() { return memory_.data() + offset_; }
  T* row(size_t r) { return data() + r * stride_; }
  size_t stride() const { return stride_; }

  // values: (rows, columns) from the first column on, at a distance of `distance`.
  void assign(const T* values, size_t distance, size_t columns) {
    for (size_t r = 0; r < rows_; ++r) std::memcpy(row(r), values + r * distance, columns * sizeof(T));
  }
  void assign(const T* values, size_t distance) { assign(values, distance, width_); }
  void fill(T value) {
    for (size_t r = 0; r < rows_; ++r)
      for (size_t j = 0; j < width_; ++j) row(r)[j] = value;
  }
  bool untouched_outside() const {
    const T expected = canary();
    for (size_t i = 0; i < memory_.size(); ++i) {
      const bool inside = i >= offset_ && (i - offset_) / stride_ < rows_ && (i - offset_) % stride_ < width_;
      if (!inside && !same_bits(&memory_[i], &expected, 1)) return false;
    }
    return true;
  }
  bool zero(size_t first, size_t last) {
    for (size_t r = 0; r < rows_; ++r)
      for (size_t j = first; j < last; ++j)
        if (row(r)[j] != 0) return false;
    return true;
  }

  static T canary() { return static_cast<T>(sizeof(T) == 4 ? std::nanf("3377") : std::nan("3377")); }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr size_t kMargin = 0;
#else
  static constexpr size_t kMargin = 128 / sizeof(T);
#endif
  size_t rows_, width_, stride_, offset_;
  std::vector<T> memory_;
};

// f(table) for both float types of every level that this processor has.
template <class F>
void each_table(const F& f) {
  for (const char* isa : deltaprop::available_isas()) {
    f(*deltaprop::kernels<float>(isa));
    f(*deltaprop::kernels<double>(isa));
  }
}

template <class T>
std::string name(const Kernels<T>& kernels) {
  return std::string(kernels.isa) + (sizeof(T) == 4 ? " float32" : " float64");
}

// Levels with the same arithmetic give the same bits. On x86 only the baseline rounds twice where the others have FMA.
template <class T>
bool has_fma(const Kernels<T>& kernels) {
#if defined(__x86_64__)
  return std::strcmp(kernels.isa, "baseline") != 0;
#else
  (void)kernels;
  return true;
#endif
}

// The first level with the arithmetic of this one.
template <class T>
const Kernels<T>& peer(const Kernels<T>& kernels) {
  for (const char* isa : deltaprop::available_isas())
    if (has_fma(*deltaprop::kernels<T>(isa)) == has_fma(kernels)) return *deltaprop::kernels<T>(isa);
  return kernels;
}

}  // namespace check
