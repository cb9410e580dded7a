"""What every scene asks is computed by the first process, and read by the next."""

import asyncio
import errno
import os

import pytest

from benchmarks.measure import Metered
from inference import inventory
from inference.batching.blocks import PAGE
from inference.engine import ChatMessage, GenerationRequest
from inference.llama_engine import beginnings
from inference.llama_engine.beginnings import Beginnings, beginnings_of
from inference.llama_engine.engine import LlamaEngine
from inference.llama_engine.limits import Limits
from inference.llama_engine.model import LlamaModel
from inference.loading import load_engine
from nodes.foresight import graded
from scene.errors import InputError
from scene.nouns import ModelIdentity
from tests.inference.tiny_llama import CONTEXT
from tests.inference.transformers_engine.driving import gather
from tests.nodes.stage import asker

IDENTITY = ModelIdentity(id="random", revision="0" * 64, engine="llama")


def asked(question, max_tokens=6, example="Who would be harmed?", **settings):
    chat = (
        ChatMessage("system", "The farmer sells apples at the market, and the neighbour watches."),
        ChatMessage("user", example),
        ChatMessage("assistant", "keep revise drop"),
        ChatMessage("user", question),
    )
    return GenerationRequest(messages=chat, max_tokens=max_tokens, fixed=3, **settings)


REQUESTS = [
    asked("Who?"),
    asked("The neighbour sells apples."),
    asked("W", choices=("Al", "Bob"), weigh=True),
]


@pytest.fixture
def play(gguf_path, words, tmp_path):
    """`play(requests=...)`: what a process says that begins with what lies on disk."""

    def play(requests=REQUESTS, kept=None, limits=None):
        model = LlamaModel(gguf_path, "random")
        kept = kept or Beginnings(tmp_path / "beginnings" / "one", "random", "0")
        made = LlamaEngine(
            model, words, IDENTITY, CONTEXT, threads=1, limits=limits or Limits(rows=1), beginnings=kept
        )
        try:
            return asyncio.run(gather(made, requests))
        finally:
            made.close()

    return play


@pytest.fixture
def files(tmp_path):
    return lambda: sorted((tmp_path / "beginnings").glob("*/*.safetensors"))


def facts(completions):
    return [(each.text, each.completion_tokens, each.likelihoods) for each in completions]


def test_the_next_process_begins_with_what_the_first_computed(play, files):
    first = play()
    (path,) = files()
    written = path.read_bytes()
    os.utime(path, (1, 1))
    second = play()
    assert facts(second) == facts(first)
    assert [path.read_bytes() for path in files()] == [written]
    assert path.stat().st_mtime > 1, "it counts as used"
    assert first[0].cached_tokens == 0
    cached = second[0].cached_tokens
    assert cached % PAGE == 0
    assert 0 < first[0].prompt_tokens - cached < 2 * PAGE + 10
    assert [each.cached_tokens >= cached for each in second] == [True] * 3


def test_only_what_is_fixed_is_kept(play, files):
    play([GenerationRequest(messages=REQUESTS[0].messages, max_tokens=2)])
    assert files() == []
    play([asked("x", example="Somebody else."), asked("y"), asked("z" * 100)])
    assert len(files()) == 2
    play(REQUESTS, limits=Limits(rows=1, prefix_bytes=0))
    assert len(files()) == 2


def cut(data):
    return data[:-100]


def empty(data):
    return b""


def flipped(data):
    return data[:-5000] + bytes([data[-5000] ^ 1]) + data[-4999:]


def other_header(data):
    return data[:20] + b"}" + data[21:]


def no_file_of_ours(data):
    return b"\xff" * len(data)


@pytest.mark.parametrize("damage", [cut, empty, flipped, other_header, no_file_of_ours])
def test_what_is_damaged_is_made_anew(play, files, caplog, damage):
    first = play()
    (path,) = files()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = play()
    assert facts(again) == facts(first)
    assert again[0].cached_tokens == 0
    assert path.read_bytes() == whole
    (record,) = caplog.records
    assert "damaged" in record.message


def test_a_file_of_another_length_is_not_believed(play, files, caplog):
    play([asked("x", example="Somebody else. " * 3), asked("y")])
    one, other = files()
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    play([asked("x", example="Somebody else. " * 3), asked("y")])
    assert one.read_bytes() == content
    assert len(caplog.records) == 1


