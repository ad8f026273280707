// Philox4x32-10 against the published vectors, and that what it draws looks uniform.
#include "check.h"
#include "random.h"

namespace {

// kat_vectors of Random123 (Salmon et al. 2011), philox4x32 with 10 rounds.
struct Known {
  std::uint32_t counter[4], key[2], words[4];
};
constexpr Known kKnown[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

void test_published_vectors() {
  for (const Known& k : kKnown) {
    const Philox p = philox(k.counter[0], k.counter[1], k.counter[2], k.counter[3], k.key[0], k.key[1]);
    for (size_t i = 0; i < 4; ++i)
      check::that(p.word[i] == k.words[i], "a published vector, word " + std::to_string(i));
  }
}

// Draws along each word of the counter and of the key, as rows, units, steps, seeds and operations do.
template <class F>
void each_stream(const F& f) {
  for (size_t moving = 0; moving < 6; ++moving)
    f("word " + std::to_string(moving), [moving](std::uint32_t i) {
      std::uint32_t w[6] = {1, 2, 3, 4, 5, 6};
      w[moving] = i;
      return philox(w[0], w[1], w[2], w[3], w[4], w[5]);
    });
}

void test_uniformity() {
  constexpr std::uint32_t kDraws = 1 << 16;
  each_stream([](const std::string& name, const auto& draw) {
    int ones[4][32] = {}, bins[4][256] = {};
    long double product[4] = {};  // of neighbours in a stream
    Philox before = draw(kDraws);
    for (std::uint32_t i = 0; i < kDraws; ++i) {
      const Philox p = draw(i);
      for (size_t w = 0; w < 4; ++w) {
        for (size_t b = 0; b < 32; ++b) ones[w][b] += p.word[w] >> b & 1;
        ++bins[w][p.word[w] >> 24];
        product[w] += (p.word[w] * 0x1p-32L - 0.5L) * (before.word[w] * 0x1p-32L - 0.5L);
      }
      before = p;
    }
    for (size_t w = 0; w < 4; ++w) {
      const std::string where = name + " moving, word " + std::to_string(w);
      for (size_t b = 0; b < 32; ++b)  // six standard deviations
        check::that(std::abs(ones[w][b] - static_cast<int>(kDraws / 2)) < 6 * 128, where + ": a biased bit");
      double chi2 = 0;
      const double expected = kDraws / 256.0;
      for (int count : bins[w]) chi2 += (count - expected) * (count - expected) / expected;
      check::that(chi2 > 255 - 6 * 22.6 && chi2 < 255 + 6 * 22.6,
                  where + ": chi-square of 256 bins " + std::to_string(chi2));
      // Each product has the variance 1 / 144.
      check::that(std::abs(product[w]) < 6 * 256 / 12.0, where + ": neighbours are correlated");
    }
  });
}

void test_every_bit_of_the_counter_matters() {
  // One changed bit of the counter changes about half of the bits drawn.
  int changed = 0, total = 0;
  const Philox base = philox(7, 7, 7, 7, 7, 7);
  const Philox again = philox(7, 7, 7, 7, 7, 7);
  check::that(std::memcmp(&base, &again, sizeof base) == 0, "the same counter and key give the same words");
  for (std::uint32_t bit = 0; bit < 32; ++bit) {
    const Philox p = philox(7 ^ (1u << bit), 7, 7, 7, 7, 7);
    for (size_t w = 0; w < 4; ++w) changed += __builtin_popcount(p.word[w] ^ base.word[w]);
    total += 128;
  }
  check::that(changed > total * 0.45 && changed < total * 0.55, "an avalanche of " + std::to_string(changed));
}

}  // namespace

int main() {
  test_published_vectors();
  test_uniformity();
  test_every_bit_of_the_counter_matters();
  return check::summary();
}
