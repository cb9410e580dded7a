"""An adapter and its base become one model, which is compared with the two of them before it counts."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from finetune.check import QUESTIONS
from finetune.train import saving_to
from inference.batching.chat_prompt import ChatPrompts
from inference.engine import ChatMessage
from inference.models.gguf_header import read_header
from inference.models.local import gguf_file, no_progress, transformers_folder
from inference.models.sources import AdapterSource, BaseSource, EmbeddedSource, GgufSource, resolve
from inference.quiet import quiet_peft, quiet_transformers
from inference.transformers_engine.pretrained import load_pretrained
from scene.errors import InputError, UnusableAdapterError, reason
from scene.files import put_in_place

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

EXACT = 1e-4
"""Divergence, in nats a token, that merging in float32 may cause: rounding alone."""

STORED = 0.02
"""Divergence that storing the weights in the base's own number format may add."""

SHARE = 0.25
"""How much of what the adapter changes either may be, at most: with all of it, the adapter would be lost."""

NOISE = 1e-8
"""Divergence that is there where nothing differs."""


QUANTIZED = 0.2
"""Divergence that the fewer bits of a GGUF file may add; with more, it was written wrong."""

GGUF = "model.gguf"

KNOWN_WEIGHTS = {0, 1, 2, 3, 7, 8, 9, *range(11, 19)}
"""Formats of weights that can be made of a model alone, as llama.cpp numbers them: up to Q6_K."""


