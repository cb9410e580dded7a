"""An engine that finds every character of a reply equally likely."""

from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine


class Scoring(ScriptedEngine):
    def __init__(self, each: float, scored: list[str], **options) -> None:
        super().__init__([], **options)
        self._each, self._scored = each, scored

    async def generate(self, request: GenerationRequest) -> Completion:
        assert request.weigh
        (reply,) = request.choices
        self._scored.append(reply)
        return Completion(
            text=reply,
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=len(reply) - 1,
            likelihoods=(self._each * len(reply),),
        )
