// Linked to a program that is compiled for one ISA level: ends it with 77, which ctest reads as skipped, on a processor
// without that level.
#include <cstdio>
#include <cstdlib>

#include "kernels/dispatch.h"

// Before any constructor of the program's own, which may already use the level's instructions. The standard library's
// templates are avoided for the same reason: the linker may keep the copy that was compiled for the level.
__attribute__((constructor(101))) static void require_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();  // GCC's own call comes with the same priority
#endif
  if (deltaprop::kernels<float>(DELTAPROP_ISA_NAME)) return;
  std::puts("skipped: this processor has no " DELTAPROP_ISA_NAME);
  std::fflush(stdout);
  std::_Exit(77);
}
