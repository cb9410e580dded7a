"""Constrained decoding: which tokens a row may take next, by schema, choices or pattern.

A grammar is compiled once for each distinct schema, list of choices or pattern, since the same few
occur thousands of times in an export and compiling one can take a second; xgrammar keeps them, and shares
what several have in common. Each row then follows its grammar with a matcher of its own.
"""

import json
import re
from collections.abc import Collection, Sequence

import numpy as np
import torch
import xgrammar
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from inference.engine import GenerationRequest
from scene.errors import InputError, reason

COMPILED_BYTES = 256 * 2**20
"""Room for compiled grammars. Choices may name a scene's cast; an export would otherwise gather thousands."""

_WHERE_IN_XGRAMMAR = re.compile(r"^\[[^]]*\] \S+: ")
"""Time and source line, with which xgrammar begins its messages."""


class Constraint:
    """The way of one row through a grammar.

    Which tokens may follow is computed only where it is asked for: a pattern with a long tail can take a
    tenth of a second for that, and a token that the row wants is looked at in no time.

    Args:
        grammar: Compiled grammar.
        forbidden: int32 bit mask, (ceil(vocabulary / 32),): special tokens, which would vanish from the text.
        ends: The same with the bits of the end tokens.
        choices: The possible texts where the grammar is a list of them, else empty.
    """

    def __init__(
        self, grammar: xgrammar.CompiledGrammar, forbidden: Tensor, ends: Tensor, choices: tuple[str, ...]
    ) -> None:
        self._matcher = xgrammar.GrammarMatcher(grammar)
        self._forbidden = forbidden
        self._ends = ends
        self._choices = tuple(dict.fromkeys(choices))
        self._allowed: Tensor | None = None

    def restart(self) -> None:
        """Go back to the grammar's beginning."""
        self._matcher.reset()
        self._allowed = None

    def takes(self, token: int) -> bool:
        """Whether a token may follow; leaves the way where it is."""
        if self._forbidden[token // 32] >> token % 32 & 1 or not self._matcher.accept_token(token):
            return False
        self._matcher.rollback(1)
        return True

    def accept(self, token: int) -> None:
        """Follow the grammar by a token.

        Raises:
            RuntimeError: The token isn't allowed here, which means that it was not masked.
        """
        if not self._matcher.accept_token(token):
            raise RuntimeError(f"token {token} breaks the row's grammar")
        self._allowed = None

    @property
    def allowed(self) -> Tensor:
        """Bit mask of the tokens that may follow, int32, (ceil(vocabulary / 32),)."""
        if self._allowed is None:
            self._allowed = torch.empty_like(self._ends)
            if not self._matcher.fill_next_token_bitmask(self._allowed[None]):
                self._allowed.fill_(-1)
            self._allowed &= ~self._forbidden
        return self._allowed

    @property
    def finished(self) -> bool:
        """Whether nothing but an end token can follow, so that no forward pass needs to ask for it."""
        if self._matcher.is_terminated():
            return True
        return self._matcher.is_completed() and not bool((self.allowed & ~self._ends).any())

    @property
    def stuck(self) -> bool:
        """Whether no token at all can follow: the vocabulary can't spell what the grammar wants."""
        return not self._matcher.is_terminated() and not bool(self.allowed.any())

    def only_choice(self, text: str) -> str | None:
        """The one choice that begins with the text so far; None while several do, or without choices.

        It spares the forward passes for tokens that are no longer in doubt.
        """
        left = [choice for choice in self._choices if choice.startswith(text)]
        return left[0] if len(left) == 1 else None


class GrammarCache:
    """Compiles constraints for one tokenizer, and keeps them.

    The vocabulary is the number of logits the model gives, which may exceed the tokenizer's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int, end_ids: Collection[int]) -> None:
        """Read the vocabulary once; it takes up to a second."""
        ends = [token for token in sorted(end_ids) if token < vocabulary]
        information = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=ends
        )
        self._compiler = xgrammar.GrammarCompiler(
            information, max_threads=torch.get_num_threads(), cache_limit_bytes=COMPILED_BYTES
        )
        special: set[int] = set(tokenizer.all_special_ids) | {
            token for token, added in tokenizer.added_tokens_decoder.items() if added.special
        }
        # GGUF files fill the vocabulary up with these, as if they were words.
        special |= {token for word, token in tokenizer.get_vocab().items() if word == f"[PAD{token}]"}
        self._forbidden = _bits(special - set(ends), vocabulary)
        self._ends = _bits(ends, vocabulary)

    def constraint(self, request: GenerationRequest) -> Constraint | None:
        """A fresh constraint for a request; None if it has none.

        Raises:
            InputError: xgrammar can't follow the schema or pattern.
        """
        if request.schema is None and not request.choices and request.pattern is None:
            return None
        constraint = Constraint(self._compile(request), self._forbidden, self._ends, request.choices)
        if constraint.stuck:
            raise InputError("No token of the model's vocabulary can begin a reply of the requested shape.")
        return constraint

    def _compile(self, request: GenerationRequest) -> xgrammar.CompiledGrammar:
        """The grammar of the one constraint that the request has."""
        try:
            if request.schema is not None:
                # Free white space would let a small model write line breaks up to its cap.
                return self._compiler.compile_json_schema(
                    json.dumps(request.schema, default=dict), any_whitespace=False
                )
            if request.choices:
                return self._compiler.compile_grammar(choice_grammar(request.choices))
            assert request.pattern is not None
            return self._compiler.compile_regex(request.pattern)
        except (RuntimeError, TypeError) as error:
            said = _WHERE_IN_XGRAMMAR.sub("", reason(error)).strip()
            raise InputError(f"The reply's shape can't be enforced: {said}.") from error


def choice_grammar(choices: Sequence[str]) -> str:
    """A grammar in xgrammar's EBNF whose texts are exactly the choices.

    Everything but ASCII letters, digits and spaces is written as a code point, so nothing in a choice can be
    read as syntax.
    """
    literals = (
        "".join(c if c.isascii() and (c.isalnum() or c == " ") else f"\\U{ord(c):08x}" for c in choice)
        for choice in choices
    )
    return "root ::= " + " | ".join(f'"{literal}"' for literal in literals)


def mask_logits(logits: Tensor, constraints: Sequence[Constraint | None]) -> None:
    """Set the logits, float32, (rows, vocabulary), of tokens that a row may not take to -inf, in place."""
    rows = [row for row, constraint in enumerate(constraints) if constraint is not None]
    if not rows:
        return
    masks = torch.stack([constraint.allowed for constraint in constraints if constraint is not None])
    bits = masks.new_full((logits.shape[0], masks.shape[1]), -1)
    bits[rows] = masks
    xgrammar.apply_token_bitmask_inplace(logits, bits.to(logits.device), indices=rows)


def _bits(tokens: Collection[int], vocabulary: int) -> Tensor:
    """int32 bit mask, (ceil(vocabulary / 32),), with the bits of the tokens set."""
    flags = np.zeros(-(-vocabulary // 32) * 32, dtype=bool)
    flags[[token for token in tokens if token < vocabulary]] = True
    return torch.from_numpy(np.packbits(flags, bitorder="little").view(np.int32))
