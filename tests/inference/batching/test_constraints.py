"""Grammars from schemas, choices and patterns, and the tokens they allow."""

import json

import pytest
import torch
import xgrammar
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.batching.constraints import GrammarCache, choice_grammar, mask_logits
from scene.errors import InputError
from tests.inference.tiny_llama import ask, tokenizer

VOCABULARY = 480
"""More logits than the tokenizer has tokens, as with models that pad theirs."""


@pytest.fixture(scope="module")
def words():
    return tokenizer()


@pytest.fixture(scope="module")
def grammars(words):
    return GrammarCache(words, VOCABULARY, {words.eos_token_id})


def allowed(constraint):
    """Ids of the tokens that may follow."""
    logits = torch.zeros(1, VOCABULARY)
    mask_logits(logits, [constraint])
    return {token for token in range(VOCABULARY) if logits[0, token] == 0}


def follow(constraint, words, text):
    for token in words(text, add_special_tokens=False)["input_ids"]:
        assert token in allowed(constraint)
        constraint.accept(token)


def accepts(grammar, text):
    matcher = xgrammar.GrammarMatcher(grammar)
    return (not text or matcher.accept_string(text)) and matcher.is_completed()


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5), TEXTS)
def test_a_choice_grammar_takes_the_choices_and_nothing_else(choices, other):
    words = TOKENS.setdefault("words", tokenizer())
    compiler = TOKENS.setdefault(
        "compiler", xgrammar.GrammarCompiler(xgrammar.TokenizerInfo.from_huggingface(words), max_threads=1)
    )
    grammar = compiler.compile_grammar(choice_grammar(choices))
    assert all(accepts(grammar, choice) for choice in choices)
    assert accepts(grammar, other) == (other in choices)


TOKENS = {}


@pytest.mark.parametrize(
    "choice", ['"', "\\", '" | "x', "root ::= x", "a\nb", "[a-z]*", "\\n", "☃ {}", "é'`"]
)
def test_nothing_in_a_choice_is_read_as_syntax(grammars, words, choice):
    constraint = grammars.constraint(ask("?", choices=(choice, "zzz")))
    follow(constraint, words, choice)
    assert constraint.finished


def test_no_constraint_without_one(grammars):
    assert grammars.constraint(ask("?")) is None


def test_the_end_token_is_allowed_only_where_the_text_is_complete(grammars, words):
    constraint = grammars.constraint(ask("?", choices=("Al", "Alice")))
    assert words.eos_token_id not in allowed(constraint)
    assert not constraint.finished
    follow(constraint, words, "Al")
    assert words.eos_token_id in allowed(constraint)
    assert not constraint.finished
    assert constraint.only_choice("Al") is None
    assert constraint.only_choice("Ali") == "Alice"
    follow(constraint, words, "ice")
    assert constraint.finished


def test_tokens_beyond_the_tokenizer_are_never_allowed(grammars, words):
    constraint = grammars.constraint(ask("?", pattern=".*"))
    assert max(allowed(constraint)) < len(words)


def test_special_tokens_never_stand_for_their_spelling(grammars, words):
    start = words.convert_tokens_to_ids("<|im_start|>")
    constraint = grammars.constraint(ask("?", pattern=r".*"))
    assert words.convert_tokens_to_ids("<") in allowed(constraint)
    assert start not in allowed(constraint)
    assert words.pad_token_id not in allowed(constraint)
    string = grammars.constraint(ask("?", schema={"type": "string"}))
    follow(string, words, '"a')
    assert start not in allowed(string)
    assert words.eos_token_id not in allowed(string)


def test_a_schema_allows_no_free_white_space(grammars, words):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    constraint = grammars.constraint(ask("?", schema=schema))
    starts = {words.decode([token]) for token in allowed(constraint)}
    assert starts == {start for start in starts if start.startswith("{")}
    follow(constraint, words, "{")
    assert words.convert_tokens_to_ids("Ċ") not in allowed(constraint)
    follow(constraint, words, '"a": 1}')
    assert constraint.finished


