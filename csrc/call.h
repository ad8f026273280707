// `model(x)` at low latency: a type with vectorcall, the base of the models. Knows Python's C API, and neither pybind11
// nor NumPy.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace deltaprop {

// What an executor offers to `Callable`: call(self, x) returns a new reference, or null without an error where x needs
// the general road.
struct QuickTarget {
  void* self;
  PyObject* (*call)(void* self, PyObject* x);
};
constexpr const char* kQuickTarget = "deltaprop.QuickTarget";  // the name of the capsule that carries one

// A new reference to the type `Callable`, or null with an error.
PyObject* make_callable_type();

}  // namespace deltaprop
