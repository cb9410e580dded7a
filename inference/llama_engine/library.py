"""The library that the wheel `ik-llama-cpp-python` brings, with the functions that are used of it.

The wheel's own Python has the structs and half of the functions, and none of those for sequences. The library
checks nothing that it is given, so the version is held to the one whose header was read.
"""

import ctypes
import importlib
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_float,
    c_int,
    c_int32,
    c_size_t,
    c_uint32,
    c_void_p,
)
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scene.errors import InputError

WHEEL = "ik-llama-cpp-python"
VERSION = "0.1.5"
"""The wheel, and the one version of it that this was written for and tested with."""

LogCallback = CFUNCTYPE(None, c_int, c_char_p, c_void_p)
"""Takes a level, a text and what was registered along with it."""


class CacheView(Structure):
    """Which cells are in use."""

    _fields_ = [
        ("n_cells", c_int32),
        ("n_seq_max", c_int32),
        ("token_count", c_int32),
        ("used_cells", c_int32),
        ("max_contiguous", c_int32),
        ("max_contiguous_idx", c_int32),
        ("cells", c_void_p),
        ("cells_sequences", POINTER(c_int32)),
    ]


FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "llama_log_set": (None, [LogCallback, c_void_p]),
    "llama_n_vocab": (c_int32, [c_void_p]),
    "llama_n_layer": (c_int32, [c_void_p]),
    "llama_model_has_encoder": (c_bool, [c_void_p]),
    "llama_model_has_recurrent": (c_bool, [c_void_p]),
    "llama_n_ctx": (c_uint32, [c_void_p]),
    "llama_n_batch": (c_uint32, [c_void_p]),
    "llama_set_abort_callback": (None, [c_void_p, c_void_p, c_void_p]),
    "llama_kv_cache_seq_rm": (c_bool, [c_void_p, c_int32, c_int32, c_int32]),
    "llama_kv_cache_seq_cp": (None, [c_void_p, c_int32, c_int32, c_int32, c_int32]),
    "llama_kv_cache_seq_pos_max": (c_int32, [c_void_p, c_int32]),
    "llama_kv_cache_defrag": (None, [c_void_p]),
    "llama_kv_cache_update": (c_int32, [c_void_p]),
    "llama_kv_cache_view_init": (CacheView, [c_void_p, c_int32]),
    "llama_kv_cache_view_update": (None, [c_void_p, POINTER(CacheView)]),
    "llama_kv_cache_view_free": (None, [POINTER(CacheView)]),
    "llama_get_kv_cache_used_cells": (c_int32, [c_void_p]),
    "llama_state_seq_get_size": (c_size_t, [c_void_p, c_int32, c_uint32]),
    "llama_state_seq_get_data": (c_size_t, [c_void_p, c_void_p, c_size_t, c_int32, c_uint32]),
    "llama_state_seq_set_data": (c_size_t, [c_void_p, c_void_p, c_size_t, c_int32, c_uint32]),
    "llama_lora_adapter_init": (c_void_p, [c_void_p, c_char_p]),
    "llama_lora_adapter_set": (c_int32, [c_void_p, c_void_p, c_float]),
}
"""Result and arguments of what the wheel does not bind, as the header has them; pointers to what only the
library looks into are `c_void_p`."""

_NEEDED = {"avx2", "fma", "f16c"}
"""What the wheel for x86-64 was compiled for, as Linux calls it; elsewhere nobody says what there is."""

CPUINFO = Path("/proc/cpuinfo")
_WAITING = "OMP_WAIT_POLICY"


def is_installed() -> bool:
    """Whether the wheel is there, in the version that is known."""
    try:
        return version(WHEEL) == VERSION and importlib.util.find_spec("ik_llama_cpp") is not None
    except PackageNotFoundError:
        return False


def is_usable() -> bool:
    """Whether the library can be loaded."""
    try:
        load_library()
    except InputError:
        return False
    return True


@cache
def load_library() -> ctypes.CDLL:
    """The library, loaded once, ready and silent.

    Raises:
        InputError: It is not installed, in another version, or this machine can't run it.
    """
    if not is_installed():
        raise InputError(
            f"The engine `llama` needs {WHEEL} {VERSION}; install the extra with "
            "`pip install 'monopolylogue[llama]'`, or use the engine `transformers`."
        )
    if lacking := _lacking():
        raise InputError(
            f"{WHEEL} needs a processor with {', '.join(sorted(lacking))}; use the engine `transformers`."
        )
    try:
        with _patient_threads():
            library: ctypes.CDLL = importlib.import_module("ik_llama_cpp._ctypes_api")._lib
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise InputError(f"{WHEEL} can't be used on this machine ({error}); use another engine.") from error
    library.llama_log_set(_SILENCE, None)
    library.llama_backend_init()
    return library


def _lacking() -> set[str]:
    """What the library would compute with and this machine's processor has not: it would end the process."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return set()
    try:
        flags = re.search(r"^flags\s*:(.*)", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return set()
    return set() if flags is None else _NEEDED - set(flags[1].split())


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Let the threads of what is loaded meanwhile sleep where they wait for each other.

    By itself OpenMP keeps a core busy with waiting. Where anything else wants that core, the thread that is
    waited for is the one that doesn't get it: a token of the tiny model then took twenty times as long.
    """
    if _WAITING in os.environ:
        yield
        return
    os.environ[_WAITING] = "passive"
    try:
        yield
    finally:
        del os.environ[_WAITING]


def _hear(level: int, text: bytes, data: object) -> None:
    """Say nothing: the library tells its log about every tensor."""


_SILENCE = LogCallback(_hear)
