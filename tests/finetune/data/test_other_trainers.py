"""LLaMA-Factory and Axolotl find the rows as their documentation says they look for them.

https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md,
https://docs.axolotl.ai/docs/dataset-formats/conversation.html and https://docs.axolotl.ai/docs/rlhf.html
"""

import json

import pytest
import yaml

from finetune.data.formats import FORMATS, PREFERENCES
from finetune.data.other_trainers import AXOLOTL, LLAMA_FACTORY, is_read_elsewhere
from finetune.data.write import write_dataset
from finetune.examples import read_examples
from tests.finetune.scenes import made, record

READ = [name for name in FORMATS if is_read_elsewhere(name)]
ENTRY = {"file_name", "formatting", "ranking", "columns", "tags"}
COLUMNS = {"messages", "chosen", "rejected"}
TAGS = {"role_tag", "content_tag", "user_tag", "assistant_tag", "system_tag"}
STANZA = {
    *("path", "ds_type", "split", "type", "field_messages", "message_property_mappings", "roles"),
    *("field_chosen", "field_rejected", "roles_to_train", "train_on_eos"),
}


@pytest.fixture
def written(tmp_path):
    """`written(format)`: the folder of a data set, and its examples by split."""

    def write(name, **settings):
        folder = tmp_path / "data"
        records = [record(n, revised=n % 2 == 0) for n in range(10)]
        write_dataset(made(records, format=name, near=100.0, validation=0.3, **settings), folder)
        return folder, read_examples(str(folder), "dpo" if name in PREFERENCES else "sft")

    return write


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def expected(example):
    return [(message.role, message.content) for message in example.prompt]


@pytest.mark.parametrize("name", READ)
def test_llama_factory_reads_the_same_chats(written, name):
    folder, examples = written(name)
    info = json.loads((folder / LLAMA_FACTORY).read_text())
    assert list(info) == [f"monopolylogue_{split}" for split in examples]
    for entry, own in zip(info.values(), examples.values(), strict=True):
        assert entry.keys() <= ENTRY
        assert entry["columns"].keys() <= COLUMNS
        assert entry["tags"].keys() == TAGS
        assert entry["formatting"] == "sharegpt"
        assert entry.get("ranking", False) == (name in PREFERENCES)
        tags, columns = entry["tags"], entry["columns"]
        roles = {tags[f"{role}_tag"]: role for role in ("user", "assistant", "system")}

        def said(message, tags=tags, roles=roles):
            return roles[message[tags["role_tag"]]], message[tags["content_tag"]]

        for row, example in zip(lines(folder / entry["file_name"]), own, strict=True):
            chat = [said(message) for message in row[columns["messages"]]]
            if name in PREFERENCES:  # one message each, and the chat ends with the user
                assert said(row[columns["chosen"]]) == ("assistant", example.answer)
                assert said(row[columns["rejected"]]) == ("assistant", example.rejected)
            else:
                assert chat.pop() == ("assistant", example.answer)
            assert chat == expected(example)
            turns = chat[1:] if chat[0][0] == "system" else chat
            assert [role for role, _ in turns] == [("user", "assistant")[n % 2] for n in range(len(turns))]
            assert len(turns) % 2


@pytest.mark.parametrize("name", READ)
def test_axolotl_reads_the_same_chats(written, name):
    folder, examples = written(name)
    keys = yaml.safe_load((folder / AXOLOTL).read_text())
    assert keys.pop("rl", None) == ("dpo" if name in PREFERENCES else None)
    assert list(keys) == ["datasets", "test_datasets"]
    for (stanza,), own in zip(keys.values(), examples.values(), strict=True):
        assert stanza.keys() <= STANZA
        assert (stanza["ds_type"], stanza["split"]) == ("json", "train")
        assert stanza["type"] == ("chat_template.default" if name in PREFERENCES else "chat_template")
        if name not in PREFERENCES:  # "training on only last message"
            assert (stanza["roles_to_train"], stanza["train_on_eos"]) == (None, None)
        keys_of = stanza["message_property_mappings"]
        roles = {said: role for role, (said,) in stanza["roles"].items()}

        def said(message, keys_of=keys_of, roles=roles):
            return roles[message[keys_of["role"]]], message[keys_of["content"]]

        for row, example in zip(lines(folder / stanza["path"]), own, strict=True):
            chat = [said(message) for message in row[stanza["field_messages"]]]
            if name in PREFERENCES:
                assert said(row[stanza["field_chosen"]]) == ("assistant", example.answer)
                assert said(row[stanza["field_rejected"]]) == ("assistant", example.rejected)
            else:
                assert chat.pop() == ("assistant", example.answer)
            assert chat == expected(example)


def test_formats_that_they_can_not_read_get_no_such_files(written):
    assert READ == ["messages", "sharegpt", "sharegpt-preference"]
    folder, _ = written("messages")
    assert (folder / LLAMA_FACTORY).exists()
    folder, _ = written("preference")  # replaces the other
    assert not (folder / LLAMA_FACTORY).exists()
    assert not (folder / AXOLOTL).exists()


def test_parquet_is_told_as_such(written):
    folder, _ = written("sharegpt", parquet=True)
    (stanza,) = yaml.safe_load((folder / AXOLOTL).read_text())["datasets"]
    assert (stanza["ds_type"], stanza["path"]) == ("parquet", "data/train.parquet")
    assert (
        json.loads((folder / LLAMA_FACTORY).read_text())["monopolylogue_train"]["file_name"] == stanza["path"]
    )


def test_both_kinds_of_preferences_are_the_same_to_train_on(written):
    assert written("sharegpt-preference")[1] == written("preference")[1]
