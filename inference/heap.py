"""Memory that large tensors leave behind."""

import ctypes
import sys

MAPPED_BYTES = 4 * 2**20
"""Blocks from this size on get pages of their own; of a default model's layer, a few rows already do."""

_M_MMAP_THRESHOLD = -3


def return_large_blocks() -> None:
    """Have glibc give large blocks back to the system as soon as they are freed.

    By itself it raises the size from which it does so up to 32 MB, and keys and values of ever other sizes
    then leave holes in the heap that nothing fits into. Does nothing elsewhere than on Linux with glibc.
    """
    _ask_glibc("mallopt", _M_MMAP_THRESHOLD, MAPPED_BYTES)


def return_small_blocks() -> None:
    """Have glibc give back now what was freed in smaller blocks, which it keeps to be used again."""
    _ask_glibc("malloc_trim", 0)


def _ask_glibc(function: str, *values: int) -> None:
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), function):
        getattr(libc, function)(*values)
