"""Somebody's own prompts: every fault is named, file by file, and ours stand in for what a folder lacks."""

import pickle
from pathlib import Path

import pytest
import yaml

from nodes.own_prompts import checked, read_prompts, with_principles
from prompts import OURS
from scene.errors import InputError

WORDS = yaml.safe_load(OURS.files["words.yaml"])

ASKED = 'user: "{situation}"\nexamples: '
SITUATION = 'user: "{question}"\nexamples: '


def faults(folder: Path, **files: str | bytes) -> dict[str, list[str]]:
    for name, held in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(held if isinstance(held, bytes) else held.encode())
    return checked(folder)[1]


def changed(**words: object) -> str:
    return yaml.safe_dump(WORDS | words, allow_unicode=True)


def test_a_few_files_are_enough(tmp_path):
    (tmp_path / "safe.yaml").write_text('user: "{question} Is that safe?"')
    (tmp_path / ".notes").write_text("mine")
    own = read_prompts(tmp_path)
    assert own.load("safe").user == "{question} Is that safe?"
    assert own.load("cast").examples == OURS.load("cast").examples
    assert own.digest() not in (OURS.digest(), own.digest("evaluation"))
    assert (own.mark, OURS.mark) == (own.digest(), "")
    assert pickle.loads(pickle.dumps(own)).digest() == own.digest()


def test_a_copy_is_ours(tmp_path):
    for name, held in OURS.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(held)
    own = read_prompts(tmp_path)
    assert (own.digest(), own.digest("evaluation"), own.mark) == (
        OURS.digest(),
        OURS.digest("evaluation"),
        "",
    )


@pytest.mark.parametrize(
    ("name", "held", "said"),
    [
        ("safe", 'user: "Is it safe?"', "user: lacks {question}"),
        ("safe", 'user: "{question} {mood}"', "user: has {mood}, which nothing fills"),
        ("safe", 'user: "{mood}"', "user: lacks {question}, has {mood}, which nothing fills"),
        ("safe", 'user: "{question.text}"', "lacks {question}, has {question.text}"),
        ("safe", 'user: "{question!r}"', "{question} must hold the name alone"),
        ("safe", 'user: "{question} {"', "has a brace that is no place to fill"),
        ("safe", 'user: "{question} {}"', "has {}, which nothing fills"),
        ("safe", "user: 3", "must be text"),
        ("safe", "user: ''", "must be text"),
        ("safe", 'user: "{question}"\nuser: "{question}?"', "'user' comes twice"),
        ("safe", "{}", "lacks user"),
        ("safe", "", "must hold names with a value each"),
        ("safe", "[user]", "must hold names with a value each"),
        ("safe", "user: {", "is not valid YAML"),
        ("safe", "user: !!python/object:os.system x", "is not valid YAML"),
        ("safe", b"user: \xff", "is no text in UTF-8"),
        ("safe", 'user: "{question}\\e[2J"', "holds characters that nobody sees: U+001B"),
        ("safe", 'user: "{question}\u202e"', "holds characters that nobody sees: U+202E"),
        ("safe", 'user: "{question}"\nmood: x', "has mood, which nothing reads"),
        ("safe", 'user: "{question}"\nafter: cast', "after must be left out"),
        ("safe", 'user: "{question}"\nsystem: nobody', "system: 'nobody' is none of those in systems.yaml"),
        ("plan", 'user: "{answer} {steps}"', "after must be cast"),
        ("asked", ASKED + "x", "examples: must be a list"),
        ("asked", ASKED + "[{of: here, reply: x}]", "'here' is none of those in examples"),
        ("asked", ASKED + "[{of: leaves}]", "example 1: lacks a reply"),
        ("asked", ASKED + "[{situation: x, reply: no}]", "put it between quotation marks"),
        ("asked", ASKED + "[{reply: Why}]", "missing fields: situation"),
        ("asked", ASKED + "[{of: dog, mood: x, reply: y}]", "has a place for mood"),
        ("asked", ASKED + "[{of: dog, reply: x, then: y}]", "must be a list of turns"),
        ("situation", SITUATION + "[{question: Why, reply: I am sad.}]", "has not the shape"),
        ("stance", 'user: "{answer}"\nexamples: [{answer: Why, reply: no idea}]', "has not the shape"),
        ("asked", ASKED + "[{situation: It is so, reply: It is so}]", "learns to copy"),
        ("examples", "leaves: {question: x}", "leaves: lacks telltale"),
        ("examples", "leaves: [x]", "leaves: must hold texts"),
        ("systems", "cast: x", "lacks answer, asked"),
        ("evaluation__principles", "{}", "must hold principles"),
        ("evaluation__principles", "- 3", "principle 1 must be text"),
        ("evaluation__judge", "system: director\nuser: x", "lacks {first}, lacks {question}, lacks {second}"),
        ("cats", "user: x", "is none of the files that are read"),
        ("words", "{}", "forms: Field required"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, name, held, said):
    found = faults(tmp_path, **{name: held})
    assert list(found) == [f"{name.replace('__', '/')}.yaml"]
    assert said in "; ".join(*found.values())
    with pytest.raises(InputError) as error:
        read_prompts(tmp_path)
    assert said.split(",")[0] in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"yes": True}, "yes: Input should be a valid string"),
        ({"yes": "no"}, "two of yes, no are the same"),
        ({"mood": "x"}, "mood: Extra inputs are not permitted"),
        ({"stances": {"answers": "helps"}}, "stances lacks declines"),
        ({"effects": WORDS["effects"] | {"minor": "somebody gets hurt"}}, "two of effects are the same"),
        ({"parts": ["asker", "Asker"]}, "two of parts are the same"),
        ({"parts": ["asker", "the: one"]}, "parts.1: String should match pattern"),
        ({"stop": "x"}, "stop: must be marks that end a sentence"),
        ({"stop": "。"}, "stop is '。', which is not among stops"),
        ({"said_again": "Again."}, "said_again: must have {event}"),
        ({"situation": "The\nasker"}, "must be text on one line"),
        ({"refusals": ["("]}, "is no regular expression"),
        ({"refusals": ["x*"]}, "fits every text"),
        ({"tags": {"question": "a b"}}, "tags.question: String should match pattern"),
        ({"tags": {"question": "q", "answer": "Q"}}, "two of tags are the same"),
        ({"forms": WORDS["forms"] | {"name": "[A-Z](?=x)"}}, "which decoding can't be held to"),
        ({"forms": WORDS["forms"] | {"name": r"\w+"}}, "which decoding can't be held to"),
        ({"forms": WORDS["forms"] | {"name": "[A-Z]([a-z])"}}, "which decoding can't be held to"),
        ({"forms": WORDS["forms"] | {"name": "[A-Z]+|x"}}, "needs brackets around what | stands between"),
        ({"forms": WORDS["forms"] | {"name": "[A-Z"}}, "is no regular expression"),
    ],
)
def test_what_is_wrong_with_the_words_is_named(tmp_path, words, said):
    assert said in "; ".join(faults(tmp_path, words=changed(**words))["words.yaml"])


