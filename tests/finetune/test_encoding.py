"""What the loss counts: the answer and its end token, and nothing else, whatever the format and template."""

import asyncio
import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from finetune.data.dataset import make_dataset
from finetune.data.formats import FORMATS, PREFERENCES
from finetune.data.scenes import read_scenes
from finetune.data.settings import DatasetSettings
from finetune.data.write import write_dataset
from finetune.encoding import Encoder, encode_split, encode_splits
from finetune.examples import Example, digest, read_examples
from inference.engine import ChatMessage
from scene.errors import InputError
from tests.finetune.scenes import record, write
from tests.inference.tiny_llama import CHATML, tokenizer

LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
TWO_ENDS = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
TEMPLATES = {
    "chatml": (CHATML, "<|im_end|>", ()),
    "llama3": (LLAMA3, "<|eot_id|>", ("<|start_header_id|>", "<|end_header_id|>")),
    "no system role": (NO_SYSTEM, "<end_of_turn>", ("<start_of_turn>",)),
    "two end tokens": (TWO_ENDS, "<|end|>", ("<|system|>", "<|user|>", "<|assistant|>")),
}


BEGUN = ("llama3", "no system role")
"""Templates that write a begin token."""


def words_of(name):
    template, end, others = TEMPLATES[name]
    words = tokenizer(template)
    words.add_special_tokens({"additional_special_tokens": [end, *others]})
    if name == "llama3":
        words.eos_token = end
    if name == "two end tokens":
        words.eos_token = "<|endoftext|>"
    return words


@pytest.fixture(params=list(FORMATS))
def examples(request, tmp_path: Path):
    """The format's name, and its train examples read back from disk."""
    source = write(tmp_path / "export", [record(n, revised=n % 2 == 0) for n in range(6)])
    settings = DatasetSettings(format=request.param, near=100.0, validation=0)
    write_dataset(asyncio.run(make_dataset(read_scenes([source]), settings)), tmp_path / "data")
    method = "dpo" if request.param in PREFERENCES else "sft"
    return read_examples(str(tmp_path / "data"), method)["train"]


def test_the_part_of_a_row_is_known_and_no_part_of_what_is_learned(examples) -> None:
    assert {example.part for example in examples} <= {"aligned", "helpful", "simulation", "preference"}
    assert digest({"train": examples}) == digest({"train": [replace(e, part="") for e in examples]})


@pytest.mark.parametrize("column", ["part", "kind"])  # as it was called at first
def test_the_part_is_read_whatever_its_column_is_called(tmp_path, column) -> None:
    chat = [{"role": "user", "content": "Why?"}], [{"role": "assistant", "content": "So."}]
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"prompt": chat[0], "completion": chat[1], column: "aligned"}) + "\n")
    (example,) = read_examples(str(file), "sft")["train"]
    assert (example.answer, example.part) == ("So.", "aligned")


def test_rows_of_no_known_part_are_counted_all_the_same() -> None:
    rows = [Example((ChatMessage("user", "Why? " * 60),), "So.")] * 2
    lengths = encode_split(Encoder(words_of("chatml"), None, "x"), rows, 40).lengths
    assert (lengths.dropped, lengths.too_long()) == (2, "2")


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_loss_counts_the_answer_and_its_end_token(examples, name) -> None:
    words = words_of(name)
    end = TEMPLATES[name][1]
    encoder = Encoder(words, None, name)
    split = encode_split(encoder, examples, 10_000)
    assert len(split.rows) == len(examples)
    for example, row in zip(examples, split.rows, strict=True):
        if example.rejected is None:
            counted = [label for label in row["labels"] if label != -100]
            prompt = row["input_ids"][: -len(counted)]
            assert row["input_ids"][-len(counted) :] == counted
            answers = [(counted, example.answer)]
        else:
            prompt = row["prompt_ids"]
            answers = [(row["chosen_ids"], example.answer), (row["rejected_ids"], example.rejected)]
        for tokens, text in answers:
            assert words.decode(tokens) == text + end
        said = words.decode(prompt)
        assert all(message.content in said for message in example.prompt)
        assert prompt == encoder._prompts.token_ids(example.prompt)  # what the engine gives the model
        assert prompt.count(words.bos_token_id) == (1 if name in BEGUN else 0)


def test_the_end_token_counts_where_it_is_the_pad_token_too() -> None:
    words = words_of("chatml")
    words.pad_token = words.eos_token
    (row,) = encode_split(
        Encoder(words, None, "x"), [Example((ChatMessage("user", "Hi."),), "Yes.")], 99
    ).rows
    assert row["labels"][-1] == words.eos_token_id


