"""The plan in NumPy, any float type: its operations on the formulas of the textbooks, with the methods of `_core`."""

from .executor import Data, ReferenceExecutor

__all__ = ["Data", "ReferenceExecutor"]
