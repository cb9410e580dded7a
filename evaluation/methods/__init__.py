"""Ways to answer with one and the same model, one file each."""

from evaluation.methods.registry import METHODS, Method, method_named

__all__ = ["METHODS", "Method", "method_named"]
