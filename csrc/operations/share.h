// Who does what: the cuts that spread rows and panels over a team. Two operations that cut alike need no barrier
// between.
#pragma once

#include <algorithm>

#include "kernels/table.h"
#include "parallel.h"

namespace deltaprop {

// (panels x depth) in tiles of tile_rows, in panel order: f(panel, from, to) for this thread's part. Threads own panels
// where there are enough of them, else parts of panels.
template <class F>
void each_tiles(size_t panels, size_t depth, size_t tile_rows, const Team& team, const F& f) {
  if (team.size == 1) {
    for (size_t panel = 0; panel < panels; ++panel) f(panel, 0, depth);
    return;
  }
  const size_t tiles = (depth + tile_rows - 1) / tile_rows;
  const size_t end = team.end(panels * tiles);
  for (size_t at = team.begin(panels * tiles); at < end;) {
    const size_t panel = at / tiles, first = at % tiles;
    const size_t last = std::min(tiles, first + (end - at));
    f(panel, first * tile_rows, std::min(depth, last * tile_rows));
    at += last - first;
  }
}

// Rows that pass through the panels together, so that they stay in the L2 cache meanwhile.
constexpr size_t kRowBlock = 240;

// Rows of a product with that many panels: f(panel, from, to).
template <class F>
void each_product_rows(size_t panels, size_t rows, size_t tile_rows, const Team& team, const F& f) {
  for (size_t r = 0; r < rows; r += kRowBlock)
    each_tiles(panels, std::min(kRowBlock, rows - r), tile_rows, team,
               [&](size_t panel, size_t from, size_t to) { f(panel, r + from, r + to); });
}

// Rows of everything else, cut like those of a product with one panel: f(from, to).
template <class F>
void each_rows(size_t rows, size_t tile_rows, const Team& team, const F& f) {
  each_product_rows(1, rows, tile_rows, team, [&](size_t, size_t from, size_t to) { f(from, to); });
}

}  // namespace deltaprop
