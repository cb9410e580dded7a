"""Messages to prompt tokens, by the model's own chat template."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from inference.control_tokens import SEAM, seamed, turn_marks
from inference.end_tokens import TEMPLATE_ERRORS
from inference.engine import ChatMessage, ChatRole
from scene.errors import InputError, ModelLoadError
from scene.thought import closing, without_last_thought

_REPLY = "reply-probe"

_PROBE = "turn-probe"
_TURNS: tuple[ChatRole, ...] = ("user", "assistant", "user")


class ChatPrompts:
    """Renders chats for one tokenizer.

    A reply begins after all that the template writes before one, also when there is one already: a thought
    that is switched off is an empty one, one that the template opens is closed, and of several channels the
    answer's is open. Nothing of it is left for a model to write, or to learn.

    Whether the template knows a system role is found out once, here: some templates raise on it and some
    drop it without a word. For those the system message opens the first user message instead.

    The control tokens of a prompt are the template's. One that is spelled in a message has a seam inside,
    where the text is cut before it becomes tokens: the model reads its letters. What the template writes
    around turns in plain letters is parted by a blank there.

    Raises:
        ModelLoadError: The tokenizer has no chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        if not tokenizer.chat_template:
            raise ModelLoadError(f"{name} has no chat template; choose an instruction-tuned model.")
        self._tokenizer = tokenizer
        self._control_tokens: frozenset[str] = frozenset()
        self._marks: frozenset[str] = frozenset()
        self._in_parts = False
        if not self._takes_text():
            self._in_parts = True
            if not self._takes_text():
                raise ModelLoadError(
                    f"{name} has a chat template that leaves out what is said; give it another."
                )
        self._folds_system = self._drops_system()
        written = self._around()
        self._control_tokens = _control_tokens(tokenizer, "".join(written))
        self._marks = turn_marks(written, self._control_tokens)
        self._lead = self._found_lead()

    def token_ids(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Prompt tokens up to where the reply begins.

        Raises:
            InputError: The template refuses the order of the messages.
        """
        return self.ids(self._opened(self._prompt(messages)))

    def thinking(self, messages: Sequence[ChatMessage]) -> tuple[list[int], str]:
        """Prompt tokens up to where a reply with a thought begins, and what of the thought is in the prompt.

        Raises:
            InputError: The template refuses the order of the messages.
        """
        prompt = self._prompt(messages, think=True)
        begun = prompt[len(without_last_thought(prompt)) :]
        return self.ids(prompt), begun if closing(begun) else ""

    def exchange(self, messages: Sequence[ChatMessage], reply: str) -> tuple[str, str]:
        """A prompt as text, and what the template makes of a reply to it: the reply and what ends it.

        Both are for `ids`: they may have seams.

        Raises:
            InputError: The template refuses the messages, or the prompt is another one once there is a reply.
        """
        prompt = self._prompt(messages)
        whole = self._prompt([*messages, ChatMessage("assistant", reply)], replied=True)
        begun = without_last_thought(prompt)
        if not whole.startswith(begun):
            raise InputError(
                "The model's chat template writes a prompt otherwise once it has a reply, so that the two "
                "can't be told apart; give the model another template."
            )
        return self._opened(prompt), whole[len(begun) :].removeprefix(self._lead)

    def seamed(self, text: str) -> str:
        """What somebody wrote, with a seam in every control token that it spells."""
        return seamed(text, self._control_tokens, self._marks)

    def ids(self, text: str) -> list[int]:
        """Tokens of a text that was cut to pieces at its seams."""
        # The template writes the begin token itself where the model wants one.
        pieces = self._tokenizer(text.split(SEAM), add_special_tokens=False)["input_ids"]
        return list(chain.from_iterable(pieces))

    def _found_lead(self) -> str:
        """What the template writes before a reply, beside what it writes where one is to begin.

        Empty for blanks alone: tokenizers take one together with the word that follows.
        """
        asked = [ChatMessage("user", "Well?")]
        try:
            begun = without_last_thought(self._render(asked))
            whole = self._render([*asked, ChatMessage("assistant", _REPLY)], replied=True)
        except TemplateError:
            return ""
        lead, found, _ = whole.removeprefix(begun).partition(_REPLY)
        return lead if found and whole.startswith(begun) and lead.strip() else ""

    def _opened(self, prompt: str) -> str:
        """A prompt up to where an answer begins: after all that comes before one, a thought ended."""
        begun = without_last_thought(prompt)
        return f"{begun}{self._lead}" if self._lead else prompt + closing(prompt[len(begun) :])

    def _prompt(self, messages: Sequence[ChatMessage], *, replied: bool = False, think: bool = False) -> str:
        """The chat as text, its system message where the template takes one."""
        if self._folds_system:
            messages = _folded(messages)
        try:
            return self._render(messages, replied=replied, think=think)
        except TemplateError as error:
            raise InputError(f"The model's chat template refuses these messages: {error}.") from error

    def _render(self, messages: Sequence[ChatMessage], *, replied: bool = False, think: bool = False) -> str:
        """The chat as text, up to where the next reply begins unless the last message is one."""
        chat: list[Any] = [{"role": one.role, "content": self._content(one)} for one in messages]
        try:
            written = self._tokenizer.apply_chat_template(
                chat,
                tokenize=False,
                add_generation_prompt=not replied,
                enable_thinking=think,  # Qwen and most others
                thinking=think,  # DeepSeek, Granite
                thinking_budget=-1 if think else 0,  # Seed
            )
        except TEMPLATE_ERRORS as error:
            raise TemplateError(str(error)) from error
        return str(written)

    def _content(self, message: ChatMessage) -> object:
        """What a message says, as the template wants it."""
        said = self.seamed(message.content)
        return [{"type": "text", "text": said}] if self._in_parts else said

    def _takes_text(self) -> bool:
        """Whether the template writes what is said; some know contents in parts alone, and skip a text."""
        try:
            return _PROBE in self._render([ChatMessage("user", _PROBE)])
        except TemplateError:  # whoever asks will hear of it
            return True

    def _drops_system(self) -> bool:
        """Whether the template has no place for a system message: some raise on it, some drop it silently."""
        try:
            return _PROBE not in self._render([ChatMessage("system", _PROBE), ChatMessage("user", "Hello.")])
        except TemplateError:
            return True

    def _around(self) -> list[str]:
        """What the template writes around what was said: before, between and after some turns."""
        chat = [ChatMessage("system", _PROBE), *(ChatMessage(role, _PROBE) for role in _TURNS)]
        for messages in (_folded(chat) if self._folds_system else chat, chat[1:2]):
            with suppress(TemplateError):
                return self._render(messages).split(_PROBE)
        return []


def _folded(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same chat with what the system says put before what the first user message says."""
    system = [message.content for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    first = next(index for index, message in enumerate(rest) if message.role == "user")
    rest[first] = ChatMessage("user", "\n\n".join([*system, rest[first].content]))
    return rest


def _control_tokens(tokenizer: PreTrainedTokenizerBase, written: str) -> frozenset[str]:
    """Tokens that are special, or that the template has or writes.

    Other added tokens are vocabulary: some tokenizers have runs of blanks there, some HTML.
    """
    writes = f"{tokenizer.chat_template}{written}"
    added = tokenizer.added_tokens_decoder.values()
    found = {token.content for token in added if token.special or token.content in writes}
    return frozenset(found.union(tokenizer.all_special_tokens))
