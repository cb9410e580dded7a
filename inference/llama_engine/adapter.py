"""A LoRA adapter as a GGUF file, which is how the library reads it, made of PEFT's file once."""

import re
from pathlib import Path

from inference.models.adapter import PlainAdapter, for_another_model, read_adapter
from inference.models.cache import PARTIAL, cache_folder, locked, writing
from inference.models.gguf_header import GgufHeader
from inference.models.sources import AdapterSource
from scene.errors import ModelLoadError
from scene.files import put_in_place
from scene.nouns import ModelIdentity

WRITER = 1
"""Raised when the same adapter would give another file, so that older ones are made anew."""

FOLDER = "adapters"

_RANKS = 8
"""With a rank that is no multiple of this, what the library computes is no number, or a wrong one."""

_MODULE = re.compile(r"model\.layers\.(?P<layer>\d+)\.(?:self_attn|mlp)\.(?P<matrix>\w+)")
_NAMES = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
# In files of this architecture the two halves of each head are interleaved.
_INTERLEAVED = "llama"
_HEADS = {"q_proj": "attention.head_count", "k_proj": "attention.head_count_kv"}


def applicable(source: AdapterSource) -> PlainAdapter:
    """Read an adapter of which the library applies everything.

    Raises:
        ModelLoadError: It is damaged, or the library would leave something out.
    """
    adapter = read_adapter(source.path, source.id)
    for module in sorted(adapter.modules):
        found = _MODULE.fullmatch(module)
        if found is None or found["matrix"] not in _NAMES:
            raise ModelLoadError(
                f"The adapter {source.id} changes {module}, which the engine `llama` leaves as it is; "
                "use the engine `transformers`."
            )
    return adapter


def adapter_file(adapter: PlainAdapter, identity: ModelIdentity, header: GgufHeader) -> Path:
    """GGUF file with an adapter, made once for the content of adapter and base.

    Raises:
        ModelLoadError: The adapter does not fit the model, or the cache folder can't be written.
    """
    folder = cache_folder() / FOLDER
    target = folder / f"{(identity.revision or '')[:32]}-v{WRITER}.gguf"
    if not target.is_file():
        with writing(folder), locked(target):
            if not target.is_file():
                fresh = target.with_name(target.name + PARTIAL)
                _write(adapter, header, identity.id, fresh)
                put_in_place(fresh, target)
    return target


def _write(adapter: PlainAdapter, header: GgufHeader, name: str, path: Path) -> None:
    """Write the matrices in float32, of the same layout as the base model's."""
    import gguf
    import torch
    from torch.nn.functional import pad

    rank = -(-adapter.rank // _RANKS) * _RANKS
    writer = gguf.GGUFWriter(path, header.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    # The library divides it by the rank that it finds.
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, rank)
    for module, a, b in adapter.matrices():
        found = _MODULE.fullmatch(module)
        assert found is not None
        matrix = found["matrix"]
        if header.architecture == _INTERLEAVED and matrix in _HEADS:
            heads = header.values.get(f"{header.architecture}.{_HEADS[matrix]}")
            if not isinstance(heads, int) or len(b) % (2 * heads):
                raise for_another_model(name)
            b = b.reshape(heads, 2, -1, adapter.rank).transpose(1, 2).reshape(b.shape)
        tensor = f"blk.{found['layer']}.{_NAMES[matrix]}.weight.lora_"
        missing = rank - adapter.rank
        writer.add_tensor(tensor + "a", pad(a.to(torch.float32), (0, 0, 0, missing)).numpy())
        writer.add_tensor(tensor + "b", pad(b.to(torch.float32) * adapter.scale, (0, missing)).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
