"""Where a model runs and in which number format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.engine import DEVICES, DTYPES
from scene.errors import InputError

if TYPE_CHECKING:
    import torch


def pick_device(device: str) -> torch.device:
    """The device to use: the first of CUDA, MPS and CPU that is there, unless one is named.

    Raises:
        InputError: The device is unknown, or this machine does not have it.
    """
    import torch

    if device == "auto":
        for kind in ("cuda", "mps"):
            if torch.get_device_module(kind).device_count():
                return torch.device(kind)
        return torch.device("cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise unknown_device(device) from error
    if picked.type not in DEVICES:
        raise unknown_device(device)
    if (picked.index or 0) >= torch.get_device_module(picked.type).device_count():
        raise InputError(f"This machine has no device {device!r}; give `auto` to take what it has.")
    return picked


def unknown_device(device: str) -> InputError:
    """The error for a device nobody knows."""
    return InputError(f"There is no device {device!r}; give {', '.join(DEVICES)}, or such as cuda:1.")


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The number format to use: bfloat16 where the processor computes in it, unless one is named.

    Elsewhere float32 on a CPU, where bfloat16 would be emulated, and float16 on a GPU.

    Raises:
        InputError: The format is unknown.
    """
    import torch

    if dtype not in DTYPES:
        raise InputError(f"There is no dtype {dtype!r}; give one of {', '.join(DTYPES)}.")
    if dtype != "auto":
        picked: torch.dtype = getattr(torch, dtype)
        return picked
    if device.type == "cpu":
        abilities = torch.cpu.get_capabilities()
        native = any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
        return torch.bfloat16 if native else torch.float32
    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    return torch.bfloat16 if device.type == "xpu" else torch.float16


def attend_without_plans(device: torch.device) -> None:
    """Keep torch from cuDNN's attention, for this process; on anything but CUDA nothing changes.

    cuDNN draws up a plan for each new shape, and with every generated token the keys have a new one. On an
    H100 the tiny model took 2.8 times as long for 64 replies with it.
    """
    import torch

    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)
