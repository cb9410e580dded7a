"""Messages to prompt tokens, by the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from inference.control_tokens import SEAM, seamed, turn_marks
from inference.engine import ChatMessage, ChatRole
from inference.system_role import fold_system, folds_system
from scene.errors import InputError, ModelLoadError

_PROBE = "turn-probe"
_TURNS: tuple[ChatRole, ...] = ("user", "assistant", "user")


class ChatPrompts:
    """Renders chats for one tokenizer.

    Whether the template knows a system role is found out once, here: some templates raise on it and some
    drop it without a word. For those the system message opens the first user message instead.

    The control tokens of a prompt are the template's. One that is spelled in a message has a seam inside,
    where the text is cut before it becomes tokens: the model reads its letters. What the template writes
    around turns in plain letters is parted by a blank there.

    Args:
        tokenizer: The model's tokenizer.
        name: The model's name, for the error.

    Raises:
        ModelLoadError: The tokenizer has no chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        """Probe the template."""
        if not tokenizer.chat_template:
            raise ModelLoadError(f"{name} has no chat template; choose an instruction-tuned model.")
        self._tokenizer = tokenizer
        self._control_tokens: frozenset[str] = frozenset()
        self._marks: frozenset[str] = frozenset()
        self._folds_system = folds_system(self._render, TemplateError)
        written = self._around()
        self._control_tokens = _control_tokens(tokenizer, "".join(written))
        self._marks = turn_marks(written, self._control_tokens)

    def token_ids(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Prompt tokens up to where the reply begins.

        Raises:
            InputError: The template refuses the order of the messages.
        """
        if self._folds_system:
            messages = fold_system(messages)
        try:
            prompt = self._render(messages)
        except TemplateError as error:
            raise InputError(f"The model's chat template refuses these messages: {error}.") from error
        return self.ids(prompt)

    def exchange(self, messages: Sequence[ChatMessage], reply: str) -> tuple[str, str]:
        """A prompt as text, and what the template makes of a reply to it: the reply and what ends it.

        Both are for `ids`: they may have seams.

        Raises:
            InputError: The template refuses the messages, or the prompt is another one once there is a reply.
        """
        if self._folds_system:
            messages = fold_system(messages)
        try:
            prompt = self._render(messages)
            whole = self._render([*messages, ChatMessage("assistant", reply)], replied=True)
        except TemplateError as error:
            raise InputError(f"The model's chat template refuses these messages: {error}.") from error
        if not whole.startswith(prompt):
            raise InputError(
                "The model's chat template writes a prompt otherwise once it has a reply, so that the two "
                "can't be told apart; give the model another template."
            )
        return prompt, whole[len(prompt) :]

    def seamed(self, text: str) -> str:
        """What somebody wrote, with a seam in every control token that it spells."""
        return seamed(text, self._control_tokens, self._marks)

    def ids(self, text: str) -> list[int]:
        """Tokens of a text that was cut to pieces at its seams."""
        # The template writes the begin token itself where the model wants one.
        pieces = self._tokenizer(text.split(SEAM), add_special_tokens=False)["input_ids"]
        return list(chain.from_iterable(pieces))

    def _render(self, messages: Sequence[ChatMessage], *, replied: bool = False) -> str:
        """The chat as text, up to where the next reply begins unless the last message is one."""
        chat = [{"role": message.role, "content": self.seamed(message.content)} for message in messages]
        opens = not replied
        return str(self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=opens))

    def _around(self) -> list[str]:
        """What the template writes around what was said: before, between and after some turns."""
        chat = [ChatMessage("system", _PROBE), *(ChatMessage(role, _PROBE) for role in _TURNS)]
        for messages in (fold_system(chat) if self._folds_system else chat, chat[1:2]):
            with suppress(TemplateError):
                return self._render(messages).split(_PROBE)
        return []


def _control_tokens(tokenizer: PreTrainedTokenizerBase, written: str) -> frozenset[str]:
    """Tokens that are special, or that the template has or writes.

    Other added tokens are vocabulary: some tokenizers have runs of blanks there, some HTML.
    """
    writes = f"{tokenizer.chat_template}{written}"
    added = tokenizer.added_tokens_decoder.values()
    found = {token.content for token in added if token.special or token.content in writes}
    return frozenset(found.union(tokenizer.all_special_tokens))
