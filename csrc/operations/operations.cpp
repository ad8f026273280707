// Which function runs each kind of operation.
#include "operations.h"

namespace deltaprop {

// Each looks among the operations of one span, and returns null for all others.
template <class T>
Operation<T> forward_operation(Kind);
template <class T>
Operation<T> loss_operation(Kind);
template <class T>
Operation<T> backward_operation(Kind);
template <class T>
Operation<T> update_operation(Kind);

template <class T>
Operation<T> operation_of(Kind kind) {
  for (const auto look : {forward_operation<T>, loss_operation<T>, backward_operation<T>, update_operation<T>})
    if (const Operation<T> found = look(kind)) return found;
  return nullptr;
}

template Operation<float> operation_of(Kind);
template Operation<double> operation_of(Kind);

}  // namespace deltaprop
