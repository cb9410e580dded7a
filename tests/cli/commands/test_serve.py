"""`monopolylogue serve`: what can't be served, and a server as a process."""

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from scene.export import Export
from tests.cli.test_bad_input import refused

KEY = "MONOPOLYLOGUE_SERVE_KEY"
BODY = {"model": "scripted", "messages": [{"role": "user", "content": "Why?"}]}


@pytest.mark.parametrize(
    ("host", "key", "words"),
    [
        ("0.0.0.0", None, (KEY, "0.0.0.0")),
        ("192.168.1.4", "", (KEY,)),
        ("::", " ", (KEY,)),
        ("localhost.example", None, (KEY,)),
        ("", None, (KEY,)),
        ("0.0.0.0", "two words", ("holds characters",)),
        ("127.0.0.1", "schlüssel", ("holds characters",)),
    ],
)
def test_another_address_needs_a_key(monopolylogue, loader, monkeypatch, host, key, words):
    if key is not None:
        monkeypatch.setenv(KEY, key)
    refused(monopolylogue("serve", "--host", host), *words)
    assert loader.asked == []


def test_a_port_that_is_taken(monopolylogue, loader):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused(monopolylogue("serve", "--port", port), f"127.0.0.1, port {port}", "--port")
    assert loader.asked == []


def test_a_folder_that_holds_an_export(monopolylogue, loader, tmp_path):
    (tmp_path / "q.txt").write_text("Why?\n")
    folder = str(tmp_path / "scenes")
    options = ["--roles", "1", "--steps", "2", "--max-interactions", "2"]
    assert monopolylogue("export", str(tmp_path / "q.txt"), "--out", folder, *options).exit_code == 0
    refused(monopolylogue("serve", "--port", "0", "--out", folder), "holds an export", "--out")
    assert len(loader.asked) == 1


def listening(process):
    """The address that a server says it listens at."""
    line = process.stderr.readline()
    assert line.startswith("scripted answers at http://127.0.0.1:")
    return line.split()[-1]


def post(url):
    return httpx.post(f"{url}/chat/completions", json=BODY, timeout=60, trust_env=False)


@pytest.mark.xdist_group("commands")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_the_scenes_and_the_server(commands, number, code):
    words = ["slow", "serve", "--port", "0", "--rehearse", "always"]
    with commands.process("tests.cli.child", *words) as process, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(post, listening(process))
        assert process.stderr.readline() == "asleep\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == code
        out, err = process.communicate()
    assert answer.result().status_code == 503
    assert answer.result().json()["error"]["message"] == "The server is stopping."
    assert out == ""
    said = [line for line in err.splitlines() if line != "asleep"]
    assert "the server stopped" in said[0]
    assert said[1:] == ["Interrupted. 0 requests were answered."] * (number == signal.SIGINT)


@pytest.mark.xdist_group("commands")
def test_an_engine_that_died_ends_the_server(commands):
    with commands.process("tests.cli.child", "dead", "serve", "--port", "0") as process:
        assert post(listening(process)).status_code == 503
        assert process.wait(timeout=30) == 1
        _, err = process.communicate()
    assert err.splitlines()[-1] == "monopolylogue: The engine died. gone"


@pytest.mark.xdist_group("commands")
def test_records_are_kept_and_added_to(commands, monopolylogue, tmp_path):
    folder = tmp_path / "scenes"
    small = ["--roles", "1", "--steps", "2", "--max-interactions", "2"]
    words = ["plain", "serve", "--port", "0", "--rehearse", "always", "--out", str(folder), *small]
    ids = []
    for _ in range(2):
        with commands.process("tests.cli.child", *words) as process:
            answer = post(listening(process))
            ids.append(answer.headers["x-monopolylogue-record"])
            assert len([*Export(folder).scenes()]) == len(ids)  # while it runs
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
            _, err = process.communicate()
            assert f"scene {ids[-1]}" in err
    export = Export(folder)
    assert [record.id for record in export.scenes()] == ids
    assert (export.manifest.state, export.manifest.counts.done) == ("finished", 2)
    shown = monopolylogue("explain", str(folder), ids[1])
    assert answer.json()["choices"][0]["message"]["content"].split("\n")[0] in shown.stdout
    (tmp_path / "q.txt").write_text("Why?\n")
    refused(
        monopolylogue("export", str(tmp_path / "q.txt"), "--out", str(folder), *small, "--seed", "1"), "seed"
    )
    assert json.loads((folder / "manifest.json").read_text())["source"] == "serve"