def test_an_end_token_inside_an_answer_does_not_end_it() -> None:
    words = words_of("two end tokens")
    said = Encoder(words, None, "x").encode([ChatMessage("user", "Hi.")], "Write <|end|> at the end.")
    assert words.decode(said.answer) == "Write <|end|> at the end.<|end|>"
    assert [token for token in said.answer if token in words.all_special_ids] == said.answer[-1:]


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(
    "forged", ["<|im_start|>", "<|end|>", "<|start_header_id|>", "</s>", "<|endoftext|>"]
)
def test_no_text_of_a_row_becomes_a_control_token(name, forged) -> None:
    words = words_of(name)
    encoder = Encoder(words, None, name)
    chat = [ChatMessage("system", "Be kind."), ChatMessage("user", f"Hi?{forged}Go on{forged}")]
    said = encoder.encode(chat, f"Yes.{forged}No{forged}No.")
    plain = encoder.encode([chat[0], ChatMessage("user", "Hi?")], "Yes.")

    def special(ids):
        return [token for token in ids if token in words.all_special_ids]

    assert special(said.prompt) == special(plain.prompt)
    assert special(said.answer) == special(plain.answer)
    assert f"Hi?{forged}Go on{forged}" in words.decode(said.prompt)
    assert words.decode(said.answer).startswith(f"Yes.{forged}No{forged}No.")
    assert said.prompt == encoder._prompts.token_ids(chat)


def test_trl_masks_the_same_but_for_what_follows_the_end_token() -> None:
    pytest.importorskip("trl")
    words = words_of("chatml")
    chat = [{"role": "user", "content": "Hi."}]
    ids = words.apply_chat_template([*chat, {"role": "assistant", "content": "Yes."}])["input_ids"]
    (row,) = encode_split(
        Encoder(words, None, "x"), [Example((ChatMessage("user", "Hi."),), "Yes.")], 99
    ).rows
    assert ids[: len(row["input_ids"])] == row["input_ids"]
    assert words.decode(ids[len(row["input_ids"]) :]) == "\n"


def test_rows_too_long_are_cut_or_left_out_and_counted() -> None:
    words = words_of("chatml")
    rows = [Example((ChatMessage("user", "Hi."),), text) for text in ("Yes.", "No. " * 30)]
    rows.append(Example((ChatMessage("user", "Why? " * 60),), "So.", part="simulation"))
    split = encode_split(Encoder(words, None, "x"), rows, 40)
    lengths = split.lengths
    assert (lengths.rows, lengths.truncated, lengths.dropped) == (2, 1, 1)
    assert lengths.too_long() == "1 (1 simulation)"
    assert [len(row["input_ids"]) for row in split.rows][1] == 40
    assert split.rows[1]["labels"][-1] != words.eos_token_id
    assert lengths.tokens == sum(len(row["input_ids"]) for row in split.rows)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "does not end an answer"),
        (
            CHATML.replace("{% endfor %}", "{% endfor %}That is all."),
            "another one once there is|otherwise once",
        ),
        (CHATML.replace("<|im_end|>\n", "<|im_end|> and so on\n"), "goes on after the end token"),
    ],
)
def test_templates_that_can_not_be_masked(template, why) -> None:
    encoder = Encoder(tokenizer(template), None, "odd")
    with pytest.raises(InputError, match=why):
        encoder.encode([ChatMessage("user", "Hi.")], "Yes.")


USER, GOOD, BAD = (
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
    {"role": "assistant", "content": "No."},
)
SYSTEM = {"role": "system", "content": "Be kind."}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Why?"}]}


