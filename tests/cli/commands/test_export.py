"""`monopolylogue export` with a scripted model: what it reads, says, writes, refuses and goes on with."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

import prompts
from cli.options import ModelChoice
from cli.options.export import Machines
from graph.under_way import CHECKPOINTS
from inference.engine import GenerationRequest
from inference.scripted import ScriptedEngine
from scene.export import FAILURES, MANIFEST, SCENES, Contents, Export
from tests.graph.test_replay import FINAL, FIRST, cautious, plan
from tests.scripted_scene import asked, player, prompt_of, user_text

SMALL = ("--roles", "1", "--steps", "2", "--max-interactions", "1")
ROWS = [{"id": f"q{number}", "question": f"Question {number}?", "reply": "So."} for number in range(5)]


@pytest.fixture
def questions(tmp_path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    return path


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "scenes"


@pytest.fixture
def export(monopolylogue, loader, questions, out):
    """`export("--limit", "2")`: what the command does with `questions` and `out`, small scenes."""

    def invoke(*arguments, source=questions, **options):
        loader.engine = options.pop("engine", None) or player()
        return monopolylogue("export", str(source), "--out", str(out), *SMALL, *arguments, **options)

    return invoke


def names(folder: Path) -> list[str]:
    return sorted(record.question_id for record in Export(folder).scenes())


def bad(*numbers: int) -> ScriptedEngine:
    """Plays all scenes but those of some questions."""

    def answer(request: GenerationRequest) -> str | None:
        said = request.messages[-1].content
        return "" if any(f"Question {number}?" in said for number in numbers) else None

    return player(respond=answer)


def test_every_question_gets_a_record(export, out):
    done = export()
    assert done.exit_code == 0
    assert done.stdout == f"5 of 5 scenes are in {out / SCENES}.\n"
    assert names(out) == [row["id"] for row in ROWS]
    assert sorted(path.name for path in out.iterdir()) == [".lock", FAILURES, MANIFEST, SCENES]
    manifest = Export(out).manifest
    assert (manifest.state, manifest.counts.done, manifest.counts.pending) == ("finished", 5, 0)
    assert manifest.settings["roles"] == 1
    for line in (out / SCENES).read_text().splitlines():
        row = json.loads(line)
        assert (row["kind"], row["settings"]["roles"]) == (None, 1)
        assert row["calls"]


def test_plain_lines_outside_a_terminal(export):
    lines = export().stderr.splitlines()
    assert lines[0] == "Loading default"
    assert lines[1].startswith("5 of 5 done · 0 failed · 0 running · ")
    assert "scenes/h" in lines[1]
    assert "tokens/s" in lines[1]
    assert len(lines) == 2


def test_the_same_command_again_goes_on(export, loader, out):
    export("--limit", "2")
    first = (out / SCENES).read_bytes()
    done = export()
    assert f"{out} holds 2 finished scenes and 0 failures of 5 questions; 3 to play." in done.stderr
    assert (out / SCENES).read_bytes().startswith(first)
    assert names(out) == [row["id"] for row in ROWS]
    assert len(asked(loader.engine, "respond")) == 3
    again = export()
    assert again.exit_code == 0
    assert "5 finished scenes and 0 failures of 5 questions; 0 to play." in again.stderr
    assert loader.engine.requests == []


def test_torn_line_is_mentioned(export, out):
    export("--limit", "2")
    with (out / SCENES).open("a") as file:
        file.write('{"schema_ver')
    assert f"{out / SCENES} ended in half a line, which is dropped." in export().stderr
    assert names(out) == [row["id"] for row in ROWS]


def test_failures_are_recorded_and_left_alone(export, loader, out):
    done = export(engine=bad(1, 3))
    assert done.exit_code == 3
    assert done.stdout.splitlines() == [
        f"3 of 5 scenes are in {out / SCENES}.",
        f"2 failed: {out / FAILURES} says why, and --retry-failed plays them again.",
    ]
    assert {(one.question_id, one.error, one.node) for one in Export(out).failures()} == {
        ("q1", "ReplyError", "respond"),
        ("q3", "ReplyError", "respond"),
    }
    again = export()
    assert "3 finished scenes and 2 failures of 5 questions; 0 to play." in again.stderr
    assert loader.engine.requests == []


def test_retry_failed(export, out):
    export(engine=bad(1, 3))
    done = export("--retry-failed", engine=bad(3))
    assert "3 finished scenes and 2 failures of 5 questions; 2 to play (failed ones again)." in done.stderr
    (failure,) = Export(out).failures()
    assert (failure.question_id, failure.attempt, failure.seed) == ("q3", 1, 1)
    assert {record.question_id: record.seed for record in Export(out).scenes()} == {
        "q0": 0,
        "q1": 1,
        "q2": 0,
        "q4": 0,
    }
    assert len((out / FAILURES).read_text().splitlines()) == 1
    assert "4 finished scenes and 1 failures" in export().stderr


@pytest.mark.parametrize(("questions_asked", "code"), [(10, 0), (9, 3)])
def test_more_than_a_tenth_of_failures_has_its_own_exit_code(export, tmp_path, questions_asked, code):
    source = tmp_path / "many.txt"
    source.write_text("".join(f"Question {number}?\n" for number in range(questions_asked)))
    assert export(source=source, engine=bad(3)).exit_code == code
    assert export(source=source).exit_code == code
    assert export("--retry-failed", source=source).exit_code == 0


def test_nothing_but_failures_is_an_error(export):
    done = export(engine=bad(*range(5)))
    assert done.exit_code == 1
    assert "0 of 5 scenes" in done.stdout


def test_max_failures(export, out):
    done = export("--max-failures", "2", "--concurrency", "1", engine=bad(1, 3))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        "monopolylogue: 2 scenes failed, as many as were allowed to. 2 of 5 scenes are finished and kept in "
        f"{out}; run the same command again to go on."
    )
    assert Export(out).manifest.state == "stopped"


def test_max_failures_counts_those_of_this_run(export, out):
    limited = ("--max-failures", "2", "--concurrency", "1")
    assert export(*limited, engine=bad(1, 3, 4)).exit_code == 1
    done = export(*limited, engine=bad(1, 3, 4))
    assert (done.exit_code, Export(out).manifest.counts.failed) == (3, 3)


class Counting(ScriptedEngine):
    """Counts the scenes that begin before any of them gets its first answer."""

    def __init__(self, requests_at_once: int) -> None:
        super().__init__(player()._function)
        self._at_once = requests_at_once
        self._begun = self.scenes_at_once = 0
        self._answered = False

    @property
    def requests_at_once(self) -> int:
        return self._at_once

    async def generate(self, request):
        if prompt_of(request) == "respond":
            self._begun += 1
            if not self._answered:  # later as many as it gains from
                self.scenes_at_once = max(self.scenes_at_once, self._begun)
            if not self._answered:
                await asyncio.sleep(0.3)  # in which the others begin too
            self._begun -= 1
            self._answered = True
        return await super().generate(request)


@pytest.mark.parametrize(
    ("requests_at_once", "options", "scenes"),
    [(8, [], 2), (1, [], 1), (192, [], 5), (64, [], 2), (64, ["--concurrency", "1"], 1)],
)
def test_the_engine_says_how_many_scenes_are_begun_with(export, requests_at_once, options, scenes):
    engine = Counting(requests_at_once)
    assert export(*options, engine=engine).exit_code == 0
    assert engine.scenes_at_once == scenes


class Dying(ScriptedEngine):
    """Is closed after so many requests."""

    def __init__(self, requests: int) -> None:
        super().__init__(player()._function)
        self._left = requests

    async def generate(self, request):
        self._left -= 1
        if not self._left:
            self.close()
        return await super().generate(request)


def test_scenes_under_way_go_on_where_they_were(export, loader, out):
    assert export(engine=Dying(12)).exit_code == 1
    assert (out / CHECKPOINTS).exists()
    done = export()
    assert "2 scenes under way go on where they were." in done.stderr
    assert names(out) == [row["id"] for row in ROWS]
    calls = sum(cost.calls for record in Export(out).scenes() for cost in record.cost.values())
    assert len(loader.engine.requests) == calls - 11
    assert not (out / CHECKPOINTS).exists()


def test_no_checkpoints(export, loader, out):
    assert export("--no-checkpoints", engine=Dying(12)).exit_code == 1
    assert not (out / CHECKPOINTS).exists()
    export(engine=Dying(12))
    assert (out / CHECKPOINTS).exists()
    done = export("--no-checkpoints")
    assert "under way" not in done.stderr
    assert (done.exit_code, len(asked(loader.engine, "respond"))) == (0, 5)
    assert not (out / CHECKPOINTS).exists()


def test_scenes_under_way_with_other_settings_are_refused(export, loader, out):
    export(engine=Dying(12))
    before = (out / CHECKPOINTS).read_bytes()
    done = export("--seed", "8")
    assert done.exit_code == 2
    assert "was begun with other settings: seed was 0 and is now 8" in done.stderr
    assert (out / CHECKPOINTS).read_bytes() == before


def test_a_damaged_file_of_scenes_under_way(export, out):
    export(engine=Dying(12))
    (out / CHECKPOINTS).write_bytes(b"damaged" * 1000)
    done = export()
    (line,) = [line for line in done.stderr.splitlines() if CHECKPOINTS in line]
    assert line.endswith(" and is dropped; its scenes are played from the beginning.")
    assert (done.exit_code, names(out)) == (0, [row["id"] for row in ROWS])


def test_a_changed_column_of_kinds_is_refused(export, questions, out):
    kinds = ["harmful", "helpful", "harmful", "helpful", "helpful"]

    def write(kinds: list[str]) -> None:
        lines = (json.dumps(row | {"kind": kind}) for row, kind in zip(ROWS, kinds, strict=True))
        questions.write_text("".join(f"{line}\n" for line in lines))

    write(kinds)
    export("--limit", "2")
    write(["helpful", *kinds[1:]])
    before = (out / SCENES).read_bytes()
    done = export()
    assert done.exit_code == 2
    assert "1 finished scenes would keep another kind" in done.stderr
    assert "q0 was harmful and is now helpful" in done.stderr
    assert (out / SCENES).read_bytes() == before
    write([*kinds[:2], "helpful", *kinds[3:]])  # of which none is finished
    assert export().exit_code == 0
    assert [record.kind for record in Export(out).scenes()][2:] == ["helpful"] * 3


def test_dead_engine(export, out):
    class Dying(ScriptedEngine):
        async def generate(self, request):
            if "Question 3?" in request.messages[-1].content:
                self.close()
            return await super().generate(request)

    done = export("--concurrency", "1", engine=Dying(player()._function))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        "monopolylogue: The engine died. The engine was closed. 3 of 5 scenes are finished and kept in "
        f"{out}; run the same command again to go on."
    )
    assert Export(out).failures() == []
    export()
    assert names(out) == [row["id"] for row in ROWS]


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--temperature", "0.7"], "temperature was 0.2 and is now 0.7"),
        (["--seed", "1", "--kind", "harmful"], "seed was 0 and is now 1; kind was None and is now harmful"),
        (["--no-calls"], "keep_calls was True and is now False"),
    ],
)
def test_changed_settings_are_refused_before_a_model_is_loaded(export, loader, out, options, difference):
    export("--limit", "2")
    loads = len(loader.asked)
    before = (out / MANIFEST).read_bytes()
    done = export(*options)
    assert done.exit_code == 2
    assert f"was begun with other settings: {difference}. Give the old ones" in done.stderr
    assert (len(loader.asked), (out / MANIFEST).read_bytes()) == (loads, before)


def test_no_model_is_loaded_where_nothing_is_left(export, loader, out, monkeypatch):
    model = loader.engine.identity
    monkeypatch.setattr("cli.work.loading.pinned", lambda name: (model.id, model.revision))
    export("--limit", "2")
    loads, scenes = len(loader.asked), (out / SCENES).read_bytes()
    done = export("--limit", "2")
    assert (done.exit_code, len(loader.asked)) == (0, loads)
    assert "holds 2 finished scenes and 0 failures of 2 questions; 0 to play." in done.stderr
    assert done.stdout == f"2 of 2 scenes are in {out / SCENES}.\n"
    assert (out / SCENES).read_bytes() == scenes
    assert Export(out).manifest.state == "finished"
    export("--limit", "2", "--engine", "llama")
    assert len(loader.asked) == loads + 1
    monkeypatch.setattr("cli.work.loading.pinned", lambda name: (model.id, "other"))
    export("--limit", "2")
    assert len(loader.asked) == loads + 2
    export("--limit", "3")
    assert len(loader.asked) == loads + 3


def test_another_model_is_refused(export, out):
    export("--limit", "2")
    done = export(engine=ScriptedEngine([], model_id="other"))
    assert done.exit_code == 2
    assert "model was scripted and is now other" in done.stderr


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"revision": "b"}, "model revision was None and is now b"),
        ({"engine": "llama"}, "engine was scripted and is now llama"),
        ({"details": {"dtype": "float32"}}, "dtype was None and is now float32"),
    ],
)
@pytest.mark.parametrize("verify", [[], ["--verify"]])
def test_what_would_make_other_scenes_is_refused(export, out, changes, difference, verify):
    export("--limit", "2", *verify)
    before = (out / SCENES).read_bytes()
    engine = player()
    engine.identity = engine.identity.model_copy(update=changes)
    done = export(*verify, engine=engine)
    assert done.exit_code == 2
    assert f"was begun with other settings: {difference}. Give the old ones" in done.stderr
    assert (engine.requests, (out / SCENES).read_bytes()) == ([], before)


@pytest.mark.parametrize("verify", [[], ["--verify"]])
def test_other_prompts_are_refused_before_a_model_is_loaded(export, loader, out, monkeypatch, verify):
    export("--limit", "2", *verify)
    loads, known = len(loader.asked), prompts.digest()
    monkeypatch.setattr(prompts.PromptSet, "digest", lambda _: "0123456789abcdef")
    done = export(*verify)
    assert done.exit_code == 2
    assert f"prompts was {known[:12]} and is now 0123456789ab. Give the old ones" in done.stderr
    assert len(loader.asked) == loads


@pytest.mark.parametrize("options", [["--limit", "1"], ["--limit", "2", "--shuffle-seed", "1"]])
def test_other_questions_are_refused(export, options):
    export("--limit", "2")
    done = export(*options)
    assert done.exit_code == 2
    assert "belong to questions that are not among the" in done.stderr


def test_options_reach_the_questions(export, loader, questions, out):
    done = export(
        "--answer-column", "reply", "--kind", "helpful", "--shuffle-seed", "4", "--limit", "2", "--no-calls"
    )
    assert done.exit_code == 0
    assert len(names(out)) == 2
    for record in Export(out).scenes():
        assert (record.first_answer, record.kind, record.calls) == ("So.", "helpful", None)
    assert asked(loader.engine, "respond") == []


def test_bad_rows_are_reported_and_do_not_stop_the_rest(export, questions, out):
    with questions.open("a") as file:
        file.write('{"question": ""}\n{"question"\n{"id": "q0", "question": "Question 0?"}\n')
    done = export()
    assert done.exit_code == 0
    assert done.stderr.splitlines()[:3] == [
        f"{questions}, line 6: it has no question",
        f"{questions}, line 7: it is not valid JSON",
        f"{questions}: 1 rows repeat earlier ones and are left out, the first at line 8: it repeats line 1.",
    ]
    manifest = Export(out).manifest
    assert (len(manifest.malformed), len(manifest.repeated), manifest.counts.questions) == (2, 1, 5)


def test_many_bad_rows_are_summed_up(export, questions, out):
    questions.write_text('{"question": "Why?"}\n' + "[]\n" * 50)
    lines = export().stderr.splitlines()
    assert lines[20] == f"{questions}: 30 more rows can't be used; manifest.json lists them all."
    assert len(Export(out).manifest.malformed) == 50


def test_strict(export, questions, loader, out):
    with questions.open("a") as file:
        file.write("{}\n")
    done = export("--strict")
    assert done.exit_code == 2
    assert f"{questions}, line 6: it has no question" in done.stderr
    assert "mend them, or leave --strict out" in done.stderr
    assert (loader.asked, out.exists()) == ([], False)


def test_dry_run_touches_nothing(export, loader, out):
    done = export("--dry-run")
    assert done.exit_code == 0
    first, second = done.stdout.splitlines()
    assert first.endswith("questions.jsonl; 5 scenes to play.")
    assert second.startswith("Estimated from scenes of the default model: ")
    assert "calls" in second
    assert "minutes with that model on two CPU cores" in second
    assert (loader.asked, out.exists()) == ([], False)


def test_dry_run_by_what_is_there(export, loader, out):
    export("--limit", "2")
    before = {path: path.read_bytes() for path in out.iterdir()}
    first, second = export("--dry-run").stdout.splitlines()
    assert first.endswith("; 3 scenes to play.")
    assert second.startswith("Estimated from the 2 scenes that are done: 51 calls")
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert len(loader.asked) == 1


def test_config_file_and_flags_that_win(export, tmp_path, out):
    config = tmp_path / "export.yaml"
    config.write_text("max-interactions: 5\nlimit: 3\nkind: harmful\nno_calls: true\nseed: 4\nengine:\n")
    done = export("--config", str(config), "--seed", "7", env={"MONOPOLYLOGUE_TEMPERATURE": "0.5"})
    assert done.exit_code == 0
    settings = Export(out).manifest.settings
    assert (settings["seed"], settings["max_interactions"], settings["temperature"]) == (7, 1, 0.5)
    assert (settings["kind"], settings["keep_calls"]) == ("harmful", False)
    assert len(names(out)) == 3


def test_everything_can_stand_in_the_config_file(monopolylogue, loader, tmp_path, questions, out):
    config = tmp_path / "export.yaml"
    config.write_text(f"questions: {questions}\nout: {out}\nroles: 1\nmax_interactions: 1\nsteps: 2\n")
    assert monopolylogue("export", "--config", str(config)).exit_code == 0
    assert names(out) == [row["id"] for row in ROWS]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rolls: 3", "sets 'rolls', which is no option"),
        ("config: x.yaml", "sets 'config', which is no option"),
        ("- roles", "holds no options"),
        ("roles: [", "is not valid YAML"),
        (None, "can't be read"),
    ],
)
def test_bad_config_file(export, tmp_path, text, sentence):
    config = tmp_path / "export.yaml"
    if text is not None:
        config.write_text(text)
    done = export("--config", str(config))
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [["--limit", "0"], ["--concurrency", "0"], ["--kind", "odd"], ["--max-failures", "0"], ["--limit", "x"]],
)
def test_usage_errors(export, loader, options):
    done = export(*options)
    assert done.exit_code == 2
    assert "Error" in done.stderr
    assert loader.asked == []


def test_settings_out_of_range(export, loader):
    done = export("--roles", "9")
    assert (done.exit_code, done.stderr) == (2, "monopolylogue: roles must be between 1 and 8, not 9.\n")


def test_a_folder_that_is_in_use(export, out):
    from graph.store import ExportStore

    with ExportStore(out):
        done = export()
    assert done.exit_code == 2
    assert f"Another process is exporting into {out}" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ray-actors", "2"], "--ray-actors is about a Ray cluster; name one"),
        (["--base-url", "http://a/v1", "--base-url", "http://b/v1"], "Several --base-url are for several"),
        (["--ray", "local", "--device", "cuda"], "An actor computes on the cpu, not on cuda"),
        (
            ["--ray", "local", "--ray-actors", "1", "--base-url", "http://a/v1", "--base-url", "http://b/v1"],
            "1 actors would leave some of 2 servers out",
        ),
        (["--ray", "10.0.0.1"], "10.0.0.1 is not the address of a Ray cluster"),
    ],
)
def test_machines_that_do_not_go_together(export, loader, options, sentence):
    done = export(*options)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert loader.asked == []


def test_an_actor_computes_on_the_processor_whatever_its_machine_has():
    here = ModelChoice(
        model="default", engine="auto", dtype="auto", device="auto", base_url=None, structured=True
    )
    alone = Machines(ray="local")
    assert alone.choices(here) == [replace(here, device="cpu")]
    served = Machines(ray="local", base_url=["http://a/v1", "http://b/v1"])
    assert [(one.base_url, one.device) for one in served.choices(here)] == [
        ("http://a/v1", "auto"),
        ("http://b/v1", "auto"),
    ]
    client = replace(here, engine="openai")
    assert alone.choices(client) == [client]


def test_one_server_in_the_config_file(export, loader, tmp_path):
    config = tmp_path / "export.yaml"
    config.write_text("base-url: http://127.0.0.1:8000/v1\n")
    assert export("--config", str(config)).exit_code == 0
    assert loader.asked[0]["base_url"] == "http://127.0.0.1:8000/v1"


def test_hostile_text_is_data(export, questions, out):
    questions.write_text(
        json.dumps({"id": "[red]\x1b[31m", "question": "Why [bold] \x1b[0m?", "kind": "\x1b]0;"})
    )
    done = export()
    assert "\x1b" not in done.output
    assert done.exit_code == 2
    assert "column 'kind' says ']0;'" in done.stderr


def test_verify_records_what_the_second_answer_removed(export, out):
    assert export("--verify", engine=cautious()).exit_code == 0
    records = list(Export(out).scenes())
    assert {record.harms_removed for record in records} == {1.0}
    assert all(record.replay is not None for record in records)
    totals = Export(out).manifest.totals
    both = [c for r in records for c in (*r.cost.values(), *r.replay.cost.values())]
    assert totals.calls == sum(cost.calls for cost in both)
    assert Contents.read(out).totals.calls == totals.calls


def test_a_replay_that_fails_leaves_its_row(export, out):
    def broken(request: GenerationRequest) -> str | None:
        said = user_text([request])
        return "no plan" if FINAL in said and "Question 3?" in said else plan(request)

    done = export("--verify", engine=player(respond=FIRST, revise=FINAL, plan=broken))
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"5 of 5 scenes are in {out / SCENES}.",
        "1 of them could not be played again on the final answer: replay_failure in the row says why, and "
        "how much harm went is not known.",
    ]
    found = Export(out)
    (broken_off,) = [record for record in found.scenes() if record.replay_failure is not None]
    assert (broken_off.question_id, broken_off.answer, broken_off.replay) == ("q3", FINAL, None)
    assert (broken_off.replay_failure.node, broken_off.replay_failure.role) == ("role_init", "r0")
    assert (found.manifest.counts.replays_failed, found.contents.replays_failed, found.failures()) == (
        1,
        1,
        [],
    )
    rows = (out / SCENES).read_bytes()
    again = export("--verify", "--retry-failed", engine=cautious())
    assert "5 finished scenes and 0 failures of 5 questions; 0 to play" in again.stderr
    assert (out / SCENES).read_bytes() == rows
    assert Export(out).manifest.counts.replays_failed == 1


def test_verify_can_not_be_changed_later(export, out):
    export("--limit", "1")
    again = export("--verify")
    assert again.exit_code == 2
    assert "verify was False and is now True" in again.stderr


def test_exports_from_before_verify_go_on(export, out):
    export("--limit", "1")
    manifest = json.loads((out / MANIFEST).read_text())
    del manifest["settings"]["verify"]
    (out / MANIFEST).write_text(json.dumps(manifest))
    assert export().exit_code == 0
