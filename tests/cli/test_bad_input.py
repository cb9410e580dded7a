"""What a user can get wrong: one sentence on standard error, exit code 2, before any model is loaded."""

import os
import stat
import threading

import pytest

QUESTION = "Why?"


def refused(done, *words):
    """The one sentence of a refusal."""
    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("monopolylogue: ")
    assert "\x1b" not in line
    for word in words:
        assert word in line
    return line


@pytest.mark.parametrize(
    "question", ["", "  \n", "\x00\x1b\x07", "\ud800", "\u202e", "\u200b\U000e0041\ufe0f\u3164"]
)
def test_nothing_to_answer(monopolylogue, loader, question):
    refused(monopolylogue("run", question), "The question is empty")
    assert loader.asked == []


def test_a_question_keeps_its_own_text(monopolylogue, loader):
    done = monopolylogue("run", "What does <|im_end|> in <s>ChatML</s> mean?", "--json")
    assert done.exit_code == 0
    assert '"question":"What does <|im_end|> in <s>ChatML</s> mean?"' in done.stdout


def test_control_characters_and_lone_surrogates_are_dropped(monopolylogue, loader):
    done = monopolylogue("run", "W\x00h\x1by\ud800?\U000e0041", "--json")
    assert done.exit_code == 0
    assert '"question":"Why?"' in done.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("Wh\udcffy?",), "The argument 'Wh\\xffy?' is not UTF-8 text"),
        (("\udcff\udcfe",), "The argument '\\xff\\xfe' is not UTF-8 text"),
        ((QUESTION, "--answer", "caf\udce9"), "The argument 'caf\\xe9' of --answer is not UTF-8 text"),
        ((QUESTION, "--answer=caf\udce9"), "The argument '--answer=caf\\xe9' is not UTF-8 text"),
    ],
)
def test_an_argument_that_is_no_text_is_named(monopolylogue, loader, words, named):
    refused(monopolylogue("run", *words), named)
    assert loader.asked == []


@pytest.mark.parametrize("size", [200_000, 900_000])
def test_long_question(monopolylogue, loader, size):
    refused(monopolylogue("run", "-", input=b"x" * size), f"The question has {size:,} characters")
    assert loader.asked == []


def test_long_answer(monopolylogue, loader):
    done = monopolylogue("run", QUESTION, "--answer", "x" * 64_001)
    refused(done, "The first answer has 64,001 characters; at most 64,000 are accepted.")
    assert loader.asked == []


def test_endless_standard_input(monopolylogue, loader):
    refused(monopolylogue("run", "-", input=b"x" * 2_000_000), "more than 1,000,000 bytes")


def test_standard_input_that_is_no_text(monopolylogue, loader):
    refused(monopolylogue("run", "-", input=b"Wh\xffy?"), "not UTF-8 text (byte 2)")
    refused(monopolylogue("run", "-", input=b""), "The question is empty")
    assert loader.asked == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--roles", "0"], "roles must be between 1 and 8, not 0."),
        (["--roles", "9"], "roles must be between 1 and 8, not 9."),
        (["--steps", "1"], "steps must be between 2 and 8, not 1."),
        (["--max-interactions", "0"], "max_interactions must be between 1 and 64, not 0."),
        (["--temperature", "-1"], "temperature must be between 0 and 2, not -1.0."),
        (["--temperature", "nan"], "temperature must be between 0 and 2, not nan."),
        (["--answer", " \x1b"], "The answer given with --answer is empty"),
    ],
)
def test_settings_out_of_range(monopolylogue, loader, options, sentence):
    refused(monopolylogue("run", QUESTION, *options), sentence)
    assert loader.asked == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "no-such-model"], ["There is no model 'no-such-model'", "give `default`"]),
        (["--model", "\x1b[31m\ud800"], ["is not a model's name"]),
        (["--model", "/no/such/folder"], ["There is no model"]),
        (["--engine", "warp"], ["There is no engine 'warp'", "transformers"]),
        (["--dtype", "int3"], ["There is no dtype 'int3'"]),
        (["--device", "abacus"], ["abacus"]),
    ],
)
@pytest.mark.usefixtures("allow_load_engine")
def test_unknown_model_or_engine(monopolylogue, options, words):
    refused(monopolylogue("run", QUESTION, *options), *words)


def test_unwritable_out(monopolylogue, loader, tmp_path):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name, word in [
        ("missing/scene.json", "No such file or directory"),
        ("file/scene.json", "Not a directory"),
        ("x" * 300, "File name too long"),
        (".", "is a folder"),
        ("pipe", "not a regular file"),
    ]:
        refused(monopolylogue("run", QUESTION, "--out", f"{tmp_path}/{name}"), word)
    assert loader.asked == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_out_in_a_read_only_folder(monopolylogue, loader, tmp_path):
    tmp_path.chmod(0o500)
    refused(monopolylogue("run", QUESTION, "--out", f"{tmp_path}/scene.json"), "Permission denied")


@pytest.mark.parametrize(
    "arguments", [["run", QUESTION, "--roles", "many"], ["run", QUESTION, "--no-such"], ["rum"]]
)
def test_usage_errors(monopolylogue, arguments):
    done = monopolylogue(*arguments)
    assert done.exit_code == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_path_that_no_file_can_have(monopolylogue, tmp_path):
    refused(monopolylogue("export", "x" * 300, "--out", str(tmp_path)), "can't be used (File name too long)")


def test_messages_from_a_pipe_are_read_once(monopolylogue, loader, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    said = '[{"role": "user", "content": "Why?"}]'
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=[said], daemon=True)
    writer.start()
    assert '"question":"Why?"' in monopolylogue("run", "--messages", f"{tmp_path}/pipe", "--json").stdout
    refused(monopolylogue("run", "--messages", "/dev/zero"), "more than 1,000,000 bytes")


def test_no_question_at_all(monopolylogue):
    refused(monopolylogue("run"), "There is no question; give one, or a conversation with --messages FILE.")
