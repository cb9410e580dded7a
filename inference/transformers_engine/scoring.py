"""How likely a model finds a reply that already exists: log-likelihoods, many replies at once."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.batching.chat_prompt import ChatPrompts
from inference.engine import ChatMessage
from inference.models.local import Progress, no_progress, transformers_folder
from inference.models.sources import AdapterSource, resolve
from inference.transformers_engine.pretrained import load_pretrained
from scene.errors import InputError

BATCH_TOKENS = 2048
"""Tokens of a batch, padding included. Logits of that many are a gigabyte with a vocabulary of 150,000."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A chat prompt and a reply to it."""

    messages: tuple[ChatMessage, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class Score:
    """Log-likelihood of a reply given its prompt, in nats over all its tokens; its end token is not one."""

    log_likelihood: float
    tokens: int


class Scorer:
    """Scores with one loaded model."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context_tokens: int, name: str
    ) -> None:
        self._model = model
        self._prompts = ChatPrompts(tokenizer, name)
        self._context_tokens = context_tokens
        self._name = name
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    def score(self, exchanges: Sequence[Exchange]) -> list[Score | None]:
        """A score for each exchange, in their order; None where it is longer than the context window.

        Raises:
            InputError: A reply has no tokens, or runs into its prompt.
        """
        encoded = [self._encode(exchange) for exchange in exchanges]
        scores: list[Score | None] = [None] * len(exchanges)
        for batch in _batches(encoded, self._context_tokens):
            for place, score in zip(batch, self._forward([encoded[place] for place in batch]), strict=True):
                scores[place] = score
        return scores

    def _encode(self, exchange: Exchange) -> tuple[list[int], list[int]]:
        """Tokens of prompt and reply."""
        prompt, _ = self._prompts.exchange(exchange.messages, exchange.reply)
        prompt_ids = self._prompts.ids(prompt)
        ids = self._prompts.ids(prompt + self._prompts.seamed(exchange.reply))
        if len(ids) == len(prompt_ids):
            raise InputError("A reply to be scored is empty; give every row a text.")
        if ids[: len(prompt_ids)] != prompt_ids:
            raise InputError(
                f"The chat template of {self._name} lets prompt and reply run into each other, so that the "
                "reply can't be scored; give the model another template."
            )
        return prompt_ids, ids[len(prompt_ids) :]

    @torch.inference_mode()
    def _forward(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[Score]:
        width = max(len(prompt) + len(reply) for prompt, reply in rows)
        longest = max(len(reply) for _, reply in rows)
        tokens = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for place, (prompt, reply) in enumerate(rows):
            ids = prompt + reply
            tokens[place, width - len(ids) :] = torch.tensor(ids)
            mask[place, width - len(ids) :] = 1
        device = self._model.device
        logits = self._model(
            input_ids=tokens.to(device),
            attention_mask=mask.to(device),
            position_ids=(mask.cumsum(dim=-1) - 1).clamp(min=0).to(device),
            use_cache=False,
            # As an index, for the reason that `inference.transformers_engine.forward` has.
            **({"logits_to_keep": torch.arange(-longest - 1, 0, device=device)} if self._keeps else {}),
        ).logits
        scores = []
        for place, (_, reply) in enumerate(rows):
            predicting = logits[place, -len(reply) - 1 : -1].float()
            targets = torch.tensor(reply, device=device)
            loss = torch.nn.functional.cross_entropy(predicting, targets, reduction="sum")
            scores.append(Score(-loss.item(), len(reply)))
        return scores


def load_scorer(
    model: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    on_progress: Progress = no_progress,
) -> Scorer:
    """Load a model or adapter with transformers, whichever engine runs it; see `load_engine`.

    Raises:
        InputError: It can't be found, or transformers can't load it.
    """
    source = resolve(model)
    folder = transformers_folder(source, on_progress)
    adapter = source.path if isinstance(source, AdapterSource) else None
    loaded = load_pretrained(folder, name=source.id, adapter=adapter, dtype=dtype, device=device)
    pipeline = loaded.pipeline.pipeline
    return Scorer(pipeline.model, pipeline.tokenizer, loaded.context_tokens, source.id)


def _batches(encoded: Sequence[tuple[list[int], list[int]]], longest: int) -> Iterator[list[int]]:
    """Places of rows of about one length, longest first, so that memory runs out at once or never."""
    lengths = {place: len(prompt) + len(reply) for place, (prompt, reply) in enumerate(encoded)}
    fitting = [place for place, length in lengths.items() if length <= longest]
    batch: list[int] = []
    for place in sorted(fitting, key=lambda place: -lengths[place]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
