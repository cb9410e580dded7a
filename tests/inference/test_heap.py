"""Freed blocks go back to the system."""

import subprocess
import sys

import pytest

from tests.paths import ROOT

PROGRAM = """
import ctypes, sys
from inference.heap import return_large_blocks, return_small_blocks

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

if sys.argv[1] == "tuned":
    return_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
before = resident()
libc.free(libc.malloc(31 * 2**20))  # from now on glibc would keep such blocks in its heap
blocks = []
for _ in range(8):
    blocks.append(libc.malloc(16 * 2**20))
    ctypes.memset(blocks[-1], 1, 16 * 2**20)
    libc.malloc(100_000)  # keeps the heap's end where it is
for block in blocks:
    libc.free(block)
if sys.argv[1] == "trimmed":
    return_small_blocks()
print(resident() - before)
"""
"""Allocates in the manner of a cache that grows; what stays resident then was not given back."""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is Linux's")
def test_freed_blocks_do_not_stay() -> None:
    def kept(how: str) -> int:
        return int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, how], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout
        )

    if kept("plain") < 64 * 2**20:
        pytest.skip("this C library gives large blocks back by itself")
    assert kept("tuned") < 16 * 2**20
    assert kept("trimmed") < 16 * 2**20
