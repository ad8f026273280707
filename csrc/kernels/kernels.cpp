// Compiled once per ISA level: fills the tables of the level that DELTAPROP_ISA (an identifier) and DELTAPROP_ISA_NAME
// (the same for people) name.
#include "activations.inl"
#include "crossentropies.inl"
#include "distance.inl"
#include "gemm.inl"
#include "losses.inl"
#include "merge.inl"
#include "metrics.inl"
#include "noise.inl"
#include "normalization.inl"
#include "optimizers.inl"
#include "regularizers.inl"
#include "rows.inl"
#include "table.h"

namespace {

// The order is that of the enumerations in table.h.
template <class T>
constexpr deltaprop::Kernels<T> table() {
  return {
      DELTAPROP_ISA_NAME,
      kPanelUnits,
      kTileRows,
      kOuterRows,
      product<T>,
      narrow_product<T>,
      row_product<T>,
      outer_product<T>,
      distance<T>,
      distance_grad_x<T>,
      distance_grad_w<T>,
      gaussian<T>,
      gaussian_grad<T>,
      gaussian_grad_s<T>,
      add_bias<T>,
      combine<T>,
      add_rows<T>,
      transpose<T>,
      {
          kActivation<T, Linear>,   kActivation<T, Relu>,        kActivation<T, Sigmoid>,     kActivation<T, Tanh>,
          kActivation<T, UnitStep>, kActivation<T, Sign>,        kActivation<T, LeakyRelu>,   kActivation<T, Relu6>,
          kActivation<T, HardTanh>, kActivation<T, HardSigmoid>, kActivation<T, Elu>,         kActivation<T, Selu>,
          kActivation<T, Celu>,     kActivation<T, Gelu>,        kActivation<T, GeluTanh>,    kActivation<T, Silu>,
          kActivation<T, Softplus>, kActivation<T, Softsign>,    kActivation<T, Exponential>, kActivation<T, Mish>,
      },
      softmax<T>,
      softmax_grad<T>,
      prelu<T>,
      prelu_grad<T>,
      prelu_grad_alpha<T>,
      softmax_curvature<T>,
      log_softmax<T>,
      log_softmax_grad<T>,
      dropout<T>,
      dropout_grad<T>,
      gaussian_noise<T>,
      batch_norm<T>,
      batch_norm_grad<T>,
      standardize<T>,
      layer_norm<T>,
      layer_norm_grad<T>,
      multiply<T>,
      add_products<T>,
      {elementwise_loss<T, MeanSquaredError>,
       elementwise_loss<T, MeanAbsoluteError>,
       elementwise_loss<T, HalfSquaredError>,
       elementwise_loss<T, Huber>,
       elementwise_loss<T, LogCosh>,
       elementwise_loss<T, MeanAbsolutePercentageError>,
       elementwise_loss<T, MeanSquaredLogarithmicError>,
       elementwise_loss<T, Poisson>,
       elementwise_loss<T, KLDivergence>,
       elementwise_loss<T, Hinge>,
       elementwise_loss<T, SquaredHinge>,
       categorical_hinge<T>,
       cosine_similarity<T>,
       quantile<T>,
       gaussian_nll<T>,
       elementwise_loss<T, BinaryCrossentropy>,
       elementwise_loss<T, BinaryFocalCrossentropy>,
       probability_crossentropy<T, OneHot>,
       probability_crossentropy<T, ClassIds>,
       probability_crossentropy<T, OneHotFocal>,
       elementwise_loss<T, SigmoidBinaryCrossentropy>,
       elementwise_loss<T, SigmoidBinaryFocalCrossentropy>,
       softmax_crossentropy<T, OneHot>,
       softmax_sparse_categorical_crossentropy<T>,
       softmax_crossentropy<T, OneHotFocal>,
       elementwise_loss<T, BinaryAccuracy>,
       categorical_accuracy<T, false>,
       categorical_accuracy<T, true>,
       top_k_categorical_accuracy<T, false>,
       top_k_categorical_accuracy<T, true>},
      {tally_thresholds<T>, tally_confusion<T>, tally_moments<T>},
      square_sum<T>,
      penalty<T>,
      penalty_grad<T>,
      activity<T>,
      scale<T>,
      clip<T>,
      ema<T>,
      {update<T, Sgd>, update<T, Momentum>, update<T, Nesterov>, update<T, Rmsprop>, update<T, RmspropMomentum>,
       update<T, CenteredRmsprop>, update<T, Adam>, update<T, Amsgrad>, update<T, Adagrad>, update<T, Adadelta>,
       update<T, Adamax>, update<T, Nadam>, update<T, Lion>, update<T, Rprop>},
      {outer_product_update<T, Sgd>, outer_product_update<T, Momentum>, outer_product_update<T, Nesterov>,
       outer_product_update<T, Rmsprop>, outer_product_update<T, RmspropMomentum>,
       outer_product_update<T, CenteredRmsprop>, outer_product_update<T, Adam>, outer_product_update<T, Amsgrad>,
       outer_product_update<T, Adagrad>, outer_product_update<T, Adadelta>, outer_product_update<T, Adamax>,
       outer_product_update<T, Nadam>, outer_product_update<T, Lion>, outer_product_update<T, Rprop>},
      limit_column_norms<T>,
      limit_row_norms<T>,
      limit_norm<T>,
      {read_rows<T, bool>, read_rows<T, std::int8_t>, read_rows<T, std::uint8_t>, read_rows<T, std::int16_t>,
       read_rows<T, std::uint16_t>, read_rows<T, std::int32_t>, read_rows<T, std::uint32_t>, read_rows<T, std::int64_t>,
       read_rows<T, std::uint64_t>, read_rows<T, float>, read_rows<T, double>},
      all_finite<T>,
  };
}

}  // namespace

namespace deltaprop::DELTAPROP_ISA {
extern const Kernels<float> float32;
extern const Kernels<double> float64;
const Kernels<float> float32 = table<float>();
const Kernels<double> float64 = table<double>();
}  // namespace deltaprop::DELTAPROP_ISA
