// The Python module _core: translates types and releases the GIL, nothing else. The only file that knows pybind11.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <numeric>
#include <shared_mutex>

#include "call.h"
#include "executor.h"
#include "gate.h"
#include "kernels/dispatch.h"
#include "random.h"

namespace py = pybind11;
using namespace deltaprop;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

template <class T>
const Kernels<T>& kernels_of(const std::string& isa) {
  const Kernels<T>* table = kernels<T>(isa.c_str());
  if (!table) throw py::value_error("this processor or this build has no ISA level '" + isa + "'");
  return *table;
}

Scalar scalar_of(const py::dtype& type) {
  const char kind = type.kind();
  const auto size = type.itemsize();
  if (kind == 'b') return Scalar::boolean;
  if (kind == 'f' && size == 4) return Scalar::float32;
  if (kind == 'f' && size == 8) return Scalar::float64;
  if (kind == 'i' || kind == 'u') {
    const int wide = size == 1 ? 0 : size == 2 ? 2 : size == 4 ? 4 : 6;
    return static_cast<Scalar>(static_cast<int>(Scalar::int8) + wide + (kind == 'u'));
  }
  throw py::type_error("no numeric array: dtype kind '" + std::string(1, kind) + "'");
}

// The caller keeps the array alive while the source is used.
Source source_of(const py::object& object) {
  Source source;
  if (object.is_none()) return source;
  const auto array = py::cast<py::array>(object);
  source.data = static_cast<const char*>(array.data());
  source.type = scalar_of(array.dtype());
  source.rows = static_cast<size_t>(array.shape(0));
  source.row_stride = array.strides(0);
  source.width = 1;
  bool contiguous = true;
  for (py::ssize_t d = array.ndim() - 1; d > 0; --d) {
    contiguous &= array.shape(d) == 1 || array.strides(d) == static_cast<py::ssize_t>(source.width) * array.itemsize();
    source.width *= static_cast<size_t>(array.shape(d));
  }
  if (contiguous) return source;
  source.offsets.assign(source.width, 0);
  for (size_t j = 0; j < source.width; ++j) {
    size_t rest = j;
    for (py::ssize_t d = array.ndim() - 1; d > 0; --d) {
      const auto extent = static_cast<size_t>(array.shape(d));
      source.offsets[j] += static_cast<py::ssize_t>(rest % extent) * array.strides(d);
      rest /= extent;
    }
  }
  return source;
}

std::vector<Source> sources_of(const py::sequence& arrays) {
  std::vector<Source> sources;
  for (const auto& array : arrays) sources.push_back(source_of(py::reinterpret_borrow<py::object>(array)));
  return sources;
}

// Batches, with the arrays that they point into.
struct Data {
  py::list arrays;
  Batches batches;
};

template <class T>
py::array_t<T> numpy_of(const Variable<T>& variable) {
  py::array_t<T> out(variable.shape());
  variable.read(out.mutable_data());
  return out;
}

template <class T>
void assign(Variable<T>& variable, const Array<T>& values) {
  if (std::vector<size_t>(values.shape(), values.shape() + values.ndim()) != variable.shape())
    throw py::value_error("the array has not the variable's shape");
  variable.assign(values.data());
}

// The error of a Python function on its way through the executor, to the call of this thread that it belongs to.
thread_local std::unique_ptr<py::error_already_set> host_error;

void rethrow_host_error() {
  const std::unique_ptr<py::error_already_set> error = std::move(host_error);
  if (error) throw py::error_already_set(*error);
}

// The rows of a buffer as an array, valid during the call.
template <class T>
py::array view_of(const Workspace<T>& work, int b, size_t rows) {
  const auto& place = work.place[static_cast<size_t>(b)];
  std::vector<size_t> shape{rows};
  for (size_t extent : work.plan->buffers[static_cast<size_t>(b)].shape) shape.push_back(extent);
  std::vector<size_t> strides(shape.size(), sizeof(T));
  for (size_t d = shape.size() - 1; d > 1; --d) strides[d - 1] = strides[d] * shape[d];
  strides[0] = place.stride * sizeof(T);
  return py::array(py::dtype::of<T>(), shape, strides, place.data, py::none());
}

// function(inputs, outputs, rows of the batch), with arrays to read from and to write to.
template <class T>
Host<T> host_of(const std::vector<py::function>& functions) {
  if (functions.empty()) return nullptr;
  return [functions](const Op& op, Workspace<T>& work, const Position& at) {
    const py::gil_scoped_acquire acquire;
    try {
      py::list inputs, outputs;
      for (int b : op.in) inputs.append(view_of(work, b, at.rows));
      for (int b : op.out) outputs.append(view_of(work, b, at.rows));
      functions.at(static_cast<size_t>(op.attributes[0]))(inputs, outputs, at.batch_rows);
      return true;
    } catch (py::error_already_set& e) {
      host_error = std::make_unique<py::error_already_set>(std::move(e));
      return false;
    }
  };
}