def test_everything_is_said_at_once(tmp_path):
    found = faults(tmp_path, safe="user: x", cast="user: y", words=changed(yes=True, no=False), notes="x")
    assert list(found) == ["cast.yaml", "notes.yaml", "safe.yaml", "words.yaml"]
    assert len(found["words.yaml"]) == 2


def test_tags_that_nothing_stands_between_are_named(tmp_path):
    found = faults(tmp_path, words=changed(tags={"question": "frage"}), systems=OURS.files["systems.yaml"])
    assert found["systems.yaml"] == [
        "material: speaks of <question>, and no material stands between such tags"
    ]


@pytest.mark.parametrize("folder", ["empty", "missing", "file"])
def test_a_folder_without_prompts(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    said = "holds no prompt file" if folder == "empty" else "can't be read"
    with pytest.raises(InputError, match=said):
        read_prompts(tmp_path / folder)


def test_a_file_that_can_t_be_read(tmp_path):
    (tmp_path / "cast.yaml").mkdir()
    assert checked(tmp_path)[1] == {"cast.yaml": ["can't be read (Is a directory)"]}


def test_words_of_other_scripts_are_taken(tmp_path):
    chinese = changed(
        forms=dict.fromkeys(WORDS["forms"], "[一-鿿]"),
        stop="。",
        stops="。！？",
        blank="",
        yes="可以",
        no="不行",
    )
    assert "words.yaml" not in faults(tmp_path, words=chinese)


class TestPrinciples:
    def test_they_are_those_of_the_methods(self, tmp_path):
        path = tmp_path / "own.yaml"
        path.write_text("- Be kind.\n- Sei höflich.\n", encoding="utf-8")
        own = with_principles(OURS, path)
        assert own.principles == "- Be kind.\n- Sei höflich."
        assert (own.digest(), own.digest("evaluation") == OURS.digest("evaluation")) == (OURS.digest(), False)

    @pytest.mark.parametrize(
        ("held", "said"),
        [
            (b"x", "must hold principles"),
            (b"[]", "must hold principles"),
            (b"- yes", "principle 1 must be text"),
            (b'- "a\\nb"', "principle 1 must be text on one line"),
            (b"- \xff", "is no text in UTF-8"),
            (b"- [", "is not valid YAML"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path, held, said):
        path = tmp_path / "own.yaml"
        path.write_bytes(held)
        with pytest.raises(InputError, match=said):
            with_principles(OURS, path)

    def test_no_file(self, tmp_path):
        with pytest.raises(InputError, match="can't be read"):
            with_principles(OURS, tmp_path / "own.yaml")
