"""Safetensors files of zeros, written without torch."""

import json
import struct
from pathlib import Path


def safetensors(path: Path, **shapes: tuple[int, ...]) -> None:
    """A whole file with a float32 tensor for each name."""
    header: dict[str, object] = {}
    at = 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))