// What an executor is, for Python: with the model's gate, and the error that a hook raised.
template <class T>
class PyExecutor {
 public:
  PyExecutor(const Plan& plan, const std::vector<std::shared_ptr<Variable<T>>>& variables,
             const std::vector<py::function>& hosts, std::shared_ptr<Gate> gate, const std::string& isa)
      : executor_(plan, variables, kernels_of<T>(isa), host_of<T>(hosts)), gate_(std::move(gate)) {
    // A call that takes this long lets other Python threads in: it goes the general road.
    constexpr double kQuickFlops = 1e6;
    most_quick_rows_ = static_cast<py::ssize_t>(kQuickFlops / (executor_.flops(false) + 1));
  }

  // predict for few rows in an exact array: no conversions, no release of the GIL. Null where x is anything else.
  PyObject* quick_call(PyObject* x) {
    const auto& api = py::detail::npy_api::get();
    const auto* array = py::detail::array_proxy(x);
    constexpr int kReadable = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    if (Py_TYPE(x) != api.PyArray_Type_ || array->descr != dtype_.ptr() || (array->flags & kReadable) != kReadable ||
        array->nd < 1 || array->nd > 2)
      return nullptr;
    const Plan& plan = executor_.plan();
    const Buffer& input = plan.buffers[static_cast<size_t>(plan.inputs[0])];
    const Buffer& output = plan.buffers[static_cast<size_t>(plan.outputs[0])];
    const py::ssize_t rows = array->nd == 2 ? array->dimensions[0] : 1;
    if (input.shape.size() != 1 || output.shape.size() != 1 || rows < 1 ||
        rows > std::max<py::ssize_t>(1, most_quick_rows_) ||
        array->dimensions[array->nd - 1] != static_cast<py::ssize_t>(input.shape[0]) || !gate_->try_lock_shared())
      return nullptr;
    py::ssize_t shape[2] = {rows, static_cast<py::ssize_t>(output.shape[0])};
    Py_INCREF(dtype_.ptr());
    PyObject* out = api.PyArray_NewFromDescr_(api.PyArray_Type_, dtype_.ptr(), array->nd, shape + (2 - array->nd),
                                              nullptr, nullptr, 0, nullptr);
    if (out && !executor_.predict_few(reinterpret_cast<const T*>(array->data), static_cast<size_t>(rows),
                                      reinterpret_cast<T*>(py::detail::array_proxy(out)->data))) {
      Py_DECREF(out);
      out = nullptr;
    }
    gate_->unlock_shared();
    return out;
  }

  // -> (outcome, steps)
  py::tuple run(const Data& data, const py::object& order, size_t samples, size_t batch, size_t first_step,
                size_t last_step, const py::object& scalars, std::uint64_t step, std::uint32_t seed, bool update,
                unsigned threads, const py::object& hook) {
    const Plan& plan = executor_.plan();
    if (data.batches.inputs.size() != plan.inputs.size() || data.batches.targets.size() != plan.targets.size() ||
        data.batches.weights.size() != plan.weights.size())
      throw py::value_error("not an array for each input, target and weight of the plan");
    Pass pass;
    pass.data = &data.batches;
    Array<std::int64_t> kept_order;  // conversions, if any, live as long as the run
    Array<double> kept_scalars;
    if (!order.is_none()) {
      kept_order = py::cast<Array<std::int64_t>>(order);
      pass.order = kept_order.data();
    }
    pass.samples = samples;
    pass.batch = batch;
    pass.first_step = first_step;
    pass.last_step = last_step;
    if (!scalars.is_none()) {
      kept_scalars = py::cast<Array<double>>(scalars);
      pass.scalars = kept_scalars.data();
      pass.scalars_per_step = static_cast<size_t>(kept_scalars.shape(1));
    }
    pass.step = step;
    pass.seed = seed;
    pass.update = update;
    pass.threads = threads;
    std::unique_ptr<py::error_already_set> error;
    pass.keep_going = [&](size_t steps) {
      const py::gil_scoped_acquire acquire;
      try {
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        return hook.is_none() || py::cast<bool>(hook(steps));
      } catch (py::error_already_set& e) {
        error = std::make_unique<py::error_already_set>(std::move(e));
        return false;
      }
    };
    PassResult result{};
    {
      const py::gil_scoped_release release;
      result = executor_.run(pass);
    }
    steps_done_ = result.steps;
    if (error) throw py::error_already_set(std::move(*error));
    rethrow_host_error();
    const char* const outcomes[] = {"finished", "stopped", "diverged"};
    return py::make_tuple(outcomes[static_cast<int>(result.outcome)], result.steps);
  }