def test_a_schema_may_be_any_mapping(grammars, words):
    from types import MappingProxyType

    schema = MappingProxyType(
        {"type": "object", "properties": MappingProxyType({"a": {"const": 1}}), "required": ["a"]}
    )
    constraint = grammars.constraint(ask("?", schema=schema))
    follow(constraint, words, json.dumps({"a": 1}))
    assert constraint.finished


def test_rows_share_a_grammar_but_not_their_place_in_it(grammars, words):
    first = grammars.constraint(ask("?", pattern="[a-z]{3} [0-9]{2}"))
    kept = grammars._compiler.get_cache_size_bytes()
    second = grammars.constraint(ask("other", pattern="[a-z]{3} [0-9]{2}"))
    assert grammars._compiler.get_cache_size_bytes() == kept
    follow(first, words, "abc ")
    assert words.convert_tokens_to_ids("1") in allowed(first)
    assert words.convert_tokens_to_ids("1") not in allowed(second)


def test_restarting_goes_back_to_the_beginning(grammars, words):
    constraint = grammars.constraint(ask("?", pattern="[a-z][0-9]"))
    before = allowed(constraint)
    follow(constraint, words, "a1")
    assert constraint.finished
    constraint.restart()
    assert not constraint.finished
    assert allowed(constraint) == before


def test_looking_at_a_token_does_not_follow_it(grammars, words):
    constraint = grammars.constraint(ask("?", pattern="[a-z][0-9]"))
    letter, digit = words.convert_tokens_to_ids(["a", "1"])
    assert [constraint.takes(token) for token in (letter, digit, letter)] == [True, False, True]
    constraint.accept(letter)
    assert [constraint.takes(token) for token in (letter, digit)] == [False, True]


def test_looking_at_tokens_tells_the_same_as_the_mask(grammars, words):
    for pattern in (".*", "[a-z]{2}", "Al(ice)?"):
        constraint = grammars.constraint(ask("?", pattern=pattern))
        for text in ("", "A", "l"):
            if text and not set(words(text)["input_ids"]) <= allowed(constraint):
                continue
            follow(constraint, words, text)
            looked = {token for token in range(len(words)) if constraint.takes(token)}
            assert looked == allowed(constraint)


def test_only_the_constrained_rows_are_masked(grammars):
    logits = torch.zeros(3, VOCABULARY)
    constraint = grammars.constraint(ask("?", pattern="[0-9]"))
    mask_logits(logits, [None, constraint, None])
    assert logits[0].isfinite().all()
    assert logits[2].isfinite().all()
    assert 0 < logits[1].isfinite().sum() < 20


def test_a_token_that_breaks_the_grammar_is_an_error(grammars, words):
    constraint = grammars.constraint(ask("?", pattern="[0-9]"))
    with pytest.raises(RuntimeError, match="breaks"):
        constraint.accept(words.convert_tokens_to_ids("a"))


@pytest.mark.parametrize(
    "shape",
    [
        {"pattern": "(a"},
        {"pattern": "a(?=b)"},
        {"schema": {"type": "nonsense"}},
        {"schema": {"$ref": "#/none"}},
    ],
)
def test_a_refusal_is_one_sentence(grammars, shape):
    with pytest.raises(InputError, match=r"^The reply's shape can't be enforced: (?!.*cpp)[^\n]+\.$"):
        grammars.constraint(ask("?", **shape))


def test_a_shape_that_the_vocabulary_can_not_spell_is_refused():
    digits = tokenizer()
    vocabulary = 300
    none = GrammarCache(digits, vocabulary, {digits.eos_token_id})
    none._forbidden = torch.full_like(none._forbidden, -1)
    with pytest.raises(InputError, match="vocabulary"):
        none.constraint(ask("?", pattern="[0-9]"))
