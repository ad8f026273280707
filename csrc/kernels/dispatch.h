// The choice of a table of kernels, for code that is compiled once (kernel files include no STL, so it is not in
// table.h).
#pragma once

#include <vector>

#include "table.h"

namespace deltaprop {

// The levels that this processor can run, best first.
std::vector<const char*> available_isas();

// The table of one level, or null if this build or this processor does not have it.
template <class T>
const Kernels<T>* kernels(const char* isa);
template <>
const Kernels<float>* kernels<float>(const char* isa);
template <>
const Kernels<double>* kernels<double>(const char* isa);

}  // namespace deltaprop
