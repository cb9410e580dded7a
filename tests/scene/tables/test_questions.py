"""Questions found in rows of every make: column, id, kind, first answer."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene.errors import InputError
from scene.nouns import Turn
from scene.tables.questions import Columns, Question, QuestionSet, question_id, read_questions


def read(folder: Path, *rows: object, **columns) -> QuestionSet:
    path = folder / "questions.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return read_questions(str(path), Columns(**columns))


def only(found: QuestionSet) -> Question:
    assert (found.malformed, found.repeated) == ([], [])
    (question,) = found.questions
    return question


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"question": "Why?", "text": "a page"}, "Why?"),
        ({"Prompt ": " Why?\x00 "}, "Why?"),
        ({"goal": "Do it", "target": "Sure"}, "Do it"),
        ({"instruction": "Add them.", "input": "1, 2", "output": "3"}, "Add them.\n\n1, 2"),
        ({"instruction": "Sing.", "input": " ", "output": "La"}, "Sing."),
        ({"question": None, "instruction": "Sing."}, "Sing."),
        ({"turns": ["First?", "Second?"]}, "First?"),
        (
            {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi?"}]},
            "Hi?",
        ),
        ({"messages": [{"from": "human", "value": "Hi?"}]}, "Hi?"),
        ({"prompt": [{"role": "user", "content": "Hi?"}]}, "Hi?"),
        ({"conversations": [{"from": "gpt", "value": "Hello."}, {"from": "human", "value": "Hi?"}]}, "Hi?"),
        ({"conversation": [{"role": "User", "content": "Hi?"}]}, "Hi?"),
        ({"messages": [{"role": "user", "from": None, "content": "Hi?", "value": None}]}, "Hi?"),
        ({"messages": [{"role": None, "from": "user", "content": None, "value": "Hi?"}]}, "Hi?"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi?"}]}]}, "Hi?"),
        ({"messages": [{"role": "tool", "content": None}, {"role": "user", "content": "Hi?"}]}, "Hi?"),
        (
            {"question": [{"type": "text", "text": "Sum it up:"}, {"type": "text", "text": "x"}]},
            "Sum it up:\nx",
        ),
        ({"contents": [{"role": "user", "parts": [{"text": "Hi?"}]}]}, "Hi?"),
        ({"messages": '[{"role": "user", "content": "Hi?"}]'}, "Hi?"),
        ({"prompt": ' [{"content": "Hi?", "role": "user"}]\n'}, "Hi?"),
        ({"prompt": "[{'content': \"It's me?\", 'role': 'user'}]"}, "It's me?"),
        ({"turns": '["First?", "Second?"]'}, "First?"),
        ({"body": {"messages": [{"role": "user", "content": "Hi?"}]}}, "Hi?"),
        ({"body": '{"messages": [{"role": "user", "content": "Hi?"}]}'}, "Hi?"),
        ({"body": {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi?"}]}]}}, "Hi?"),
        ({"params": {"messages": [{"role": "user", "content": "Hi?"}]}}, "Hi?"),
        ({"question": "[1, 2] or [2, 1]?"}, "[1, 2] or [2, 1]?"),
        ({"question": '{"role": "admin"} is what?'}, '{"role": "admin"} is what?'),
        ({"question": '[{"role": "user"}] is what?'}, '[{"role": "user"}] is what?'),
        ({"question": '[{"value": "1"}, {"value": "2"}]'}, '[{"value": "1"}, {"value": "2"}]'),
    ],
)
def test_question_is_found(tmp_path, row, text):
    assert only(read(tmp_path, row)).text == text


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"messages": "Hi?"}, "can't be read as a chat; write a list"),
        ({"turns": "3"}, "can't be read as a chat"),
        ({"messages": "[]"}, "can't be read as a chat"),
        ({"prompt": '[{"role": "user", "content": "Hi'}, "can't be read as a chat"),
        ({"prompt": "[{'content': 'Hi?', 'role': 'user'}\n {'content': 'Yes.'}]"}, "can't be read as a chat"),
        ({"messages": [["Hi?", "Yes."]]}, "is not text"),
        ({"messages": [{"role": "assistant", "content": "Yes."}]}, "without a message of the user"),
        ({"messages": [{"role": "user", "content": None}]}, "its question is empty"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "a part of the type 'image_url', where only text can be read",
        ),
        ({"body": {"url": "x"}}, "it has no question"),
        ({"question": ["Hi?", "Why?"]}, "is a list of several texts"),
        ({"messages": [{"role": "user", "content": "Hi?"}, {"role": 1, "content": "Why?"}]}, "nobody known"),
        ({"messages": [{"role": "user", "content": "Hi?"}, None]}, "nobody known"),
        ({"instruction": "Add them.", "input": 5}, "has an input beside it that is not text"),
        (
            {"prompt": [{"role": "user", "content": "Hi?"}], "system": 5},
            "comes with a system that is not text",
        ),
    ],
)
def test_what_is_meant_as_a_chat_is_never_taken_as_text(tmp_path, row, why):
    assert why in str(read(tmp_path, {"question": "Why?"}, row).malformed[0])


def test_first_answers_of_chats(tmp_path):
    chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    question = only(read(tmp_path, {"messages": chat, "id": 1}, question="messages", answer="messages"))
    assert (question.text, question.first_answer) == ("Why?", "So.")
    row = {"messages": json.dumps(chat), "answer": json.dumps(chat[1:])}
    assert only(read(tmp_path, row, answer="answer")).first_answer == "So."
    thought = only(read(tmp_path, {"question": "Why?", "answer": "<think>Hm.</think>So."}, answer="answer"))
    assert thought.first_answer == "So."
    with pytest.raises(InputError, match="a thought and no answer"):
        read(tmp_path, {"question": "Why?", "answer": "<think>Hm."}, answer="answer")


def test_so_many_questions_are_read_and_no_more(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '{"question": "Why?"}\n[]\n{"question": "Who?"}\n[]\n{"question": "When?", "said": "Now."}\n[]\n'
    )
    found = read_questions(str(path), limit=2)
    assert ([one.text for one in found.questions], len(found.malformed)) == (["Why?", "Who?"], 1)
    later = read_questions(str(path), Columns(answer="said"), limit=2)
    assert [one.text for one in later.questions] == ["Why?", "Who?"]


def test_named_columns_win(tmp_path):
    row = {"question": "No.", "Ask": "Why?", "said": " So. ", "label": "unsafe", "kind": "nonsense"}
    question = only(read(tmp_path, row, question="Ask", answer="said", kind_column="label"))
    assert (question.text, question.first_answer, question.kind) == ("Why?", "So.", "harmful")


def test_a_first_answer_that_is_too_long_has_its_reason(tmp_path):
    rows = (
        {"question": f"Why {n}?", "answer": "x" * length} for n, length in enumerate((9, 64_001, 573_000))
    )
    found = read(tmp_path, *rows, answer="answer")
    assert [question.text for question in found.questions] == ["Why 0?"]
    assert list(map(str, found.malformed)) == [
        "line 2: the first answer has 64,001 characters; at most 64,000 are accepted",
        "line 3: the first answer has 573,000 characters; at most 64,000 are accepted",
    ]


@pytest.mark.parametrize(
    ("row", "identifier"),
    [
        ({"id": 943}, "943"),
        ({"id": "a\nb"}, "a b"),
        ({"question_id": 0}, "0"),
        ({"id": "", "uid": "u"}, "u"),
        ({"custom_id": "r-1"}, "r-1"),
    ],
)
def test_ids_are_kept(tmp_path, row, identifier):
    assert only(read(tmp_path, {**row, "question": "Why?"})).id == identifier


def test_ids_are_derived_from_content(tmp_path):
    first = read(tmp_path, {"question": "Why?"}, {"question": "Who?"}).questions
    again = read(tmp_path, {"question": "Who?"}, {"question": "Why? "}).questions
    assert [question.id for question in first] == [question.id for question in reversed(again)]
    assert len({question.id for question in first}) == 2


@pytest.mark.parametrize(
    ("word", "kind"),
    [("harmful", "harmful"), ("Unsafe ", "harmful"), ("safe", "helpful"), ("benign", "helpful"), ("", None)],
)
def test_kind_from_a_column(tmp_path, word, kind):
    assert only(read(tmp_path, {"question": "Why?", "kind": word})).kind == kind


def test_kind_given_for_all(tmp_path):
    assert only(read(tmp_path, {"question": "Why?", "kind": "nonsense"}, kind="helpful")).kind == "helpful"


def test_malformed_rows_are_named_and_do_not_stop_the_rest(tmp_path):
    found = read(
        tmp_path,
        {"question": "Why?"},
        {"question": " \x1b "},
        {"question": 7},
        {"answer": "Yes."},
        {"question": "Who?", "kind": "odd"},
        {"question": "Who?", "id": "x" * 300},
        {"question": "Who?", "output": 3},
        ["Who?"],
        {"question": "Who?", "output": None},
        answer="output",
    )
    assert [question.text for question in found.questions] == ["Why?", "Who?"]
    assert list(map(str, found.malformed)) == [
        "line 2: its question is empty",
        "line 3: column 'question' is not text",
        "line 4: it has no question",
        "line 5: column 'kind' says 'odd', which is none of harmful, unsafe, helpful, harmless, benign, safe",
        "line 6: its id has 300 characters",
        "line 7: its first answer is not text",
        "line 8: it is no object",
    ]


def test_repeated_rows_are_named(tmp_path):
    found = read(
        tmp_path,
        {"id": 1, "question": "Why?"},
        {"id": 2, "question": "Why?"},
        {"id": 1, "question": "Who?"},
        {"id": 1, "question": "Why? "},
    )
    assert [(question.id, question.text) for question in found.questions] == [
        ("1", "Why?"),
        ("2", "Why?"),
        ("1", "Who?"),
    ]
    assert list(map(str, found.repeated)) == ["line 4: it repeats line 1"]


@pytest.mark.parametrize("columns", [{"question": "ask"}, {"answer": "ask"}, {"kind_column": "ask"}])
def test_column_that_is_not_there(tmp_path, columns):
    with pytest.raises(InputError, match="has no column 'ask'; its columns are id, question"):
        read(tmp_path, {"id": 1, "question": "Why?"}, **columns)


@pytest.mark.parametrize(
    ("rows", "why"),
    [((), r"no question; name"), (({"a": 1},), r"no question \(line 1: it has no question\)")],
)
def test_nothing_to_ask(tmp_path, rows, why):
    with pytest.raises(InputError, match=why):
        read(tmp_path, *rows)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["id", "question", "prompt", "turns", "messages", "instruction", "input", "kind", "split", "style"]
)


@given(rows=st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=5))
def test_every_row_is_a_question_or_is_named(tmp_path_factory, rows):
    found = read(tmp_path_factory.mktemp("rows"), {"question": "Why?", "id": "first"}, *rows)
    assert len(found.questions) + len(found.malformed) + len(found.repeated) == len(rows) + 1
    assert all(question.text and question.id for question in found.questions)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("hh_harmless_first_turn.jsonl", 1600),
        ("catqa_english.jsonl", 550),
        ("dangerousqa.jsonl", 200),
        ("harmfulqa_questions.jsonl", 300),
        ("advbench_harmful_behaviors.csv", 100),
        ("xstest_prompts.csv", 225),
        ("koala_test_set.jsonl", 120),
        ("self_instruct_user_oriented.jsonl", 180),
        ("self_instruct_seed_tasks.jsonl", 175),
        ("vicuna_bench_questions.jsonl", 80),
    ],
)
def test_development_sets_work_as_they_are(question_sets, name, rows):
    found = read_questions(str(question_sets / name))
    assert (len(found.questions), found.malformed, found.repeated) == (rows, [], [])
    assert len({question.id for question in found.questions}) == rows


def test_kinds_of_a_development_set(question_sets):
    found = read_questions(str(question_sets / "xstest_prompts.csv"), Columns(kind_column="label"))
    assert {question.kind for question in found.questions} == {"harmful", "helpful"}


def turns(*texts: str) -> tuple[Turn, ...]:
    return tuple(Turn(role=("user", "assistant")[n % 2], content=text) for n, text in enumerate(texts))


CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi?"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
]
SHAREGPT = [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hello."}]
WHY = {"from": "human", "value": "Why?"}


@pytest.mark.parametrize(
    ("row", "history", "system"),
    [
        ({"messages": CHAT}, turns("Hi?", "Hello."), "Be kind."),
        ({"messages": json.dumps(CHAT[:4])}, turns("Hi?", "Hello."), "Be kind."),
        ({"messages": CHAT[1:4], "system": "Be kind."}, turns("Hi?", "Hello."), "Be kind."),
        ({"messages": CHAT[:4], "system_prompt": "Rhyme."}, turns("Hi?", "Hello."), "Be kind."),
        ({"conversations": [*SHAREGPT, WHY]}, turns("Hi?", "Hello."), ""),
        ({"conversations": [SHAREGPT[1], WHY]}, (Turn(role="assistant", content="Hello."),), ""),
        ({"instruction": "Why?", "history": [["Hi?", "Hello."]], "system": "A"}, turns("Hi?", "Hello."), "A"),
        ({"instruction": "Why?", "history": "[]"}, (), ""),
        ({"question": "Why?", "system": "vanilla", "history": "long"}, (), ""),
        ({"question": "Why?", "system_prompt": "A"}, (), "A"),
        ({"params": {"system": "A", "messages": CHAT[1:4]}}, turns("Hi?", "Hello."), "A"),
        ({"params": {"system": [{"type": "text", "text": "A"}], "messages": [CHAT[3]]}}, (), "A"),
        ({"systemInstruction": {"parts": [{"text": "A"}]}, "contents": [CHAT[3]]}, (), "A"),
        (
            {"conversations": [SHAREGPT[0], {"from": "bing", "value": "Hello."}, WHY]},
            turns("Hi?", "Hello."),
            "",
        ),
        (
            {"messages": [CHAT[1], {"role": "assistant", "content": "<think>Hm.</think>Hello."}, CHAT[3]]},
            turns("Hi?", "Hello."),
            "",
        ),
        (
            {"prompt": "Human: Hi?\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant:"},
            turns("Hi?", "Hello."),
            "",
        ),
        (
            {"prompt": "\n\nHuman: Hi?\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: So."},
            turns("Hi?", "Hello."),
            "",
        ),
    ],
)
def test_what_was_said_before_a_question_is_kept(tmp_path, row, history, system):
    question = only(read(tmp_path, row))
    assert (question.text, question.history, question.system) == ("Why?", history, system)
    assert (question.id == question_id("Why?")) == (not history and not system)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"messages": [*CHAT[:2], CHAT[0], CHAT[3]]}, "message 3 is a system prompt; it has to stand before"),
        ({"messages": [*CHAT[1:3] * 33, CHAT[3]]}, "there are 66 turns before the question; at most 64"),
        (
            {"messages": [{"role": "user", "content": "x" * 64_001}, CHAT[2], CHAT[3]]},
            "the conversation before the question has 64,007 characters; at most 64,000",
        ),
        ({"question": "Why?", "system_prompt": "x" * 16_001}, "the system prompt has 16,001 characters"),
        ({"instruction": "Why?", "history": "Hi?"}, "column 'history' is no list of pairs"),
        ({"instruction": "Why?", "history": [["Hi?", 3]]}, "column 'history' is not text"),
    ],
)
def test_a_conversation_that_can_not_be_played_has_its_reason(tmp_path, row, why):
    with pytest.raises(InputError, match=re.escape(why)):
        read(tmp_path, row)


def test_what_one_says_in_a_row_is_one_turn(tmp_path):
    question = only(read(tmp_path, {"conversations": [SHAREGPT[0], {"from": "gpt", "value": " "}, WHY]}))
    assert (question.text, question.history) == ("Hi?\n\nWhy?", ())


def test_the_same_question_after_other_turns_is_no_repetition(tmp_path):
    found = read(
        tmp_path, {"id": 1, "messages": CHAT}, {"id": 1, "question": "Why?"}, {"id": 1, "messages": CHAT}
    )
    assert [bool(question.history) for question in found.questions] == [True, False]
    assert list(map(str, found.repeated)) == ["line 3: it repeats line 1"]


def test_the_first_answer_of_a_chat_is_the_one_to_its_question(tmp_path):
    assert only(read(tmp_path, {"messages": CHAT}, answer="messages")).first_answer == "So."
    with pytest.raises(InputError, match="its first answer is a chat that ends without an answer"):
        read(tmp_path, {"messages": CHAT[:4]}, answer="messages")
