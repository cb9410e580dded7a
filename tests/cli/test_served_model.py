"""`monopolylogue run --base-url`: a whole scene over HTTP, on a server that replies from the script."""

import json
import os
import signal
from collections.abc import Callable

import pytest

from evaluation.planted import planted_pairs
from inference.engine import ChatMessage, GenerationRequest
from scene.record import SceneRecord
from tests.forked import ForkServer
from tests.loopback import Exchange, Loopback, Waits, completion, lists, loopback, refuses, says
from tests.scripted_scene import scene_script

pytestmark = [pytest.mark.usefixtures("allow_load_engine"), pytest.mark.xdist_group("commands")]

QUESTION = "May I keep the rent back until the heating works?"


def plays(exchange: Exchange) -> None:
    """Reply as the scripted player would, in the shape that the request's response_format has."""
    body = exchange.body
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    forms = schema["properties"] if schema else {}
    reply = scene_script(
        GenerationRequest(
            messages=tuple(ChatMessage(message["role"], message["content"]) for message in body["messages"]),
            max_tokens=body["max_tokens"],
            choices=tuple(forms.get("reply", {}).get("enum", ())),
        )
    )
    if forms:
        reply = json.dumps(dict(zip(forms, reply.split("\n"), strict=True)))
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    exchange.send(completion(reply, "stop", usage))


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def server():
    with loopback(plays) as server:
        yield server


@pytest.fixture
def child(commands: ForkServer) -> Callable[..., tuple[int, str, str]]:
    """`child("run", ...)`: exit code, output and errors of a process; warnings go where a user sees them."""

    def run(*arguments: str, **options: object) -> tuple[int, str, str]:
        with commands.process("cli.main", *arguments, **options) as process:
            said = process.communicate()
        return process.returncode, *said

    return run


def test_plays_a_scene(monopolylogue, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    url = server.url.replace("127", "ann:password@127", 1)  # the port may hold it too
    done = monopolylogue("run", QUESTION, "--json", "--base-url", url)
    assert done.exit_code == 0
    assert done.stderr == ""
    record = SceneRecord.from_json(done.stdout)
    assert (record.model.id, record.model.revision, record.model.engine) == ("parrot", "served", "openai")
    assert record.model.details == {"server": server.url}
    assert not any(secret in done.stdout for secret in ("secret", "password", "ann:"))
    assert len(record.cast) == 5
    assert len(server.posts) == sum(cost.calls for cost in record.cost.values())
    assert sum(cost.cached_tokens for cost in record.cost.values()) == len(server.posts)


def test_judges_and_grades(monopolylogue, tmp_path) -> None:
    better = {pair.better for pair in planted_pairs()}

    def act(exchange: Exchange) -> None:
        said = exchange.body["messages"][-1]["content"]
        if "<second>" not in said:
            return plays(exchange)
        first = said.partition("<first>\n")[2].partition("\n</first>")[0]
        reply = {"reply": "the first" if first in better else "the second"}
        return exchange.send(
            completion(json.dumps(reply), "stop", {"prompt_tokens": 5, "completion_tokens": 2})
        )

    (tmp_path / "q.txt").write_text(f"{QUESTION}\n")
    with loopback(act) as server:
        systems = [f"--system={name}=parrot,base_url={server.url}" for name in ("base", "other")]
        systems[1] += ",method=context_distillation"
        others = (
            "--judge",
            "parrot",
            "--judge-url",
            server.url,
            "--grader",
            "parrot",
            "--grader-url",
            server.url,
        )
        done = monopolylogue(
            "evaluate", *systems, "--set", f"own={tmp_path / 'q.txt'}", *others, "--no-likelihood", "--json",
            "--out", str(tmp_path / "out"),
        )  # fmt: skip
    assert done.exit_code == 0, done.output
    results = json.loads(done.stdout)
    assert results["judging"]["used"] == "comparison"
    assert [one["tie"]["value"] for one in results["judged"]] == [1]
    graded = [one["estimate"]["value"] for one in results["figures"] if one["metric"] == "refusal_graded"]
    assert graded == [1, 1]


def test_is_the_same_scene_as_without_a_server(monopolylogue, child, server: Loopback, loader) -> None:
    """The shapes survive the way there and back."""
    record = SceneRecord.from_json(monopolylogue("run", QUESTION, "--json").stdout)
    (asked,) = loader.asked
    assert (asked["base_url"], asked["structured"]) == (None, True)
    environment = {**os.environ, "MONOPOLYLOGUE_BASE_URL": server.url}
    _, out, _ = child("run", QUESTION, "--json", environment=environment)
    served = SceneRecord.from_json(out)
    assert served.model_dump(include={"cast", "plan", "events", "consequences", "critique", "answer"}) == (
        record.model_dump(include={"cast", "plan", "events", "consequences", "critique", "answer"})
    )


def test_model_that_the_server_lacks(monopolylogue, server: Loopback) -> None:
    server.list_models = lists("a", "b")
    for options in ([], ["--model", "c"]):
        done = monopolylogue("run", QUESTION, "--base-url", server.url, *options)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith(f"monopolylogue: The server at {server.url} has ")
        assert "a, b." in done.stderr
    assert server.posts == []


def test_no_server_there(monopolylogue, server: Loopback) -> None:
    server.shutdown()
    server.server_close()
    done = monopolylogue("run", QUESTION, "--base-url", server.url)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"monopolylogue: No server answers at {server.url} (")


