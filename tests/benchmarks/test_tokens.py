"""Tokens that recorded scenes take: a line for every change of graph and prompts to hold."""

import json

from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.replay import Reply
from benchmarks.tokens import CASES, Pieces, PrefixCache, count
from inference.engine import ChatMessage, GenerationRequest

BOUNDS = {"first": 6_900, "later": 3_600, "export": 3_600}
"""Computed and generated, in the mean of the first three recorded scenes; lower them with what these take."""


def call(text, reply, tokens=5, **changes):
    request = GenerationRequest(messages=(ChatMessage("user", text),), max_tokens=9, **changes)
    return request, Reply(("respond", None, None, "respond", 0, 1), reply, tokens)


def test_scenes_take_no_more_than_they_did():
    printed = CliRunner().invoke(app, ["tokens", "--json", "--scenes", "3"]).stdout
    taken = json.loads(printed)
    assert printed.count("\n") == 1
    assert all(taken[case]["computed"] + taken[case]["generated"] <= BOUNDS[case] for case in CASES)
    assert taken["export"]["computed"] <= taken["later"]["computed"] < taken["first"]["computed"]
    assert taken["calls"] > 20


def test_the_table_has_scenes_and_calls():
    shown = CliRunner().invoke(app, ["tokens", "--scenes", "1"]).stdout
    assert shown.count("\nmean ") == 2
    assert "Which one would you" in shown
    assert "\nrole_action " in shown


def test_what_was_said_before_is_not_computed_again():
    known = PrefixCache(["abcd"])
    assert [known.missing(prompt) for prompt in ("abcd", "abcx", "abxd", "xbcd", "abcdef")] == [1, 1, 2, 4, 2]
    known.keep("abxd")
    assert known.missing("abxdcd") == 2


def test_only_choices_that_are_weighed_are_computed():
    told = [call("Is it so?", "yes"), call("Is it so?", "yes", choices=("yes", "oh no"), weigh=True)]
    counts = [count([one], Pieces(), {"first": PrefixCache()})["respond"] for one in told]
    assert [one["generated"] for one in counts] == [5, 0]
    assert [one["first"] - one["prompt"] for one in counts] == [0, 3]


def test_a_reply_is_known_to_the_prompt_that_goes_on_with_it():
    pieces = Pieces()
    asked, reply = call("Why?", "Because of it.")
    said = (*asked.messages, ChatMessage("assistant", reply.text), ChatMessage("user", "And now?"))
    longer = GenerationRequest(messages=said, max_tokens=9)
    taken = count([(asked, reply), (longer, reply)], pieces, {"first": PrefixCache()})["respond"]
    assert taken["first"] == len(pieces.token_ids(said)) - len(pieces.ids(reply.text))


def test_pieces_are_those_of_the_model():
    assert Pieces().ids("I'm at 12 o'clock.\n\n {\"a_b\": 1}") == (
        "I", "'m", " at", " ", "1", "2", " o", "'clock", ".\n\n", " {\"", "a", "_b", "\":", " ", "1", "}",
    )  # fmt: skip
