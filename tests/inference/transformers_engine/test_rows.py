"""Each row of a batch keeps its own settings and its own shape."""

import asyncio
import json
import re
from collections import Counter
from dataclasses import replace

import torch

from inference.batching import row as row_module
from inference.batching.constraints import GrammarCache, mask_logits
from inference.batching.driver import BatchEngine
from inference.batching.row import Row, extend
from inference.batching.sampling import AVOID_RUN, Runs
from scene.errors import InputError
from tests.inference.tiny_llama import alone, ask, engine, llama, text_of
from tests.inference.transformers_engine.driving import Forwards, gather


def test_a_seed_gives_the_same_text_in_any_company(run):
    request = ask("Tell me a story.", 24, temperature=1.0, top_p=0.9, seed=7)
    company = [ask(f"Other {i}", 30, temperature=1.3, seed=i) for i in range(5)]
    (lone,) = run(request)
    among = run(*company, request)[-1]
    assert among == lone
    (other_seed,) = run(ask("Tell me a story.", 24, temperature=1.0, top_p=0.9, seed=8))
    assert other_seed.text != lone.text


def test_each_row_keeps_its_own_settings(model, words, run):
    greedy, hot, chosen, shaped, capped = run(
        ask("Same", 20),
        ask("Same", 20, temperature=2.0, seed=1),
        ask("Same", 20, choices=("keep", "revise")),
        ask("Same", 20, pattern="[a-c]{5}"),
        ask("Same", 3),
    )
    expected = alone(model, words, ask("Same", 20))
    assert greedy.text == text_of(words, expected)
    assert hot.text != greedy.text
    assert chosen.text in ("keep", "revise")
    assert re.fullmatch("[a-c]{5}", shaped.text)
    assert capped.completion_tokens == 3
    assert capped.text == text_of(words, expected[:3])


def test_any_end_token_ends_a_reply_and_is_counted_but_not_shown(words):
    tokens = alone(llama(len(words)), words, ask("Tell me all.", 30))
    early = tokens[4]
    position = tokens.index(early)
    for configured in (early, [early, 2]):
        ending = llama(len(words))
        ending.generation_config.eos_token_id = configured
        made = engine(ending, words)
        try:
            (completion,) = asyncio.run(gather(made, [ask("Tell me all.", 30)]))
        finally:
            made.close()
        assert completion.finish_reason == "stop"
        assert completion.completion_tokens == position + 1
        assert completion.text == text_of(words, tokens[:position])


def test_the_tokenizers_end_token_counts_even_if_the_model_does_not_name_it(words):
    silent = llama(len(words))
    silent.generation_config.eos_token_id = None
    made = engine(silent, words)
    try:
        assert made._end_ids == {words.eos_token_id}
    finally:
        made.close()


def test_a_stop_string_ends_the_text_before_itself(model, words, run):
    (whole,) = run(ask("Tell me all.", 40))
    plain = [i for i in range(5, len(whole.text) - 4) if whole.text[i : i + 4].isascii()]
    start = plain[0]
    stop = whole.text[start : start + 4]
    cut, free = run(ask("Tell me all.", 40, stop=("never seen", stop)), ask("Tell me all.", 40))
    assert cut.text == whole.text[: whole.text.find(stop)]
    assert cut.finish_reason == "stop"
    assert cut.completion_tokens < whole.completion_tokens
    assert free == whole


def test_special_tokens_are_not_shown(words, run):
    speaking = llama(len(words))
    start = words.convert_tokens_to_ids("<|im_start|>")
    original = speaking.forward

    def forward(*args, **kwargs):
        output = original(*args, **kwargs)
        output.logits[..., start] += 1e4 * (kwargs["position_ids"][:, -1:] % 2)
        return output

    speaking.forward = forward
    (completion,) = run(ask("Tell me all.", 10), on=speaking)
    assert completion.completion_tokens == 10
    assert "<|" not in completion.text
    assert completion.text


SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": ["Al", "Alice"]}, "number": {"type": "integer", "maximum": 99}},
    "required": ["name", "number"],
    "additionalProperties": False,
}


def test_constrained_rows_keep_their_shape_among_free_ones(run):
    requests = []
    for i in range(4):
        requests += [
            ask(f"{i}", 60, schema=SCHEMA, temperature=1.5, seed=i),
            ask(f"{i}", 60, choices=("Al", "Alice", "Bob ☃"), temperature=1.5, seed=i),
            ask(f"{i}", 60, pattern=r"\d{3}-\d{2}", temperature=1.5, seed=i),
            ask(f"{i}", 20),
        ]
    completions = run(*requests)
    for request, completion in zip(requests, completions, strict=True):
        if request.schema is not None:
            value = json.loads(completion.text)
            assert set(value) == {"name", "number"}
            assert value["name"] in ("Al", "Alice")
            assert value["number"] <= 99
        elif request.choices:
            assert completion.text in request.choices
        elif request.pattern:
            assert re.fullmatch(request.pattern, completion.text)
        if request.schema is not None or request.choices or request.pattern:
            assert completion.finish_reason == "stop"


