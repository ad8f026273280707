// Which ISA levels this processor has, and each level's table of kernels.
#include "dispatch.h"

#include <cstring>

namespace deltaprop {

#if defined(__x86_64__)
namespace x86_64_v4 {
extern const Kernels<float> float32;
extern const Kernels<double> float64;
}  // namespace x86_64_v4
namespace x86_64_v3 {
extern const Kernels<float> float32;
extern const Kernels<double> float64;
}  // namespace x86_64_v3
#endif
namespace baseline {
extern const Kernels<float> float32;
extern const Kernels<double> float64;
}  // namespace baseline

namespace {

struct Level {
  bool supported;
  const Kernels<float>* float32;
  const Kernels<double>* float64;
};

// Best first.
const Level* levels() {
#if defined(__x86_64__)
  static const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  static const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl");
  static const Level all[] = {{v4, &x86_64_v4::float32, &x86_64_v4::float64},
                              {v3, &x86_64_v3::float32, &x86_64_v3::float64},
                              {true, &baseline::float32, &baseline::float64},
                              {false, nullptr, nullptr}};
#else
  static const Level all[] = {{true, &baseline::float32, &baseline::float64}, {false, nullptr, nullptr}};
#endif
  return all;
}

const Level* find(const char* isa) {
  for (const Level* level = levels(); level->float32; ++level)
    if (level->supported && std::strcmp(level->float32->isa, isa) == 0) return level;
  return nullptr;
}

}  // namespace

std::vector<const char*> available_isas() {
  std::vector<const char*> names;
  for (const Level* level = levels(); level->float32; ++level)
    if (level->supported) names.push_back(level->float32->isa);
  return names;
}

template <>
const Kernels<float>* kernels<float>(const char* isa) {
  const Level* level = find(isa);
  return level ? level->float32 : nullptr;
}

template <>
const Kernels<double>* kernels<double>(const char* isa) {
  const Level* level = find(isa);
  return level ? level->float64 : nullptr;
}

}  // namespace deltaprop
