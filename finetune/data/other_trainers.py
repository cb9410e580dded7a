"""How other trainers find the rows: LLaMA-Factory by `dataset_info.json`, Axolotl by a stanza of YAML."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import yaml

from finetune.data.formats import PREFERENCES, SHAREGPT_ROLES

LLAMA_FACTORY, AXOLOTL = "dataset_info.json", "axolotl.yaml"

OPENAI_ROLES = {role: role for role in SHAREGPT_ROLES}

_CHATS: dict[str, tuple[str, str, str, Mapping[str, str]]] = {
    "messages": ("messages", "role", "content", OPENAI_ROLES),
    "sharegpt": ("conversations", "from", "value", SHAREGPT_ROLES),
    "sharegpt-preference": ("conversations", "from", "value", SHAREGPT_ROLES),
}
"""Formats that both read: column of the chat, keys of speaker and text in a message, speakers' names."""

_ABOUT = """\
# For an Axolotl configuration. Paths are from the folder of this file: put its own before them, or run there.
"""


def is_read_elsewhere(name: str) -> bool:
    """Whether LLaMA-Factory and Axolotl read a format."""
    return name in _CHATS


def llama_factory(name: str, files: Mapping[str, str]) -> dict[str, Any]:
    """What `dataset_info.json` says of a format, with the path of each split's rows from its folder."""
    column, role, content, roles = _CHATS[name]
    answers = {"chosen": "chosen", "rejected": "rejected"} if name in PREFERENCES else {}
    form = {
        "formatting": "sharegpt",
        **({"ranking": True} if answers else {}),
        "columns": {"messages": column, **answers},
        "tags": {
            "role_tag": role,
            "content_tag": content,
            **{f"{speaker}_tag": said for speaker, said in roles.items()},
        },
    }
    return {f"monopolylogue_{split}": {"file_name": path, **form} for split, path in files.items()}


def axolotl(name: str, files: Mapping[str, str]) -> str:
    """Keys of an Axolotl configuration for a format and the files of its splits: the loss is the answer's."""
    column, role, content, roles = _CHATS[name]
    form: dict[str, Any] = {
        "field_messages": column,
        "message_property_mappings": {"role": role, "content": content},
        "roles": {speaker: [said] for speaker, said in roles.items()},
    }
    if name in PREFERENCES:
        form |= {"type": "chat_template.default", "field_chosen": "chosen", "field_rejected": "rejected"}
    else:  # with both of them empty, nothing but the last message is learned
        form |= {"type": "chat_template", "roles_to_train": None, "train_on_eos": None}
    keys: dict[str, Any] = {"rl": "dpo"} if name in PREFERENCES else {}
    for split, path in files.items():
        kind = "parquet" if path.endswith(".parquet") else "json"
        key = "datasets" if split == "train" else "test_datasets"
        keys[key] = [
            {"path": path, "ds_type": kind, "split": "train", **deepcopy(form)}
        ]  # else YAML refers back
    return _ABOUT + yaml.safe_dump(keys, sort_keys=False)
