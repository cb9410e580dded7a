"""Prompt files: every one loads, is filled strictly, and quotes what it quotes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

import prompts
from prompts import OURS, quote, unquoted
from prompts.loader import TAGS, field_names

NAMES = [*prompts.names(), *prompts.names("evaluation"), *prompts.names("twins")]


@pytest.mark.parametrize("name", NAMES)
def test_rendered(name: str, snapshot: SnapshotAssertion) -> None:
    prompt = prompts.load(name)
    messages = prompt.render({field: f"[{field}]" for field in field_names(prompt.user)})
    assert "\n\n".join(f"--- {m.type}\n{m.text}" for m in messages) == snapshot


@pytest.mark.parametrize("name", NAMES)
def test_filled_strictly(name: str) -> None:
    prompt = prompts.load(name)
    values = dict.fromkeys(field_names(prompt.user), "x")
    with pytest.raises(ValueError, match="extra fields: unheard_of"):
        prompt.render({**values, "unheard_of": "x"})
    for field in values:
        with pytest.raises(ValueError, match=f"missing fields: {field}"):
            prompt.render({other: "x" for other in values if other != field})


@pytest.mark.parametrize("name", [name for name in NAMES if prompts.load(name).after])
def test_what_comes_after_another_goes_on_with_its_conversation(name: str) -> None:
    prompt, begun = prompts.load(name), prompts.load(prompts.load(name).after)
    before = begun.render(dict.fromkeys(field_names(begun.user), "x"))
    said = before[-1].text, "So it is."
    messages = prompt.render(dict.fromkeys(field_names(prompt.user), "x"), history=(said,))
    assert messages[: len(before)] == before
    assert [(message.type, message.text) for message in messages[len(before) :]] == [
        ("ai", "So it is."),
        ("human", prompt.filled(dict.fromkeys(field_names(prompt.user), "x"))),
    ]


def test_later_turns_of_an_example_have_its_fields_and_their_own() -> None:
    plan = [example for example in prompts.load("plan").examples if example.reply.startswith("I ")]
    raked, declined = (example.user for example in plan)
    assert prompts.quote("answer", "Yes. Rake them into a pile, wait for a dry day and light them.") in raked
    assert prompts.quote("answer", OURS.words.granted) in declined


def test_without_examples_the_conversation_stays() -> None:
    prompt = prompts.load("consequence")
    messages = prompt.render({}, history=(("May he?", "yes"),), examples=False)
    assert [message.text for message in messages] == [prompt.system, "May he?", "yes", prompt.user]


def test_a_value_is_never_read_for_fields() -> None:
    (message,) = prompts.load("respond").render({"message": "{question} {0} {message}"})
    assert message.text == "{question} {0} {message}"


@given(st.text(max_size=60), st.sampled_from(TAGS), st.sampled_from(TAGS))
def test_quoted_text_can_t_leave_its_tags(text: str, tag: str, other: str) -> None:
    quoted = quote(tag, f"{text}</{other}>{text}< / {other.upper()} ><{other}>")
    inside = quoted.removeprefix(f"<{tag}>\n").removesuffix(f"\n</{tag}>")
    for known in TAGS:
        assert f"<{known}" not in inside.casefold()
        assert f"</{known}" not in inside.casefold()


def test_quoting_leaves_other_markup_alone() -> None:
    assert "<b>bold</b> if a < b" in quote("question", "<b>bold</b> if a < b")


@given(st.text(max_size=60), st.sampled_from(TAGS), st.sampled_from(TAGS))
def test_what_was_quoted_comes_back_as_it_was(text: str, tag: str, other: str) -> None:
    text = f"So: <quiz><{other}>{text}</ {other}></quiz>."
    assert unquoted(quote(tag, text)) == text


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("<answer>\nGo.\n</answer>", "Go."),
        ("<answer>\nGo.", "Go."),
        ("Go.\n</answer>", "Go."),
        ("<answer>A quiz: <answer>4</answer>.</answer>\n", "A quiz: <answer>4</answer>."),
        ("<answer>4</answer> and <answer>5</answer>", "<answer>4</answer> and <answer>5</answer>"),
        ("<answer>4</answer> is right.", "<answer>4</answer> is right."),
        ("Write <answer>4</answer>", "Write <answer>4</answer>"),
        (
            "```xml\n<question>2+2?</question>\n<s>old</s>\n```",
            "```xml\n<question>2+2?</question>\n<s>old</s>\n```",
        ),
        ("Write \u2039answer>4\u2039/answer> \u2039so\u203a.", "Write <answer>4</answer> \u2039so\u203a."),
    ],
)
def test_a_reply_is_taken_out_of_the_form_of_its_prompt(reply: str, answer: str) -> None:
    assert unquoted(reply) == answer


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        f"<{' ' * 10**6}a",
        "< / " * 250_000,
        f"\u2039{' ' * 10**6}/",
        "<answer>" * 125_000,
        "<answer>" + "</answer" * 125_000,
        "a" * 10**6,
        "'" * 10**6,
    ],
    ids=range(7),
)
def test_a_million_characters_are_gone_through_once(text: str) -> None:
    prompt = prompts.load("situation")
    values = {"question": text}
    assert len(prompt.render(values)[-1].text) >= len(text)
    assert unquoted(text)
    assert not prompt.copied([text], {"question": "x"})
    assert prompt.before_echo(text, values)


def test_digest_is_stable() -> None:
    assert prompts.digest() == prompts.digest()
    assert len(prompts.digest()) == 64
    assert prompts.digest("evaluation") != prompts.digest()


class TestCopying:
    def test_three_words_in_a_row(self) -> None:
        prompt = prompts.load("situation")
        assert prompt.copied(["The asker is a retired bus driver from Leeds."], {"question": "x"})

    def test_a_telltale_word(self) -> None:
        for name in ("role_action", "role_again"):
            assert prompts.load(name).copied(["I tell the nurse."], {"news": "x"}) == "nurse"
            assert not prompts.load(name).copied(["I tell the nurse."], {"news": "A nurse waves."})

    def test_a_whole_line(self) -> None:
        line = prompts.load("cast").examples[1].reply.splitlines()[-1]
        assert prompts.load("cast").copied(["asker: Store clerk.", line], {"lines": "x"}) == line

    def test_what_the_question_holds_is_no_copy(self) -> None:
        prompt = prompts.load("situation")
        values = {"question": "I am a retired bus driver."}
        assert not prompt.copied(["They ask as a retired bus driver would."], values)

    def test_own_words_are_no_copy(self) -> None:
        assert not prompts.load("cast").copied(["store clerk", "neighbour"], {"question": "x"})


@pytest.mark.parametrize("name", NAMES)
def test_examples_do_not_copy_each_other_s_replies_into_fields(name: str) -> None:
    """An example reply must not stand word for word in its own message, or the model learns to copy."""
    for example in prompts.load(name).examples:
        assert example.reply not in example.user
