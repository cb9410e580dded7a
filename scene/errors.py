"""Everything that can go wrong, one small class per cause.

`MonopolylogueError` is the root. `InputError` and its children are mistakes a user can mend: the
command line prints their one sentence and exits with code 2. The others end a scene by name.
"""

from functools import partial


class MonopolylogueError(Exception):
    """Root of every error this project raises on purpose."""


class InputError(MonopolylogueError):
    """Something the user gave can't be used. The message is one sentence that says what to do."""


class ModelNotFoundError(InputError):
    """No model is known by the given name, and no file or folder has it."""


class ModelLoadError(InputError):
    """The model exists but can't be used: damaged, no chat template, wrong format, no room."""


class PromptTooLongError(InputError):
    """A prompt and its reply would not fit the model's context window. Raised before anything is computed.

    Attributes:
        prompt_tokens: Length of the prompt in tokens; None where the server that counted does not say.
        context_tokens: Size of the model's context window in tokens, or None.
        node: Graph node that asked; None as long as only the engine has seen it.
        turn: Turn of the scene, counted from 1, or None outside the turns.
    """

    def __init__(
        self,
        prompt_tokens: int | None,
        max_tokens: int,
        context_tokens: int | None,
        *,
        node: str | None = None,
        role: str | None = None,
        turn: int | None = None,
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_tokens = context_tokens
        self.node, self.role, self.turn = node, role, turn
        prompt = "A prompt" if prompt_tokens is None else f"A prompt of {prompt_tokens} tokens"
        window = "context window" if context_tokens is None else f"{context_tokens}-token context window"
        self.reason = (
            f"{prompt} and a reply of up to {max_tokens} tokens do not fit the model's {window}; "
            "shorten the question or choose another model."
        )
        super().__init__(self.reason if node is None else f"{place(node, role, turn)}: {self.reason}")

    def asked_by(self, node: str, role: str | None, turn: int | None) -> "PromptTooLongError":
        """The same error, with the name of the call."""
        return PromptTooLongError(
            self.prompt_tokens, self.max_tokens, self.context_tokens, node=node, role=role, turn=turn
        )

    def __reduce__(self) -> tuple[object, ...]:
        """What it is made from: pickle would hand the sentence alone to the constructor."""
        make = partial(PromptTooLongError, node=self.node, role=self.role, turn=self.turn)
        return make, (self.prompt_tokens, self.max_tokens, self.context_tokens)


class ExportError(InputError):
    """A folder can't be exported to, or read as an export."""


class EngineError(MonopolylogueError):
    """The inference engine failed or was closed while a request was under way."""


class EngineGoneError(EngineError):
    """The engine no longer answers anything, so there is no point in asking it more."""


class TooManyFailuresError(MonopolylogueError):
    """As many scenes of a batch failed as were allowed to."""


class UnusableAdapterError(MonopolylogueError):
    """A training came to its end, and what was trained does not answer as a model should."""


class ScriptExhaustedError(MonopolylogueError):
    """A scripted model was asked for more replies than it was given."""


class RecordError(MonopolylogueError):
    """A scene record does not have the shape this version writes."""


class ReplyError(MonopolylogueError):
    """A model's reply could not be used after every retry."""

    def __init__(self, node: str, role: str | None, turn: int | None, reason: str) -> None:
        self.node, self.role, self.turn, self.reason = node, role, turn, reason
        super().__init__(f"{place(node, role, turn)}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        """What it is made from: pickle would hand the sentence alone to the constructor."""
        return ReplyError, (self.node, self.role, self.turn, self.reason)


def reason(error: BaseException) -> str:
    """What an error of a library says, in a line without its stop; its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")


def place(node: str, role: str | None, turn: int | None) -> str:
    """Which call of a scene it was, in words."""
    where = [node]
    if role is not None:
        where.append(f"role {role}")
    if turn is not None:
        where.append(f"turn {turn}")
    return ", ".join(where)