_SYSTEM, _FIRST, _REPLY, _SECOND = "SYSTEM-0", "FIRST-0", "REPLY-0", "SECOND-0"
_SHAPE = re.compile(
    rf"(?P<begin>.*?)system(?P<name>.*?){_SYSTEM}(?P<end>.*?)user(?P=name){_FIRST}(?P=end)"
    rf"assistant(?P=name){_REPLY}(?P=end)user(?P=name){_SECOND}(?P=end)assistant(?P=name)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A merged model.

    Attributes:
        divergence: Mean Kullback-Leibler divergence of its next-token distribution from the adapter's, in
            nats, over the tokens of three prompts, as it was read back from disk.
        rounded: The same of the GGUF file, where one was written.
    """

    divergence: float
    rounded: float | None


def merge(adapter: str, out: Path, *, gguf: bool = False) -> Merged:
    """Merge an adapter into its base and write the model as safetensors, in the base's number format.

    With `gguf` it is a GGUF file too, with a Modelfile for Ollama.

    Raises:
        InputError: It is no adapter, the folder is taken, or the disk is full.
        ModelLoadError: Adapter and base don't belong together, or one of them can't be loaded.
        UnusableAdapterError: Merged and adapter don't agree; nothing is written.
    """
    source = resolve(adapter)
    if not isinstance(source, AdapterSource):
        raise InputError(
            f"{adapter} is no adapter (it has no adapter_config.json); there is nothing to merge."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty; give --out a new folder.")
    base = transformers_folder(source)
    import torch
    from transformers import AutoConfig

    # float32, since what an adapter adds is lost between two numbers of bfloat16.
    loaded = load_pretrained(base, name=adapter, adapter=source.path, dtype="float32", device="cpu")
    adapted, words = loaded.adapted, loaded.tokenizer
    assert adapted is not None
    prompts = ChatPrompts(words, adapter)
    rows = [prompts.token_ids([ChatMessage("user", question)]) for question in QUESTIONS]
    apart = _distributions(adapted, rows)
    with quiet_peft():
        with adapted.disable_adapter():
            change = _divergence(apart, _distributions(adapted, rows))
        _untie(adapted)
        try:
            model: Any = adapted.merge_and_unload(safe_merge=True)
        except (NotImplementedError, RuntimeError, ValueError) as error:
            raise UnusableAdapterError(
                f"{adapter} can't be merged ({reason(error)}); it can be run as it is."
            ) from error
    _demand(_divergence(apart, _distributions(model, rows)), EXACT, change, adapter)

    target = out.resolve()
    with saving_to(out), quiet_transformers():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".monopolylogue-") as scratch:
            fresh = Path(scratch) / "model"
            stored = AutoConfig.from_pretrained(str(base), local_files_only=True).dtype or torch.float32
            model.to(stored).save_pretrained(fresh)
            words.save_pretrained(fresh)
            (fresh / "README.md").write_text(_card(source, adapter), encoding="utf-8")
            del model, adapted, loaded
            again = load_pretrained(fresh, name=str(out), dtype="float32", device="cpu")
            divergence = _divergence(apart, _distributions(again.model, rows))
            _demand(divergence, STORED, change, adapter)
            if gguf:
                rounded = _add_gguf(fresh, str(out), source.base, words, rows, apart)
                _demand(rounded, QUANTIZED, change, adapter)
            put_in_place(fresh, target)
    return Merged(divergence=divergence, rounded=rounded if gguf else None)


def _add_gguf(
    folder: Path,
    name: str,
    base: BaseSource,
    words: PreTrainedTokenizerBase,
    rows: list[list[int]],
    apart: list[torch.Tensor],
) -> float:
    """Write the GGUF file and its Modelfile beside the model; its divergence from base and adapter."""
    import torch

    from inference.llama_engine.conversion import WEIGHTS, check_words, logits_of, write_quantized

    weights = WEIGHTS["q8_0"]
    if isinstance(base, EmbeddedSource | GgufSource):
        stored = read_header(gguf_file(base, no_progress)).values.get("general.file_type")
        weights = stored if isinstance(stored, int) and stored in KNOWN_WEIGHTS else weights
    path = folder / GGUF
    write_quantized(folder, name, weights, path)
    check_words(folder, name, path)
    (folder / "Modelfile").write_text(modelfile(words, GGUF), encoding="utf-8")
    found = [torch.from_numpy(each).log_softmax(-1) for each in logits_of(path, rows)]
    # After the first token of a text the library is off.
    return _divergence([each[1:] for each in apart], [each[1:] for each in found])


def _untie(adapted: Any) -> None:  # noqa: ANN401  # PEFT's model has no useful type
    """Give the output layer weights of its own, where an adapter changes it or the embedding it shares."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from torch.nn import Parameter

    layers = adapted.get_output_embeddings(), adapted.get_input_embeddings()
    if any(isinstance(layer, BaseTunerLayer) for layer in layers):
        head, embedding = (getattr(layer, "base_layer", layer) for layer in layers)
        if head.weight is embedding.weight:
            head.weight = Parameter(head.weight.detach().clone(), requires_grad=False)


def _distributions(model: Any, rows: list[list[int]]) -> list[torch.Tensor]:  # noqa: ANN401
    """Log-probabilities of the next token after each token, one tensor (tokens, vocabulary) a row."""
    import torch

    with torch.inference_mode():
        return [model(input_ids=torch.tensor([row])).logits[0].double().log_softmax(-1) for row in rows]


def _divergence(ones: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    """Mean divergence of others from ones, in nats a token."""
    import torch

    apart = [(one.exp() * (one - other)).sum(-1) for one, other in zip(ones, others, strict=True)]
    return float(torch.cat(apart).mean())


def _demand(divergence: float, most: float, change: float, adapter: str) -> None:
    """See that what was merged is what base and adapter were, and that the adapter is still in it."""
    most = min(most, max(SHARE * change, NOISE))
    if not divergence <= most:  # not a number is refused too
        raise UnusableAdapterError(
            f"{adapter} does not agree with what became of it when it was merged: they are "
            f"{divergence:.2g} nats a token apart, and {most:.2g} is the most, since the adapter itself "
            f"changes {change:.2g}; nothing was written, and the adapter can be run as it is."
        )


def _card(source: AdapterSource, adapter: str) -> str:
    return (
        "---\nlibrary_name: transformers\ntags: [monopolylogue]\n---\n\n"
        f"# {source.base.id} with an adapter merged in\n\nMade of the adapter `{Path(adapter).name}` by "
        "`monopolylogue merge`; the adapter's card says what it was trained on.\n"
    )


def modelfile(words: PreTrainedTokenizerBase, file: str) -> str:
    """A Modelfile for a GGUF file beside it.

    Ollama knows the templates of the usual families by that in the file. Where every turn is told in the same
    way, as in ChatML, it is written out besides, with the system message that the model's own would add.
    """
    lines = [f"FROM ./{file}"]
    turns = [("system", _SYSTEM), ("user", _FIRST), ("assistant", _REPLY), ("user", _SECOND)]
    found = _SHAPE.fullmatch(_rendered(words, turns))
    if found is not None:
        begin = found["begin"].removeprefix(str(words.bos_token)) if words.bos_token else found["begin"]
        turn = f"{{{{ .Role }}}}{found['name']}{{{{ .Content }}}}{found['end']}"
        template = f"{begin}{{{{ range .Messages }}}}{turn}{{{{ end }}}}assistant{found['name']}"
        lines.append(f'TEMPLATE """{template}"""')
        alone = _rendered(words, [("user", _FIRST)]).partition(f"{found['end']}user{found['name']}{_FIRST}")
        if alone[1] and alone[0].startswith(start := f"{found['begin']}system{found['name']}"):
            lines.append(f'SYSTEM """{alone[0].removeprefix(start)}"""')
    return "\n".join(lines) + "\n"


def _rendered(words: PreTrainedTokenizerBase, turns: list[tuple[str, str]]) -> str:
    """The prompt of a conversation; empty where the template refuses it."""
    chat = [{"role": role, "content": content} for role, content in turns]
    try:
        return str(words.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    except TemplateError:
        return ""