  py::list predict(const py::sequence& inputs, unsigned threads) {
    const std::vector<Source> sources = sources_of(inputs);
    const size_t rows = sources.at(0).rows;
    py::list arrays;
    std::vector<T*> outputs;
    for (int b : executor_.plan().outputs) {
      std::vector<size_t> shape{rows};
      for (size_t extent : executor_.plan().buffers[static_cast<size_t>(b)].shape) shape.push_back(extent);
      py::array_t<T> out(shape);
      outputs.push_back(out.mutable_data());
      arrays.append(std::move(out));
    }
    {
      const py::gil_scoped_release release;
      const std::shared_lock<Gate> inside(*gate_);
      executor_.predict(sources, rows, outputs, threads);
    }
    rethrow_host_error();
    return arrays;
  }

  void prepare(size_t rows, size_t first_row, size_t batch_rows, std::uint64_t step, std::uint32_t seed, bool training,
               const std::vector<double>& scalars) {
    executor_.prepare({rows, first_row, batch_rows, step, seed, training, nullptr}, scalars);
  }

  py::object read(int buffer) {
    const Buffer& b = executor_.plan().buffers.at(static_cast<size_t>(buffer));
    auto& work = executor_.workspace();
    if (b.of_variable()) return numpy_of(*work.variables[static_cast<size_t>(buffer)]);
    if (!b.of_rows()) return py::cast(executor_.sums(buffer));
    if (b.role == Role::mask) return read_rows<std::uint8_t>(b, buffer);
    return read_rows<T>(b, buffer);
  }

  void write(int buffer, const py::object& values) {
    const Buffer& b = executor_.plan().buffers.at(static_cast<size_t>(buffer));
    auto& work = executor_.workspace();
    if (b.of_variable()) return assign(*work.variables[static_cast<size_t>(buffer)], py::cast<Array<T>>(values));
    if (!b.of_rows()) {
      const auto sums = py::cast<std::vector<double>>(values);
      if (sums.size() != b.width()) throw py::value_error("not as many numbers as the counter has");
      work.sums[static_cast<size_t>(buffer)] = sums;
    } else if (b.role == Role::mask) {
      write_rows<std::uint8_t>(b, buffer, values);
    } else {
      write_rows<T>(b, buffer, values);
    }
  }

  Executor<T> executor_;
  std::shared_ptr<Gate> gate_;
  size_t steps_done_ = 0;
  py::ssize_t most_quick_rows_ = 0;
  py::dtype dtype_ = py::dtype::of<T>();

 private:
  template <class E>
  E* row(int buffer, size_t r) {
    const auto& place = executor_.workspace().place.at(static_cast<size_t>(buffer));
    return reinterpret_cast<E*>(place.data) + r * place.stride;
  }

  template <class E>
  py::array read_rows(const Buffer& b, int buffer) {
    std::vector<size_t> shape{executor_.position().rows};
    for (size_t extent : b.shape) shape.push_back(extent);
    py::array_t<E> out(shape);
    for (size_t r = 0; r < shape[0]; ++r) std::copy_n(row<E>(buffer, r), b.width(), out.mutable_data() + r * b.width());
    return out;
  }

  template <class E>
  void write_rows(const Buffer& b, int buffer, const py::object& values) {
    const auto array = py::cast<Array<E>>(values);
    if (static_cast<size_t>(array.size()) != executor_.position().rows * b.width())
      throw py::value_error("the array has not the buffer's shape");
    for (size_t r = 0; r < executor_.position().rows; ++r)
      std::copy_n(array.data() + r * b.width(), b.width(), row<E>(buffer, r));
  }
};

template <class T>
void bind(py::module_& m, const std::string& suffix) {
  using V = Variable<T>;
  py::class_<V, std::shared_ptr<V>>(m, ("Variable" + suffix).c_str())
      .def(py::init([](const std::vector<size_t>& shape, const std::string& isa) {
        return std::make_shared<V>(shape, kernels_of<T>(isa));
      }))
      .def_property_readonly("shape", [](const V& v) { return py::tuple(py::cast(v.shape())); })
      .def("numpy", &numpy_of<T>)
      .def("assign", &assign<T>);

  using E = PyExecutor<T>;
  py::class_<E>(m, ("Executor" + suffix).c_str())
      .def(py::init<const Plan&, const std::vector<std::shared_ptr<V>>&, const std::vector<py::function>&,
                    std::shared_ptr<Gate>, const std::string&>())
      .def("run", &E::run)
      .def("predict", &E::predict)
      .def("flops", [](const E& e, bool training) { return e.executor_.flops(training); })
      .def("sums", [](const E& e, int buffer) { return e.executor_.sums(buffer); })
      .def("reset_counters", [](E& e) { e.executor_.reset_counters(); })
      .def("snapshot", [](E& e) { e.executor_.snapshot(); })
      .def("restore", [](E& e) { e.executor_.restore(); })
      .def("quick_target",
           [](E& e) {
             const auto call = [](void* self, PyObject* x) { return static_cast<E*>(self)->quick_call(x); };
             return py::capsule(new QuickTarget{&e, call}, kQuickTarget, [](PyObject* capsule) {
               delete static_cast<QuickTarget*>(PyCapsule_GetPointer(capsule, kQuickTarget));
             });
           })
      .def_readonly("steps_done", &E::steps_done_)
      .def("prepare", &E::prepare)
      .def(
          "step",
          [](E& e, size_t first, size_t last, unsigned threads, size_t repeats) {
            e.executor_.step(first, last, threads, repeats);
            rethrow_host_error();
          },
          py::arg("first"), py::arg("last"), py::arg("threads"), py::arg("repeats") = 1)
      .def("read", &E::read)
      .def("write", &E::write);
}

