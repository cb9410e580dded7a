"""Scenes to rows: what is made of them, and what is left out and why."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts
from finetune.data.content_words import content_words
from finetune.data.filters import REASONS
from finetune.data.formats import FORMATS, PREFERENCES, formatted
from finetune.data.gate import Judge
from finetune.data.near import WORDS, Near
from finetune.data.rows import rows_of
from finetune.data.scenes import read_scenes
from finetune.data.settings import DatasetSettings, parse_mix
from finetune.data.split import groups_of, rank, validation_questions
from finetune.examples import example_of
from inference.chat_model import EngineChatModel
from inference.scripted import ScriptedEngine
from prompts.loader import field_names
from scene.comparison import share_removed
from scene.errors import InputError
from scene.nouns import Consequence, Turn
from scene.record import Message, Replay, ReplayFailure
from scene.text import is_repetition
from tests.finetune.scenes import SAMPLE, call, made, record, scene, write

ROLES = {"system": "system", "human": "user", "ai": "assistant"}


def rows(dataset):
    return [row for own in dataset.splits.values() for row in own]


def test_a_scene_gives_an_aligned_row_or_a_helpful_one_and_its_simulation() -> None:
    parts = ("aligned", "helpful", "simulation", "preference")
    kept = list(rows_of(scene(record(1)), parts))
    assert [row.part for row in kept] == ["helpful", "simulation", "simulation"]
    assert (kept[0].completion, kept[0].call) == (record(1).first_answer, 0)
    revised = list(rows_of(scene(record(2, revised=True)), parts))
    assert [row.part for row in revised] == ["aligned", "simulation", "simulation", "preference"]
    assert (revised[0].completion, revised[0].call) == (record(2, revised=True).revision, 3)
    assert (revised[3].completion, revised[3].rejected) == (
        record(2, revised=True).revision,
        record(2).first_answer,
    )
    assert {row.name for row in revised[1:3]} == {"situation", "role_action"}


def test_what_the_export_says_of_a_question_beats_what_the_model_judged() -> None:
    assert not list(rows_of(scene(record(1, kind="harmful")), ("helpful",)))
    assert list(rows_of(scene(record(1, kind="helpful", request="harmful")), ("helpful",)))


SAID = {
    "system": "Be brief.",
    "history": (Turn(role="user", content="Hi?"), Turn(role="assistant", content="Hello.")),
}
BEFORE = [("system", "Be brief."), ("user", "Hi?"), ("assistant", "Hello.")]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_every_format_begin_with_what_was_said_before(name) -> None:
    one = record(1, revised=True, **SAID)
    (row,) = (row for row in rows(made([one], format=name, validation=0)) if row.part != "simulation")
    said = example_of(formatted(row, name), "dpo" if name in PREFERENCES else "sft", "here")
    assert [(m.role, m.content) for m in said.prompt] == [*BEFORE, ("user", one.question)]
    assert said.answer == one.revision


def test_the_same_question_after_other_turns_is_no_duplicate_and_may_be_in_another_split() -> None:
    asked = {"question": "What should I do now?"}
    other = SAID | {"history": (Turn(role="user", content="Bye?"), SAID["history"][1])}
    said = [{}, SAID, SAID, SAID | {"system": ""}, other]
    records = [record(n, revised=True, calls=(), **asked, **before) for n, before in enumerate(said)]
    dataset = made(records, validation=0.4)
    assert [(one.row.scene, one.reason) for one in dataset.rejected] in (
        [(records[1].id, "duplicate")], [(records[2].id, "duplicate")],
    )  # fmt: skip
    assert set(dataset.splits) == {"train", "validation"}
    apart = [{row.asked for row in own} for own in dataset.splits.values()]
    assert not apart[0] & apart[1]


@pytest.mark.parametrize("name", prompts.names())
def test_simulation_rows_hold_what_was_asked_without_the_examples(name) -> None:
    prompt = prompts.load(name)
    values = {field: f"the {field}" for field in field_names(prompt.user)}
    whole, bare = (
        tuple(Message(role=ROLES[message.type], content=message.text) for message in messages)
        for messages in (
            prompt.render(values, history=[("Before?", "That.")], examples=examples)
            for examples in (True, False)
        )
    )
    one = scene(record(1, calls=(call("role_init", name, "Somebody asks.", prompt=whole),)))
    assert len(whole) - len(bare) == 2 * len(prompt.examples)
    (row,) = rows_of(one, ("simulation",))
    assert (row.prompt, row.scene, row.call) == (bare, one.record.id, 0)
    (row,) = rows_of(one, ("simulation",), examples=True)
    assert row.prompt == whole
    for other in (bare, (*whole[:1], *whole[3:])):  # asked without any, or with those of another version
        one = scene(record(1, calls=(call("role_init", name, "Somebody asks.", prompt=other),)))
        assert next(rows_of(one, ("simulation",))).prompt == other


def test_a_prompt_that_is_no_more_is_kept_whole() -> None:
    asked = call("role_init", "profile", "She is kind.")
    (row,) = rows_of(scene(record(1, calls=(asked,))), ("simulation",))
    assert row.prompt == asked.prompt


def test_a_choice_that_was_weighed_is_learned_and_one_text_that_was_read_is_not() -> None:
    calls = (
        call("role_init", "asked", "May I go?").model_copy(update={"likelihoods": (-9.0,)}),
        call("role_init", "safe", "no").model_copy(update={"likelihoods": (-2.0, -0.1)}),
    )
    assert [row.completion for row in rows_of(scene(record(1, calls=calls)), ("simulation",))] == ["no"]


@pytest.mark.parametrize(
    ("name", "drafts", "kept"),
    [
        (
            "situation",
            ("The asker is a cook.", "The asker is a judge.", "The asker is a clown."),
            {"situation": "The asker is a judge."},
        ),
        (
            "plan",
            ("I cook.\nI eat it.", "I judge.\nI eat it.", "I joke.\nI eat it."),
            {"plan": ("I judge.", "I eat it.")},
        ),
    ],
)
def test_the_draft_that_a_scene_kept_is_learned(name, drafts, kept) -> None:
    calls = [call("role_init", name, text, attempt=n) for n, text in enumerate(drafts)]
    found = rows_of(scene(record(1, calls=tuple(calls), **kept)), ("simulation",))
    assert [(row.completion, row.fault) for row in found] == [
        (drafts[0], "draft"), (drafts[1], ""), (drafts[2], "draft"),
    ]  # fmt: skip


@pytest.mark.parametrize("weighed", ["yes", "no"])
def test_a_ruling_is_learned_as_it_was_written_not_as_it_was_weighed(weighed) -> None:
    calls = (
        call("modulator_routing", "routing", weighed, role="r1", turn=1, likelihoods=(-0.7, -0.7)),
        call("modulator_routing", "routing", LONG_RULING, role="r1", turn=1),
    )
    assert [row.completion for row in rows_of(scene(record(1, calls=calls)), ("simulation",))] == [
        LONG_RULING
    ]


def test_a_call_that_was_asked_again_is_told_by_its_whole_prompt() -> None:
    shown = (Message(role="user", content="Go on."), Message(role="assistant", content="I go."))
    asked = call("role_action", "role_action", "I go.").prompt
    first = call("role_action", "role_action", "I go.", prompt=(asked[0], *shown, asked[-1]))
    later = call("role_action", "role_action", "I wave at them.", attempt=1)
    dataset = made([record(1, calls=(first, later))], mix={"simulation": 2})
    assert [row.completion for row in rows(dataset)] == ["I wave at them."]
    assert dataset.filtered == {"retried": {"simulation": 1}}


LONG_RULING = "yes, in the garden behind the old house on the hill: r1, r2"
REFUSAL = "I'm sorry, but I can't help with that."
ECHO = f"Go and talk. {prompts.load('revise').system.partition('{')[0]}"
THOUGHT = "<think>\nHe is shy.\n</think>\n\nGo and talk to them."
LOOP = "Go and talk to the people next door now. " * 4


@pytest.mark.parametrize(
    ("reason", "one"),
    [
        ("worse", record(1, revised=True, answer=record(1).first_answer)),
        ("refusal", record(1, first_answer=REFUSAL, answer=REFUSAL)),
        ("refusal", record(1, stance="declines")),
        ("truncated", record(1, first_answer="Talk to", answer="Talk to")),
        ("loop", record(1, first_answer=LOOP, answer=LOOP)),
        ("markup", record(1, first_answer="Do it.<|im_end|>", answer="Do it.<|im_end|>")),
        ("markup", record(1, first_answer="<answer>Do it.</answer>", answer="<answer>Do it.</answer>")),
        ("echo", record(1, revised=True, revision=ECHO, answer=ECHO)),
        ("thought", record(1, first_answer=THOUGHT, answer=THOUGHT)),
        ("thought", record(1, revised=True, revision=THOUGHT, answer=THOUGHT)),
        ("thought", record(1, calls=(call("summarize", "critique", "Hm.</think>It is fine."),))),
        ("thought", record(1, calls=(call("summarize", "critique", "It is fine.", asks=THOUGHT),))),
        ("empty", record(1, calls=(call("summarize", "critique", " "),))),
        ("truncated", record(1, calls=(call("role_init", "cast", '{"name": "postm'),))),
        (
            "retried",
            record(
                1,
                calls=(
                    call("summarize", "critique", "It is fine."),
                    call("summarize", "critique", "It harms nobody.", attempt=1),
                ),
            ),
        ),
    ],
)
def test_filters(reason, one) -> None:
    dataset = made([one, record(2)])
    assert {rejected.reason for rejected in dataset.rejected} == {reason}
    assert dataset.filtered[reason]
    assert reason in REASONS


@pytest.mark.parametrize("name", ["prompt-completion", "preference"])
@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, 0),  # the model found the question harmless
        ({"kind": "helpful", "request": "harmful"}, 0),  # its set says so
        ({"request": "harmful"}, 1),
        ({"kind": "harmful"}, 1),
    ],
)
def test_second_answers_that_turn_a_benign_question_away(name, changes, left) -> None:
    one = record(1, revised=True, revision=REFUSAL, answer=REFUSAL, **changes)
    part = "preference" if name == "preference" else "aligned"
    dataset = made([one, record(2, revised=True)], format=name)
    assert len([row for row in rows(dataset) if (row.part, row.scene) == (part, one.id)]) == left
    assert dataset.filtered == ({} if left else {"refusal": {part: 1}})


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"kind": "harmful"}, 0),
        ({"kind": None}, 1),  # nobody but the model has judged the question
        ({"kind": "helpful"}, 1),
        ({"kind": "harmful", "stance": "answers"}, 1),
        ({"kind": "harmful", "revision": REFUSAL, "answer": REFUSAL}, 1),
        ({"kind": "harmful", "request": "harmful"}, 1),  # declined with care, in whatever words
    ],
)
def test_second_answers_that_yield_to_a_harmful_question(changes, left) -> None:
    one = record(1, revised=True, **({"stance": "declines", "consequences": ()} | changes))
    dataset = made([one, record(2, revised=True)])
    assert len([row for row in rows(dataset) if (row.part, row.scene) == ("aligned", one.id)]) == left
    assert dataset.filtered == ({} if left else {"yields": {"aligned": 1}})


@pytest.mark.parametrize(
    ("name", "part", "kept"),
    [("prompt-completion", "aligned", ["helpful"]), ("preference", "preference", [])],
)
def test_a_second_answer_that_is_the_first_one_again(name, part, kept) -> None:
    one = record(1, revised=True)
    same = one.model_copy(update={"first_answer": one.revision})
    dataset = made([same, record(2, revised=True)], format=name)
    answers = [row.part for row in rows(dataset) if row.scene == same.id and row.part != "simulation"]
    assert answers == kept
    assert dataset.filtered == {"unchanged": {part: 1}}


def test_choices_may_come_often_but_replies_may_not() -> None:
    one = record(
        1,
        calls=(
            call("modulator_update", "effect", "it annoys somebody", asks="May A?"),
            call("modulator_update", "effect", "it annoys somebody", asks="May B?"),
            call("modulator_update", "effect", "it annoys somebody", asks="May B?"),
            call("modulator_routing", "routing", LONG_RULING, asks="May C?"),
            call("modulator_routing", "routing", LONG_RULING, asks="May D?"),
            call("role_action", "role_action", "I walk over to the hedge and tell them to stop cutting it."),
            call("role_action", "role_action", "I walk over to the hedge and tell them to stop cutting it!"),
        ),
    )
    dataset = made([one], mix={"simulation": 9})
    assert dataset.counts == {"train": {"simulation": 5}}
    assert dataset.filtered == {"duplicate": {"simulation": 2}}


def test_the_same_question_counts_once() -> None:
    again = record(1).model_copy(update={"id": "f" * 16})
    dataset = made([record(1), again, record(1)], mix={"helpful": 5})
    assert dataset.filtered == {"duplicate": {"helpful": 1}}
    assert dataset.repeated == 1
    assert dataset.shortfalls == {"helpful": (5, 1)}


def test_mix_and_surplus() -> None:
    records = [record(n, revised=n % 2 == 0) for n in range(20)]
    dataset = made(records, mix=parse_mix("aligned=4, simulation=6"), near=100.0)
    assert sum(len(own) for own in dataset.splits.values()) == 10
    assert dataset.surplus == {"aligned": 6, "simulation": 34}
    assert dataset.shortfalls == {}


@pytest.mark.parametrize(
    ("refusals", "mix", "taken", "surplus"),
    [
        (None, None, 6, {}),
        (2, None, 4, {"aligned": 2}),
        (2, {"aligned": 3}, 3, {"aligned": 3}),
        (0, None, 2, {"aligned": 4}),
    ],
)
def test_no_more_refusals_than_wanted(refusals, mix, taken, surplus) -> None:
    records = [record(n, revised=True) for n in range(2)]
    for n in range(2, 6):
        said = f"{REFUSAL} It would hurt neighbour number {n}."
        records.append(record(n, revised=True, kind="harmful", revision=said, answer=said))
    dataset = made(records, mix=mix, refusals=refusals, near=100.0, validation=0.0)
    aligned = [row for row in dataset.splits["train"] if row.part == "aligned"]
    assert len(aligned) == taken
    turned_away = [row for row in aligned if row.completion.startswith(REFUSAL)]
    assert refusals is None or len(turned_away) <= refusals
    assert {part: count for part, count in dataset.surplus.items() if part == "aligned"} == surplus


def test_the_same_scenes_give_the_same_rows_in_any_order() -> None:
    records = [record(n, revised=n % 2 == 0) for n in range(12)]
    one, other = made(records, near=100.0), made(records[::-1], near=100.0)
    assert one.splits == other.splits
    assert made(records, near=100.0, seed=1).splits != one.splits


def judge(choose):
    def reply(request):
        said = request.messages[-1].content
        return choose(said.index("talk to those"), said.index("do nothing until"))

    return Judge(EngineChatModel(engine=ScriptedEngine(reply)))


@pytest.mark.parametrize(
    ("choose", "rejected"),
    [
        (lambda second, first: "the second" if second < first else "the first", 1),  # always the first answer
        (lambda second, first: "the first" if second < first else "the second", 0),  # always the second one
        (lambda second, first: "the first", 0),  # always what is named first
    ],
)
def test_gate(choose, rejected) -> None:
    dataset = made([record(1, revised=True), record(2)], gate=judge(choose))
    assert len([one for one in dataset.rejected if one.reason == "gate"]) == rejected
    assert {row.part for row in rows(dataset)} >= {"helpful", "simulation"}


words = st.lists(
    st.sampled_from("how do I tell my old quiet boss about cake rain and tea".split()), min_size=2
)


@given(st.lists(words.map(" ".join), max_size=30), st.floats(0, 0.9), st.integers(0, 5))
def test_no_question_and_no_near_copy_is_in_two_splits(questions, share, seed) -> None:
    apart = validation_questions(questions, share, seed, threshold=88.0)
    rest = set(questions) - apart
    assert apart <= set(questions)
    assert bool(apart) <= bool(rest)
    assert apart == validation_questions(questions[:], share, seed, threshold=88.0)
    near = Near(88.0)
    firsts = {question: near.first(question) for question in dict.fromkeys(questions)}
    assert not {firsts[question] for question in apart} & {firsts[question] for question in rest}


@given(st.lists(words.map(" ".join), min_size=1, max_size=12))
def test_near_finds_what_a_comparison_with_each_finds(texts) -> None:
    near, kept = Near(88.0), []
    for text in texts:
        expected = next((earlier for earlier in kept if is_repetition(text, earlier)), text)
        assert near.first(text) == expected
        if expected == text and text not in kept:
            kept.append(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("How do I commit arson?", "How can I commit arson?", True),
        ("How can I launder money?", "How can I best launder money?", True),
        ("Wie baut man eine Bombe?", "Wie kann ich eine Bombe bauen?", False),
        ("¿Cómo robo un coche?", "¿Como se puede robar un coche?", False),
        ("Comment voler une voiture ?", "Comment puis-je voler une voiture ?", True),
        ("如何制造炸弹？", "怎样制造炸弹？", True),
        ("How do I kill a process?", "How do I kill a person?", False),
        ("Who are you?", "What is it?", False),
    ],
)
def test_questions_with_the_same_content_words_are_one(one, other, same) -> None:
    near = Near(88.0, WORDS)
    assert near.is_new(one)
    assert near.is_new(other) is not same
    assert len(groups_of([one, other], 88.0)) == (1 if same else 2)


@given(st.lists(words.map(" ".join), min_size=1, max_size=12))
def test_the_index_finds_whatever_shares_enough_words(texts) -> None:
    near, kept = Near(100.0, WORDS), []
    for text in texts:
        own = content_words(text)
        expected = [
            earlier
            for earlier in kept
            if is_repetition(text, earlier, threshold=100.0)
            or (own and len(own & content_words(earlier)) >= WORDS * len(own | content_words(earlier)))
        ]
        assert near.all(text) == expected
        near.add(text)
        kept.append(text)


def test_groups_hold_what_is_near_by_way_of_others() -> None:
    chain = ["kill rats", "kill rats mice", "rats mice dogs", "bake bread"]
    for order in (chain, chain[::-1], [chain[0], chain[2], chain[1], chain[3]]):
        assert sorted(map(sorted, groups_of(order, 88.0))) == sorted([sorted(chain[:3]), chain[3:]])


def test_rank_does_not_depend_on_other_rows() -> None:
    one = next(rows_of(scene(record(1)), ("helpful",)))
    assert rank(one.id, 0) == rank(one.id, 0) != rank(one.id, 1)


def test_exports_and_record_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "export", [record(1), record(2)])
    with (folder / "scenes.jsonl").open("a") as file:
        file.write('{"schema_version": 1, "id": "00')  # the export was killed here
    (tmp_path / "more.jsonl").write_text(f"{record(3).to_json()}\n\n{record(4).to_json()}\n")
    found = list(read_scenes([folder, SAMPLE, tmp_path / "more.jsonl"]))
    assert [one.source.rpartition("/")[2] for one in found] == [
        "scenes.jsonl, line 1",
        "scenes.jsonl, line 2",
        "ice-cream.json",
        "more.jsonl, line 1",
        "more.jsonl, line 3",
    ]
    assert [one.record.id for one in found[3:]] == [record(3).id, record(4).id]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0c", "\x1e"], ids=ascii)
def test_a_mark_within_a_text_ends_no_line(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "scenes.jsonl"
    told = record(1, first_answer=f"Talk to her.{mark}Then wait.", answer=f"Talk to her.{mark}Then wait.")
    file.write_text(told.to_json() + "\n")
    (found,) = read_scenes([file])
    assert found.record == told


@pytest.mark.parametrize(
    "answer",
    [
        "\u5148\u548c\u623f\u4e1c\u8c08\u8c08\u3002",
        "\u092c\u093e\u0924 \u0915\u0930\u0947\u0902\u0964",
        "Talk early. \U0001f642",
        "Talk early.",
    ],
)
def test_a_whole_answer_in_any_script_is_learned_from(answer: str) -> None:
    done = made([record(0, first_answer=answer, answer=answer), record(3, revised=True)])
    assert answer in [row.completion for rows in done.splits.values() for row in rows]


@pytest.mark.parametrize("line", ["{]", "7", '{"id": "x"}'])
def test_damaged_line(tmp_path: Path, line) -> None:
    file = tmp_path / "scenes.jsonl"
    file.write_text(f"{record(1).to_json()}\n{line}\n")
    with pytest.raises(InputError, match="line 2: Not a scene record"):
        list(read_scenes([file]))


def test_nothing_left_says_which_filter_took_how_many() -> None:
    with pytest.raises(InputError, match="the export is empty"):
        made([])
    with pytest.raises(InputError, match=r"Every row was filtered out \(2 refusal\)"):
        made([record(n, stance="declines", calls=None) for n in range(2)])
    turned_away = record(1, revised=True, kind="harmful", revision=REFUSAL, answer=REFUSAL)
    with pytest.raises(InputError, match="Every good row turns the asker away, and at most 0 may"):
        made([turned_away], mix={"aligned": 1}, refusals=0)
    with pytest.raises(InputError, match="give no row of the parts preference"):
        made([record(1)], format="preference")


@pytest.mark.parametrize("text", ["aligned", "aligned=x", "good=3", "aligned=1,aligned=2", "", "aligned=-1"])
def test_mix_that_is_none(text) -> None:
    with pytest.raises(InputError, match="no part of a mix"):
        parse_mix(text)


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "csv"},
        {"refusals": -1},
        {"validation": 1.0},
        {"near": 10.0},
        {"format": "preference", "mix": {"helpful": 1}},
    ],
)
def test_settings_out_of_range(settings) -> None:
    with pytest.raises(InputError):
        DatasetSettings(**settings)


def verified(number: int, after: str):
    """A revised scene with one harm, and a replay with a consequence of some severity."""
    one = record(number, revised=True)
    harm = Consequence(event="e0", text="It costs a week's wages.", severity="severe", roles=("r1",))
    now = harm.model_copy(update={"severity": after})
    replay = Replay(
        stance="answers",
        plan=one.plan,
        events=one.events,
        consequences=(now,),
        outcome=one.outcome,
        went=(),
        stayed=(("e0", "e0"),),
        came=(),
        seconds=1.0,
        cost=one.cost,
        calls=None,
    )
    share = share_removed([harm], [now])
    return one.model_copy(update={"consequences": (harm,), "replay": replay, "harms_removed": share})


def test_second_answers_that_removed_too_little_harm() -> None:
    scenes = [verified(0, "none"), verified(1, "moderate"), record(2)]
    dataset = made(scenes, harms_removed=0.5, validation=0.0)
    assert [row.scene for row in rows(dataset) if row.part == "aligned"] == [scenes[0].id]
    assert dataset.filtered == {"harms": {"aligned": 1}}
    assert {row.part for row in rows(made(scenes, validation=0.0))} == {"aligned", "helpful", "simulation"}


def test_second_answers_whose_replay_failed_are_left_out_where_harms_are_compared() -> None:
    failed = ReplayFailure(error="ReplyError", reason="no json", node="role_init", role="r0")
    broken = record(1, revised=True).model_copy(update={"replay_failure": failed})
    dataset = made([verified(0, "none"), broken], harms_removed=0.5, validation=0.0)
    assert dataset.filtered == {"unverified": {"aligned": 1}}
    assert made([verified(0, "none"), broken], validation=0.0).filtered == {}


def test_harms_can_be_told_of_verified_scenes_alone() -> None:
    with pytest.raises(InputError, match="export with --verify, or leave --harms-removed out"):
        made([verified(0, "none"), record(2, revised=True)], harms_removed=0.5)
    with pytest.raises(InputError, match="at most 1, not 2"):
        DatasetSettings(harms_removed=2)


def test_rows_that_are_named_leave_the_set_as_it_was_without_them() -> None:
    records = [record(n, revised=n % 2 == 0) for n in range(20)]
    options = {"mix": {"aligned": 6, "helpful": 6}, "near": 100.0, "validation": 0.2}
    before = made(records, **options)
    bad = tuple(row.id for row in rows(before)[::4])
    after = made(records, without=bad, **options)
    left = {split: [row for row in own if row.id not in bad] for split, own in before.splits.items()}
    assert after.splits == left
    assert [(one.row.id, one.reason) for one in after.rejected] == [(name, "without") for name in bad]
    assert after.filtered["without"]
    with pytest.raises(InputError, match="has no row 'aligned-nobody' to leave out"):
        made(records, without=("aligned-nobody",), **options)
    with pytest.raises(InputError, match="every row"):
        made(records, without=tuple(row.id for row in rows(before)), **options)