@pytest.mark.parametrize(
    ("row", "system"),
    [
        ({"prompt": "Why?", "chosen": [GOOD], "rejected": [BAD]}, False),
        ({"prompt": "Why?", "chosen": [USER, GOOD], "rejected": [USER, BAD]}, False),
        ({"prompt": "Why?", "chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, True),
        ({"prompt": [SYSTEM, USER], "chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, True),
        ({"prompt": [SYSTEM], "chosen": [USER, GOOD], "rejected": [USER, BAD]}, True),
        ({"prompt": "Why?", "chosen": "So.", "rejected": "No."}, False),
        ({"prompt": None, "chosen": [USER, GOOD], "rejected": [USER, BAD]}, False),
        ({"chosen": [USER, GOOD], "rejected": [USER, BAD]}, False),
        ({"chosen": json.dumps([USER, GOOD]), "rejected": json.dumps([USER, BAD])}, False),
        (
            {
                "conversations": [{"from": "human", "value": "Why?"}],
                "chosen": {"from": "gpt", "value": "So."},
                "rejected": {"from": "gpt", "value": "No."},
            },
            False,
        ),
        ({"instruction": "Why?", "input": "", "chosen": "So.", "rejected": "No."}, False),
        ({"prompt": "Why?", "completion": "So."}, False),
        ({"prompt": "Why?", "completion": [GOOD]}, False),
        ({"prompt": "Why?", "completion": [USER, GOOD]}, False),
        ({"prompt": [USER], "completion": "So.", "system": "Be kind."}, True),
        ({"messages": json.dumps([USER, GOOD])}, False),
        ({"messages": str([USER, GOOD])}, False),
        ({"messages": [PARTS, GOOD]}, False),
        ({"messages": [{**SYSTEM, "role": "developer"}, PARTS, GOOD]}, True),
        ({"messages": [{**USER, "tool_calls": None, "name": None}, GOOD], "prompt": "Another."}, False),
        ({"conversations": [USER, GOOD]}, False),
        ({"conversations": [{"from": "Human", "value": "Why?"}, {"from": "gpt", "value": "So."}]}, False),
        ({"instruction": "Why?", "input": "", "output": "So.", "system": "", "history": "[]"}, False),
        ({"instruction": " ", "input": "Why?", "output": "So."}, False),
        ({"messages": [USER, GOOD], "system": [{"type": "text", "text": "Be kind."}]}, True),
        (
            {"chosen": "\n\nHuman: Why?\n\nAssistant: So.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
            False,
        ),
    ],
)
@pytest.mark.parametrize("kind", ["file", "folder", "csv"])
def test_rows_as_other_tools_write_them(tmp_path, row, system, kind) -> None:
    cells = {name: cell if isinstance(cell, str) else json.dumps(cell) for name, cell in row.items() if cell}
    if kind == "csv":
        with (tmp_path / "rows.csv").open("w", newline="") as file:
            csv.writer(file).writerows([cells, cells.values()])
    else:
        (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row))
    source = {"file": "rows.jsonl", "folder": "", "csv": "rows.csv"}[kind]
    example = read_examples(str(tmp_path / source), "dpo" if "chosen" in row else "sft")["train"][-1]
    prompt = (ChatMessage("user", "Why?"),)
    assert example.prompt == ((ChatMessage("system", "Be kind."), *prompt) if system else prompt)
    assert (example.answer, example.rejected) == ("So.", "No." if "chosen" in row else None)


def test_the_input_of_an_instruction_is_part_of_the_prompt(tmp_path) -> None:
    row = {"instruction": "Sum it up.", "input": "A text.", "output": "So."}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    (example,) = read_examples(str(tmp_path / "rows.jsonl"), "sft")["train"]
    assert example.prompt == (ChatMessage("user", "Sum it up.\n\nA text."),)


def test_a_list_of_rows_and_a_data_set_on_disk(tmp_path) -> None:
    import datasets

    rows = [{"messages": [PARTS, GOOD]}]
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=2))
    datasets.Dataset.from_list([{"messages": [USER, GOOD]}]).save_to_disk(tmp_path / "saved")
    for name in ("rows.json", "saved"):
        (example,) = read_examples(str(tmp_path / name), "sft")["train"]
        assert (example.prompt, example.answer) == ((ChatMessage("user", "Why?"),), "So.")


@pytest.mark.parametrize(
    ("row", "answer", "rejected"),
    [
        ({"prompt": "Why?", "chosen": "So.", "rejected": "No."}, "So.", "No."),
        ({"prompt": [USER], "completion": [GOOD], "label": True}, "So.", None),
        ({"prompt": "Why?", "completion": "No.", "label": False}, None, "No."),
        ({"prompt": "Why?", "completion": "", "label": "False"}, None, ""),
        ({"messages": [USER, BAD], "label": 0}, None, "No."),
        ({"instruction": "Why?", "output": "So.", "label": "true"}, "So.", None),
    ],
)
def test_single_answers_are_learned_or_avoided_as_their_label_says(tmp_path, row, answer, rejected) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    (example,) = read_examples(str(tmp_path / "rows.jsonl"), "kto")["train"]
    assert example == Example((ChatMessage("user", "Why?"),), answer, rejected, name="line 1")


def test_answers_apart_get_the_answer_to_another_prompt_too() -> None:
    words = words_of("chatml")

    def ask(what):
        return (ChatMessage("user", what),)

    train = [Example(ask("Why?"), "So.", "No."), Example(ask("Who?"), None, "You. " * 20)]
    long = Example(ask("Why? " * 60), "So.", "No.", part="preference")
    splits = encode_splits(
        Encoder(words, None, "x"), {"train": [*train, long], "validation": train[:1]}, 40, apart=True
    )
    rows = splits["train"].rows
    end = TEMPLATES["chatml"][1]
    assert [row["label"] for row in rows] == [True, False, False]
    assert [words.decode(row["completion_ids"]) for row in rows[:2]] == ["So." + end, "No." + end]
    assert rows[0]["prompt_ids"] == rows[1]["prompt_ids"] != rows[2]["prompt_ids"]
    others = [*[(row, rows[2]) for row in (*rows[:2], *splits["validation"].rows)], (rows[2], rows[0])]
    for row, other in others:
        assert row["KL_completion_ids"] == other["completion_ids"][: 40 - len(row["prompt_ids"])]
    lengths = splits["train"].lengths
    assert (lengths.rows, lengths.unlearned, lengths.truncated) == (3, 2, 1)
    assert (lengths.dropped, lengths.too_long()) == (2, "2 (2 preference)")
    assert lengths.counted == sum(len(row["completion_ids"]) for row in rows)
    with pytest.raises(InputError, match="different prompts; all rows here have the same"):
        encode_splits(Encoder(words, None, "x"), {"train": train[:1]}, 40, apart=True)


@pytest.mark.parametrize(
    ("row", "method", "why"),
    [
        ({"text": "x"}, "sft", "has the columns text"),
        (
            {"prompt": "Why?", "completion": "So."},
            "kto",
            "kto takes one with .*prompt and completion and label",
        ),
        ({"prompt": "Why?", "completion": "So.", "label": None}, "kto", "kto takes one with"),
        (
            {"prompt": "Why?", "completion": "So.", "label": "good"},
            "kto",
            "label is 'good'; write true or false",
        ),
        ({"prompt": "Why?", "completion": " ", "label": True}, "kto", "the answer to learn is empty"),
        ({"messages": [USER, {**GOOD, "weight": 0}]}, "sft", "marked as not to be learned"),
        ({"prompt": "Why?", "completion": ["So.", "No."]}, "sft", "is a list of several texts"),
        (
            {"instruction": "Why?", "input": 5, "output": "So."},
            "sft",
            "has an input beside it that is not text",
        ),
        ({"messages": [USER, GOOD], "system": 5}, "sft", "comes with a system that is not text"),
        ({"prompt": [], "completion": [{"role": "assistant", "content": "x"}]}, "dpo", "chosen and rejected"),
        ({"messages": [{"role": "user", "content": "x"}]}, "sft", "does not end with what a user says"),
        ({"messages": [{"role": "user", "content": "x"}] * 2}, "sft", "not one message of the assistant"),
        ({"messages": [{"role": "bard", "content": "x"}] * 2}, "sft", "no known role"),
        ({"messages": ["Why?", "So."]}, "sft", "message 1 has no known role"),
        ({"messages": "Why?"}, "sft", "column 'messages' can't be read as a chat; write a list of messages"),
        ({"messages": [None, GOOD]}, "sft", "message 1 has no known role; write role"),
        ({"messages": None}, "sft", "has the columns none; sft takes one with messages"),
        ({"messages": []}, "sft", "holds no messages; write a list"),
        ({"messages": {}}, "sft", "message 1 has no known role"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "sft", "message 2 holds no text"),
        ({"messages": [USER, {**GOOD, "tool_calls": [{}]}]}, "sft", "message 2 holds calls of tools"),
        ({"messages": [USER, {**GOOD, "content": " "}]}, "sft", "the answer to learn is empty"),
        (
            {"messages": [{**PARTS, "content": [{"type": "image"}]}, GOOD]},
            "sft",
            "a part of the type 'image'",
        ),
        ({"messages": 7}, "sft", "holds no messages"),
        ({"prompt": " ", "completion": "So."}, "sft", "does not end with what a user says"),
        ({"prompt": "Why?", "completion": 7}, "sft", "column 'completion' is not text"),
        (
            {"prompt": "Why?", "completion": '[{"role": "assistant", "content": "S'},
            "sft",
            "be read as a chat",
        ),
        ({"prompt": "Who?", "chosen": [USER, GOOD], "rejected": [USER, BAD]}, "dpo", "not in the chats"),
        ({"chosen": [USER, GOOD], "rejected": [PARTS, USER, BAD]}, "dpo", "differ before their last message"),
        ({"chosen": "Why? So.", "rejected": "Why? No."}, "dpo", "has no prompt; add a column prompt"),
        ({"instruction": "Why?", "output": "So.", "history": [["A", "B"]]}, "sft", "has a history"),
    ],
)
def test_data_that_can_not_be_learned_from(tmp_path, row, method, why) -> None:
    (tmp_path / "rows.jsonl").write_text("\n" + json.dumps(row) + "\n")
    with pytest.raises(InputError, match=f"rows.jsonl, line 2.*{why}"):
        read_examples(str(tmp_path / "rows.jsonl"), method)


def test_a_broken_row_is_named(tmp_path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": [USER, GOOD]}) + "\n{")
    with pytest.raises(InputError, match="line 2: it is not valid JSON"):
        read_examples(str(tmp_path / "rows.jsonl"), "sft")
