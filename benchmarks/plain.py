"""What an engine is measured against: `generate` of transformers, without anything of ours around it."""

import asyncio

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from inference.engine import Completion, GenerationRequest
from inference.models.local import transformers_folder
from inference.models.sources import resolve
from inference.transformers_engine.pretrained import load_pretrained
from scene.nouns import ModelIdentity


class PlainGenerate:
    """Answers one request at a time, as a script that calls `model.generate` does.

    Decoding is free, since `generate` has no constraints; the cap is the request's own.
    """

    constrains = True  # not in truth; so that it is sent the same prompts
    requests_at_once = 1

    def __init__(self, model: str, dtype: str = "auto") -> None:
        loaded = load_pretrained(transformers_folder(resolve(model)), name=model, dtype=dtype)
        self.identity = ModelIdentity(id=model, revision=None, engine="generate")
        self._model: PreTrainedModel = loaded.model
        self._tokenizer: PreTrainedTokenizerBase = loaded.tokenizer
        self._tokenizer.padding_side = "left"
        self._one_at_a_time = asyncio.Lock()

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request, once those before it are done."""
        async with self._one_at_a_time:
            return (await asyncio.to_thread(self.batch, [request]))[0]

    @torch.inference_mode()
    def batch(self, requests: list[GenerationRequest]) -> list[Completion]:
        """Answer requests with one cap in one padded batch."""
        prompts = [
            str(
                self._tokenizer.apply_chat_template(
                    [{"role": message.role, "content": message.content} for message in request.messages],
                    tokenize=False,
                    add_generation_prompt=True,
                )
            )
            for request in requests
        ]
        inputs = self._tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        cap = requests[0].max_tokens
        inputs = inputs.to(self._model.device)
        output = self._model.generate(**inputs, max_new_tokens=cap, do_sample=False)  # type: ignore[operator]
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        replies = output[:, inputs["input_ids"].shape[1] :]
        return [self._completion(reply, length) for reply, length in zip(replies, lengths, strict=True)]

    def _completion(self, reply: torch.Tensor, prompt_tokens: int) -> Completion:
        ends = (reply == self._tokenizer.eos_token_id).nonzero()
        length = int(ends[0]) + 1 if len(ends) else len(reply)
        return Completion(
            text=str(self._tokenizer.decode(reply[:length], skip_special_tokens=True)),
            finish_reason="stop" if len(ends) else "length",
            prompt_tokens=prompt_tokens,
            completion_tokens=length,
        )

    def close(self) -> None:
        """Nothing runs in between."""
