"""An engine that finds every character of a reply equally likely."""

from inference.engine import Completion, GenerationRequest
from inference.scripted import ScriptedEngine


class Scoring(ScriptedEngine):
    def __init__(self, each: float, scored: list[str], replies=(), **options) -> None:
        super().__init__(replies, **options)
        self._each, self._scored = each, scored

    async def generate(self, request: GenerationRequest) -> Completion:
        if not request.weigh or len(request.choices) != 1:
            return await super().generate(request)
        (reply,) = request.choices
        self._scored.append(reply)
        return Completion(
            text=reply,
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=len(reply) - 1,
            likelihoods=(self._each * len(reply),),
        )
