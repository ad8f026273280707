"""What may watch and steer a training run from outside; the loop lives in ``training.py``."""

from .base import Callback, CallbackList, Logs, TerminateOnNaN
from .monitors import EarlyStopping, ModelCheckpoint, direction
from .outputs import CSVLogger, LambdaCallback
from .rates import LearningRateScheduler, ReduceLROnPlateau

__all__ = [
           "CSVLogger",
           "Callback",
           "CallbackList",
           "EarlyStopping",
           "LambdaCallback",
           "LearningRateScheduler",
           "Logs",
           "ModelCheckpoint",
           "ReduceLROnPlateau",
           "TerminateOnNaN",
           "direction",
]
