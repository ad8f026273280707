// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011):
// any number of any stream without a state, so masks, shuffles and initial weights do not depend on who draws them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace {  // internal linkage: kernel files compile this once per ISA level

struct Philox {
  std::uint32_t word[4];
};

constexpr std::uint32_t kPhiloxFactors[2] = {0xD2511F53u, 0xCD9E8D57u};
constexpr std::uint32_t kPhiloxKeys[2] = {0x9E3779B9u, 0xBB67AE85u};  // how far apart the keys of two rounds are

// The 10 rounds over one 128-bit counter under a 64-bit key.
inline Philox philox(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2, std::uint32_t c3, std::uint32_t k0,
                     std::uint32_t k1) {
  for (int round = 0; round < 10; ++round, k0 += kPhiloxKeys[0], k1 += kPhiloxKeys[1]) {
    const std::uint64_t p0 = std::uint64_t{kPhiloxFactors[0]} * c0;
    const std::uint64_t p1 = std::uint64_t{kPhiloxFactors[1]} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
  }
  return {{c0, c1, c2, c3}};
}

}  // namespace