Plan make_plan(const py::list& buffers, const py::list& ops, const std::array<size_t, 5>& span,
               const std::vector<int>& inputs, const std::vector<int>& targets, const std::vector<int>& weights,
               const std::vector<int>& outputs, const std::vector<int>& objective) {
  Plan plan;
  for (const auto& item : buffers) {
    const auto [role, shape, name] = py::cast<std::tuple<std::string, std::vector<size_t>, std::string>>(item);
    plan.buffers.push_back({role_of(role), shape, name});
  }
  for (const auto& item : ops) {
    const auto [kind, function, accumulate, in, out, attributes] =
        py::cast<std::tuple<std::string, std::string, bool, std::vector<int>, std::vector<int>, std::vector<double>>>(
            item);
    plan.ops.push_back({kind_of(kind), function_of(kind_of(kind), function), accumulate, in, out, attributes});
  }
  plan.span = span;
  plan.inputs = inputs;
  plan.targets = targets;
  plan.weights = weights;
  plan.outputs = outputs;
  plan.objective = objective;
  validate(plan);
  return plan;
}

// A Fisher-Yates shuffle; the bounded draw is the high half of a 64-bit product, whose bias is below n / 2^32.
py::array_t<std::int64_t> permutation(size_t n, std::uint32_t seed, std::uint64_t epoch) {
  py::array_t<std::int64_t> out(static_cast<py::ssize_t>(n));
  std::int64_t* order = out.mutable_data();
  std::iota(order, order + n, 0);
  constexpr std::uint32_t kStream = 0xFFFFFFFFu;
  Philox bits{};
  for (size_t i = n; i > 1; --i) {
    const size_t drawn = n - i;
    if (drawn % 4 == 0)
      bits = philox(static_cast<std::uint32_t>(drawn / 4), 0, static_cast<std::uint32_t>(epoch),
                    static_cast<std::uint32_t>(epoch >> 32), seed, kStream);
    const auto j = static_cast<size_t>((std::uint64_t{bits.word[drawn % 4]} * i) >> 32);
    std::swap(order[i - 1], order[j]);
  }
  return out;
}

py::array_t<std::uint32_t> random_bits(std::uint32_t seed, std::uint32_t stream, size_t n) {
  py::array_t<std::uint32_t> out(static_cast<py::ssize_t>(n));
  std::uint32_t* words = out.mutable_data();
  for (size_t i = 0; i < n; i += 4) {
    const Philox bits =
        philox(static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(i / 4 >> 32), 0, 0, seed, stream);
    std::copy_n(bits.word, std::min<size_t>(4, n - i), words + i);
  }
  return out;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  watch_for_fork();
  bind<float>(m, "Float32");
  bind<double>(m, "Float64");

  py::class_<Plan>(m, "Plan").def(py::init(&make_plan));

  py::class_<Gate, std::shared_ptr<Gate>>(m, "Gate")
      .def(py::init())
      .def("__enter__", &Gate::lock, py::call_guard<py::gil_scoped_release>())
      .def("__exit__", [](Gate& gate, const py::args&) { gate.unlock(); });

  py::class_<Data>(m, "Data").def(
      py::init([](const py::sequence& inputs, const py::sequence& targets, const py::sequence& weights) {
        Data data;
        for (const auto& list : {inputs, targets, weights}) data.arrays.append(list);
        data.batches = {sources_of(inputs), sources_of(targets), sources_of(weights)};
        return data;
      }));

  m.attr("Callable") = py::reinterpret_steal<py::object>(make_callable_type());

  m.def("all_finite", [](const py::array& array) {
    const Source source = source_of(array);
    const py::gil_scoped_release release;
    return source.all_finite();
  });
  m.def("permutation", &permutation);
  m.def("random_bits", &random_bits);
  m.def("available_isas", &available_isas);
  m.def("processors", &processors);
  m.def("has_openmp", &has_openmp);
  m.def("compiler", [] { return __VERSION__; });
}