def test_a_full_disk_is_said_once(play, files, caplog, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(beginnings, "replace_file", full)
    completions = play([*REQUESTS, asked("x", example="Another.")])
    assert [each.finish_reason in ("stop", "length") for each in completions] == [True] * 4
    assert files() == []
    (record,) = caplog.records
    assert "can't be kept" in record.message
    assert "No space left on device" in record.message


def test_a_folder_that_is_none_is_said_once(play, tmp_path, caplog):
    (tmp_path / "beginnings").write_text("a file")
    first = play()
    assert len(first) == 3
    assert len(caplog.records) == 1


def test_a_disk_that_can_not_be_read(play, caplog, monkeypatch):
    first = play()

    def unreadable(path, blocks):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(beginnings, "_unpacked", unreadable)
    assert facts(play()) == facts(first)
    assert len(caplog.records) == 1


def test_the_least_recently_used_make_room(play, files, tmp_path):
    play([asked("x")])
    (first,) = files()
    limit = int(3.5 * first.stat().st_size)
    kept = Beginnings(tmp_path / "beginnings" / "two", "random", "0", limit)
    (tmp_path / "beginnings" / "one" / "half.tmp").write_bytes(b"x" * 100)
    os.utime(tmp_path / "beginnings" / "one" / "half.tmp", (5, 5))
    for age, example in enumerate("ABC"):
        play([asked("x", example=f"{example} would be harmed?")], kept)
        for path in set(files()):
            if path.stat().st_mtime > 1000:
                os.utime(path, (age + 10, age + 10))
    assert len(files()) == 3
    assert first not in files()
    assert not (tmp_path / "beginnings" / "one" / "half.tmp").exists()
    oldest = min(files(), key=lambda path: path.stat().st_mtime)
    play([asked("x", example="A would be harmed?"), asked("x", example="D would be harmed?")], kept)
    assert oldest in files(), "it was used"
    assert len(files()) == 3


def test_what_is_larger_than_all_room_is_not_kept(play, files, tmp_path):
    play([asked("x")], Beginnings(tmp_path / "beginnings" / "two", "random", "0", 1000))
    assert files() == []


def test_two_engines_at_once(gguf_path, words, tmp_path, play, files):
    first = play()
    for path in files():
        path.unlink()
    engines = [
        LlamaEngine(
            LlamaModel(gguf_path, "random"),
            words,
            IDENTITY,
            CONTEXT,
            threads=1,
            beginnings=Beginnings(tmp_path / "beginnings" / "one", "random", "0"),
        )
        for _ in range(2)
    ]

    async def both():
        return await asyncio.gather(*(gather(made, REQUESTS) for made in engines))

    try:
        one, other = asyncio.run(both())
    finally:
        for made in engines:
            made.close()
    for said in (one, other):
        assert [each.text for each in said] == [each.text for each in first]
    assert len(files()) == 1
    assert facts(play()) == facts(first)


def test_another_model_or_library_has_a_folder_of_its_own(monkeypatch):
    monkeypatch.setenv("MONOPOLYLOGUE_NO_BEGINNINGS", "no")
    one = beginnings_of(IDENTITY)._folder
    other = beginnings_of(IDENTITY.model_copy(update={"revision": "1" * 64}))._folder
    monkeypatch.setattr(beginnings, "VERSION", "0.1.6")
    newer = beginnings_of(IDENTITY)._folder
    assert len({one, other, newer}) == 3
    assert beginnings_of(IDENTITY.model_copy(update={"revision": None})) is None
    monkeypatch.setenv("MONOPOLYLOGUE_NO_BEGINNINGS", "yes")
    assert beginnings_of(IDENTITY) is None
    monkeypatch.setenv("MONOPOLYLOGUE_NO_BEGINNINGS", "perhaps")
    with pytest.raises(InputError, match="yes or no"):
        beginnings_of(IDENTITY)


def test_they_are_listed_and_can_go(gguf_path, tmp_path, monkeypatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path))
    monkeypatch.setenv("MONOPOLYLOGUE_NO_BEGINNINGS", "no")
    made = load_engine(str(gguf_path), engine="llama", threads=1)
    try:
        asyncio.run(gather(made, REQUESTS))
    finally:
        made.close()
    (kept,) = (each for each in inventory.inventory() if each.kind == "beginnings of prompts")
    assert (kept.name, kept.revision, kept.engines) == (str(gguf_path), made.identity.revision, ())
    assert kept.size > 10_000
    inventory.discard(kept)
    assert [each.kind for each in inventory.inventory()] == ["tokenizer"]


@pytest.mark.model
def test_a_node_asks_with_what_the_process_before_has_kept(tiny_gguf, tmp_path, monkeypatch):
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path))
    monkeypatch.setenv("MONOPOLYLOGUE_NO_BEGINNINGS", "no")

    def first_call():
        made = load_engine(str(tiny_gguf), engine="llama", threads=1)
        metered = Metered(made)
        try:
            asyncio.run(graded(asker(metered), "The dog barks all night."))
        finally:
            made.close()
        return metered.total

    computed, kept = first_call(), first_call()
    assert computed.cached_tokens == 0
    assert kept.cached_tokens > kept.prompt_tokens // 2


def test_the_last_message_is_never_fixed():
    with pytest.raises(ValueError, match="never fixed"):
        GenerationRequest(messages=(ChatMessage("user", "x"),), max_tokens=1, fixed=1)
