// The type `Callable`: called with one positional argument it asks its quick target first; everything else, and
// everything that the target declines, goes to the Python method `call`.
#include "call.h"

#include <structmember.h>

#include <cstddef>

namespace deltaprop {
namespace {

struct Callable {
  PyObject_HEAD vectorcallfunc vectorcall;
  QuickTarget target;
  PyObject* owner;  // keeps the target alive; null where there is none
};

PyObject* call(PyObject* object, PyObject* const* arguments, size_t flags, PyObject* keywords) {
  auto* self = reinterpret_cast<Callable*>(object);
  const Py_ssize_t n = PyVectorcall_NARGS(flags);
  if (self->owner && n == 1 && !keywords) {
    PyObject* result = self->target.call(self->target.self, arguments[0]);
    if (result || PyErr_Occurred()) return result;
  }
  PyObject* method = PyObject_GetAttrString(object, "call");
  if (!method) return nullptr;
  PyObject* result = PyObject_Vectorcall(method, arguments, static_cast<size_t>(n), keywords);
  Py_DECREF(method);
  return result;
}

PyObject* create(PyTypeObject* type, PyObject*, PyObject*) {
#if PY_VERSION_HEX < 0x030C0000
  // Before Python 3.12 a class made in Python does not inherit the flag, and its calls would go through a tuple.
  if (type->tp_call == PyVectorcall_Call) type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
#endif
  PyObject* object = type->tp_alloc(type, 0);
  if (object) reinterpret_cast<Callable*>(object)->vectorcall = call;
  return object;
}

void destroy(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  Py_XDECREF(reinterpret_cast<Callable*>(object)->owner);
  type->tp_free(object);
  Py_DECREF(type);
}

// _set_quick_target(executor or None)
PyObject* set_quick_target(PyObject* object, PyObject* executor) {
  auto* self = reinterpret_cast<Callable*>(object);
  QuickTarget target{};
  if (executor != Py_None) {
    PyObject* capsule = PyObject_CallMethod(executor, "quick_target", nullptr);
    if (!capsule) return nullptr;
    const auto* given = static_cast<const QuickTarget*>(PyCapsule_GetPointer(capsule, kQuickTarget));
    if (given) target = *given;
    Py_DECREF(capsule);
    if (!given) return nullptr;
    Py_INCREF(executor);
  }
  PyObject* before = self->owner;
  self->target = target;
  self->owner = executor == Py_None ? nullptr : executor;
  Py_XDECREF(before);
  Py_RETURN_NONE;
}

}  // namespace

PyObject* make_callable_type() {
  static PyMemberDef members[] = {
      {"__vectorcalloffset__", T_PYSSIZET, offsetof(Callable, vectorcall), READONLY, nullptr}, {}};
  static PyMethodDef methods[] = {{"_set_quick_target", set_quick_target, METH_O, nullptr}, {}};
  static PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(create)},
                                {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
                                {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                                {Py_tp_members, members},
                                {Py_tp_methods, methods},
                                {}};
  static PyType_Spec spec = {"deltaprop._core.Callable", sizeof(Callable), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_VECTORCALL, slots};
  return PyType_FromSpec(&spec);
}

}  // namespace deltaprop