def test_nothing_is_computed_for_what_is_no_longer_in_doubt(model, run, monkeypatch):
    forwards = Forwards(model, monkeypatch)
    (only,) = run(ask("Which?", choices=("the only one there is",)))
    assert only.text == "the only one there is"
    assert forwards.rows == []
    (chosen,) = run(ask("Which?", 40, choices=("keep it as it is", "revise it thoroughly")))
    assert chosen.text in ("keep it as it is", "revise it thoroughly")
    assert len(forwards.rows) == 1
    forwards.rows.clear()
    (shaped,) = run(ask("Which?", 40, pattern="[a-c]{6}"))
    assert shaped.finish_reason == "stop"
    assert len(forwards.rows) == shaped.completion_tokens


def test_the_cap_cuts_a_constrained_reply_off(run):
    (completion,) = run(ask("Which?", 2, pattern="[0-9]{40}"))
    assert completion.finish_reason == "length"
    assert re.fullmatch("[0-9]+", completion.text)


def test_a_refused_constraint_fails_its_own_request_only(run):
    broken, schema, fine = run(
        ask("a", pattern="(unclosed"), ask("a", schema={"type": "nonsense"}), ask("a", 4)
    )
    for error in (broken, schema):
        assert isinstance(error, InputError)
        assert "\n" not in str(error)
        assert "cpp" not in str(error)
    assert fine.completion_tokens <= 4


def test_a_row_with_texts_to_avoid_does_not_say_its_own_again(run, monkeypatch):
    tokens = {}

    def completion(row):
        tokens[row.request] = row.generated
        return original(row)

    original = Row.completion
    monkeypatch.setattr(Row, "completion", completion)
    monkeypatch.setattr(BatchEngine, "_inside_a_word", lambda driver, token: False)  # it has hardly any
    free = ask("Tell me all.", 60)
    requests = [free, replace(free, avoid=("anything",)), replace(free, avoid=("anything",), temperature=1.0)]
    (alone,) = run(free)
    assert run(*requests)[0] == alone
    again = [len(runs := runs_of(tokens[request])) - len(set(runs)) for request in requests]
    assert again[0] > 0
    assert again[1:] == [0, 0]


def test_a_text_to_avoid_is_left_before_the_end_of_a_run(words):
    text = "Who would be harmed, and who would be helped?"
    told = words(text)["input_ids"]
    row = Row(ask("Who?", 30), [1], None, words, {2}, runs=Runs([told]))
    plain = Row(ask("Who?", 30), [1], None, words, {2})
    for token in told[: AVOID_RUN + 1]:
        logits = torch.zeros(2, len(words))
        logits[:, token] = 50
        logits[:, 5] = 40
        extend([row, plain], logits)
    assert plain.generated == told[: AVOID_RUN + 1]
    assert row.generated == [*told[: AVOID_RUN - 1], 5, told[AVOID_RUN]]


def test_texts_to_avoid_are_those_of_the_request(run):
    letters = ask("Tell me all.", 40, pattern="[+*/=~]{14}")
    (told,) = run(letters)
    (other,) = run(replace(letters, avoid=("else", told.text)))
    assert len(other.text) == 14
    assert not set(runs_of(other.text)).intersection(runs_of(told.text))


def test_a_shape_comes_before_texts_to_avoid(run):
    told = "the neighbour watches the farmer, and the farmer watches"
    request = ask("Say it.", 60, avoid=(told, "<|im_end|>"))
    (choice, pattern) = run(replace(request, choices=(told, "no")), replace(request, pattern=f"({told})"))
    assert choice.text in (told, "no")
    assert pattern.text == told


def test_what_a_row_may_not_take_is_drawn_again_from_what_it_may(words, monkeypatch):
    masks = []
    monkeypatch.setattr(row_module, "mask_logits", lambda *given: masks.append(mask_logits(*given)))
    yes, no, other = words.convert_tokens_to_ids(["y", "n", "x"])
    grammars = GrammarCache(words, len(words), {2})
    drawn = Counter()
    for seed in range(400):
        request = ask("Which?", pattern="[yn]{9}", temperature=1.0, seed=seed)
        row = Row(request, [1], grammars.constraint(request), words, {2})
        logits = torch.full((1, len(words)), -50.0)
        logits[0, [yes, no, other]] = torch.tensor([1.0, 0.0, 2.0])
        extend([row], logits)
        drawn[row.generated[0]] += 1
    assert set(drawn) == {yes, no}
    # e to one of two, within four standard deviations.
    assert 400 * 0.64 < drawn[yes] < 400 * 0.82
    # Twice of three times the likeliest token, x, comes first.
    assert 400 * 0.57 < len(masks) < 400 * 0.76


def runs_of(tokens):
    return list(zip(*(tokens[start:] for start in range(AVOID_RUN)), strict=False))
