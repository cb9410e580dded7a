"""Messages to prompt tokens, by the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from inference.engine import ChatMessage
from inference.system_role import fold_system, folds_system
from scene.errors import InputError, ModelLoadError


class ChatPrompts:
    """Renders chats for one tokenizer.

    Whether the template knows a system role is found out once, here: some templates raise on it and some
    drop it without a word. For those the system message opens the first user message instead.

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
        self._folds_system = folds_system(self._render, TemplateError)

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
        # The template writes the begin token itself where the model wants one.
        ids: list[int] = self._tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return ids

    def exchange(self, messages: Sequence[ChatMessage], reply: str) -> tuple[str, str]:
        """A prompt as text, and what the template makes of a reply to it: the reply and what ends it.

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

    def _render(self, messages: Sequence[ChatMessage], *, replied: bool = False) -> str:
        """The chat as text, up to where the next reply begins unless the last message is one."""
        chat = [{"role": message.role, "content": message.content} for message in messages]
        opens = not replied
        return str(self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=opens))