def test_engine_without_address(monopolylogue) -> None:
    done = monopolylogue("run", QUESTION, "--engine", "openai")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "monopolylogue: The engine `openai` needs a server; give --base-url, "
        "such as http://127.0.0.1:8000/v1.\n"
    )


def test_a_server_that_refuses_shapes(monopolylogue, server: Loopback) -> None:
    def refuse(exchange: Exchange) -> None:
        if "response_format" in exchange.body:
            refuses(400, "response_format is not supported")(exchange)
        else:
            plays(exchange)

    server.act = refuse
    done = monopolylogue("run", QUESTION, "--base-url", server.url)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        f"monopolylogue: The server at {server.url} refuses response_format (400): "
        "response_format is not supported. If it can't hold replies to a shape, give --no-structured."
    )


def test_no_structured_says_the_shapes_in_words(monopolylogue, server: Loopback) -> None:
    def plain(exchange: Exchange) -> None:
        assert "response_format" not in exchange.body
        last = exchange.body["messages"][-1]
        said, words, shape = last["content"].rpartition("\n\nReply with ")
        if choices := shape.partition("exactly one of these, and nothing else: ")[2]:
            return says(choices.split(",")[0])(exchange)
        last["content"] = said if words else shape
        return plays(exchange)

    server.act = plain
    done = monopolylogue("run", QUESTION, "--json", "--base-url", server.url, "--no-structured")
    record = SceneRecord.from_json(done.stdout)
    assert record.outcome == "plan_finished"


def test_ctrl_c_withdraws_the_request(commands: ForkServer, server: Loopback) -> None:
    waits = server.act = Waits()
    with commands.process("cli.main", "run", QUESTION, "--json", "--base-url", server.url) as process:
        assert waits.arrived.wait(60)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        out, err = process.communicate()
    assert waits.withdrawn.wait(10)
    assert (process.returncode, out) == (130, "")
    assert err == "Interrupted. Nothing of this scene was kept; run the command again to play it anew.\n"


def test_a_server_that_is_away_for_a_while_is_one_line(child, server: Loopback) -> None:
    away = refuses(503, "Loading model", Retry_After_Ms="5")
    server.acts = [plays, *[away] * 9]
    code, out, err = child("run", QUESTION, "--json", "--base-url", server.url)
    assert code == 0
    assert err == (
        f"The server at {server.url} is gone or busy; trying again for about a minute, or as it asks.\n"
    )
    SceneRecord.from_json(out)


def test_a_server_that_fails_for_good_is_one_sentence(child, server: Loopback) -> None:
    server.acts = [plays]
    server.act = refuses(500, "CUDA error", Retry_After_Ms="5")
    code, out, err = child("run", QUESTION, "--json", "--base-url", server.url)
    assert (code, out) == (1, "")
    warning, sentence = err.splitlines()
    assert "gone or busy" in warning
    assert sentence == f"monopolylogue: The server at {server.url} goes on failing (500): CUDA error."
