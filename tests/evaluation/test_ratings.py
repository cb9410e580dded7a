"""What people's ratings come to, and how far they agree."""

import json

import pytest

from evaluation.pairs import pairs_of
from evaluation.ratings import Rating, ratings_of, read_judgements, read_ratings
from evaluation.statistics import agreement
from scene.errors import InputError
from tests.evaluation.test_metrics import answer

LABELS = ("win", "tie", "lose")


def rating(number: int, harm="win", help="tie", rater="ada", **changes) -> Rating:
    fields = {
        "pair": f"{number:016x}",
        "system": "tuned",
        "baseline": "base",
        "set": "own",
        "id": f"q{number}",
        "question": "Why?",
        "rater": rater,
        "harm": harm,
        "help": help,
    }
    return Rating(**(fields | changes))


def write(file, ratings):
    file.write_text("".join(f"{one.model_dump_json()}\n" for one in ratings))
    return file


def test_wins_ties_and_losses():
    found = ratings_of(
        [
            rating(1, "win", "lose"), rating(1, "tie", "lose", "ben"), rating(2, "lose", "tie"),
            rating(3, "win", set="other"),
        ]
    )  # fmt: skip
    shares = {
        (one.aspect, one.set): (one.win.value, one.tie.value, one.lose.value, one.net.value, one.win.n)
        for one in found.rated
    }
    assert shares["harm", "own"] == (0.25, 0.25, 0.5, -0.25, 2)
    assert shares["harm", "all"] == pytest.approx((1.5 / 3, 0.5 / 3, 1 / 3, 0.5 / 3, 3))
    assert shares["help", "other"] == (0, 1, 0, 0, 1)
    assert (found.raters, found.ratings) == (2, 4)
    own = next(one for one in found.rated if one.set == "own")
    assert own.win.low <= own.win.value <= own.win.high


def test_the_same_pair_rated_from_the_other_side(tmp_path):
    ben = rating(1, "lose", "tie", "ben", system="base", baseline="tuned")
    file = write(tmp_path / "all.jsonl", [rating(1, "win"), ben, rating(1, "tie"), rating(1, "win")])
    ratings = read_ratings([file])
    assert [(one.rater, one.system, one.harm) for one in ratings] == [
        ("ada", "tuned", "win"),
        ("ben", "tuned", "win"),
    ]
    harm = next(one for one in ratings_of(ratings).agreement if one.aspect == "harm")
    assert (harm.party, harm.share.value, harm.alpha) == ("each other", 1, None)


def test_nobody_to_agree_with():
    assert ratings_of([rating(1), rating(2, rater="ben")]).agreement == []


def test_agreement_is_that_of_the_book():
    """Krippendorff's example of two observers who label ten things with two values: alpha is 0.095."""
    one, other = "0100000000", "1110010010"
    share, alpha = agreement([[pair] for pair in zip(one, other, strict=True)], "01")
    assert (share.value, share.n) == (pytest.approx(0.6), 10)
    assert alpha.value == pytest.approx(0.095, abs=0.0005)
    assert alpha.low <= alpha.value <= alpha.high


def test_agreement_of_several_with_gaps():
    """Krippendorff's example of four observers with missing values, nominal: alpha is 0.743."""
    table = [
        (1, 1, None, 1), (2, 2, 3, 2), (3, 3, 3, 3), (3, 3, 3, 3), (2, 2, 2, 2), (1, 2, 3, 4),
        (4, 4, 4, 4), (1, 1, 2, 1), (2, 2, 2, 2), (None, 5, 5, 5), (None, None, 1, 1), (None, 3, None, None),
    ]  # fmt: skip
    units = [[[str(value) for value in unit if value is not None]] for unit in table]
    _, alpha = agreement(units, "12345")
    assert alpha.value == pytest.approx(0.743, abs=0.0005)


def test_agreement_by_chance_and_none():
    share, alpha = agreement([[("win", "lose")], [("lose", "win")]], LABELS)
    assert (share.value, alpha.value) == (0, pytest.approx(-0.5))
    assert agreement([[["win"]], [[]]], LABELS) is None
    assert agreement([], LABELS) is None


def judged(folder, *results):
    lines = [
        {"system": system, "baseline": baseline, "set": "own", "id": f"q{number}"}
        | {"system_first": first, "baseline_first": second}
        for number, system, baseline, first, second in results
    ]
    (folder / "judgements.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    return read_judgements(folder)


def test_agreement_with_the_judge(tmp_path):
    by_judge = judged(
        tmp_path,
        (1, "tuned", "base", "first", "second"),
        (2, "base", "tuned", "first", "second"),
        (3, "tuned", "base", "first", "first"),
        (9, "tuned", "base", "first", "first"),
    )
    ratings = [
        rating(1, "win"),
        rating(2, "lose"),
        rating(3, "win"),
        rating(3, "tie", rater="ben"),
        rating(4),
    ]
    found = {(one.aspect, one.party): one for one in ratings_of(ratings, by_judge).agreement}
    harm = found["harm", "the judge"]
    assert (harm.share.value, harm.share.n) == (0.75, 3)
    assert found["help", "the judge"].share.value == 0.5
    assert found["harm", "each other"].share.n == 1
    with pytest.raises(InputError, match="asked about none of the rated pairs"):
        ratings_of([rating(7)], by_judge)
    with pytest.raises(InputError, match="There is no file"):
        read_judgements(tmp_path / "none")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"harm": "better"}, "line 1 is no rating (harm: "),
        ({"rater": ""}, "(rater: "),
        ({"pair": "x"}, "(pair: "),
        ({"more": 1}, "(more: "),
    ],
)
def test_what_is_no_rating(tmp_path, changes, said):
    file = tmp_path / "ratings.jsonl"
    file.write_text(json.dumps(rating(1).model_dump() | changes) + "\n")
    with pytest.raises(InputError) as refusal:
        read_ratings([file])
    assert said in str(refusal.value)
    file.write_text("\n")
    with pytest.raises(InputError, match="There is no rating in these files"):
        read_ratings([file])


def table(file, rows):
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def test_pairs_of_two_files(tmp_path):
    ours = [{"question": f"Why {n}?", "answer": f"Ours {n}."} for n in range(4)]
    theirs = [{"prompt": f"Why {n}? ", "completion": f"Theirs {n}."} for n in (3, 2, 1, 9)]
    theirs[2]["completion"] = "Ours 1."
    pairs, equal = pairs_of([table(tmp_path / "a.jsonl", ours), table(tmp_path / "b.jsonl", theirs)], None)
    assert [(one.question, one.answers, one.names) for one in pairs] == [
        (f"Why {n}?", (f"Ours {n}.", f"Theirs {n}."), ("a", "b")) for n in (2, 3)
    ]
    assert equal == 1


def test_files_of_one_name_are_told_apart(tmp_path):
    files = []
    for name in "ab":
        (tmp_path / name).mkdir()
        chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": f"Says {name}."}]
        files.append(table(tmp_path / name / "rows.jsonl", [{"messages": chat}]))
    ((one,), _) = pairs_of(files, None)
    assert (one.names, one.answers) == (tuple(map(str, files)), ("Says a.", "Says b."))


def evaluated(folder, *systems):
    lines = [
        answer(
            f"{system} says {number}.", system=system, set="own", id=f"q{number}", question=f"Why {number}?"
        )
        for system in systems
        for number in range(2)
    ]
    (folder / "answers.jsonl").write_text("".join(f"{one.model_dump_json()}\n" for one in lines))
    return folder


def test_pairs_that_differ_in_a_figure(tmp_path):
    says = {
        "ours": ["Yes.", "I can't help with that.", "No."],
        "theirs": ["Yes, do.", "Yes.", "I won't help."],
    }
    files = [
        table(tmp_path / f"{name}.jsonl", [{"question": f"{n}?", "answer": t} for n, t in enumerate(own)])
        for name, own in says.items()
    ]
    pairs, same = pairs_of(files, None, "refusal")
    assert ([pair.question for pair in pairs], same) == (["1?", "2?"], 1)
    with pytest.raises(InputError, match="no figure 'length'"):
        pairs_of(files, None, "length")


def test_pairs_of_an_evaluation(tmp_path):
    pairs, _ = pairs_of([evaluated(tmp_path, "base", "tuned")], None)
    assert [(one.names, one.set, one.id) for one in pairs] == [
        (("tuned", "base"), "own", f"q{n}") for n in (0, 1)
    ]
    evaluated(tmp_path, "base", "tuned", "matrix")
    ((first, _), _) = pairs_of([tmp_path], ("base", "matrix"))
    assert (first.names, first.answers) == (("base", "matrix"), ("base says 0.", "matrix says 0."))
    for names in (None, ("base", "x"), ("base", "base"), ("base", "")):
        with pytest.raises(InputError, match="has answers of base, tuned, matrix; name two with --pair"):
            pairs_of([tmp_path], names)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"question": "Why?"}], "has no column of answers"),
        ([{"answer": "So."}], "holds no question"),
        ([{"question": "Why?", "answer": "So."}, {"answer": "No."}], "line 2: it has no question"),
        ([{"question": "Why?", "answer": a} for a in "xy"], "line 2 answers a question again"),
        ([{"question": "Who?", "answer": "Me."}], "no question is answered by both"),
        ([{"question": "Why?", "answer": "Theirs."}], "all their answers are the same"),
    ],
)
def test_no_pairs(tmp_path, rows, said):
    theirs = table(tmp_path / "b.jsonl", [{"question": "Why?", "answer": "Theirs."}])
    with pytest.raises(InputError) as refusal:
        pairs_of([table(tmp_path / "a.jsonl", rows), theirs], None)
    assert said in str(refusal.value)


def test_sources_that_do_not_make_two(tmp_path):
    file = table(tmp_path / "a.jsonl", [{"question": "Why?", "answer": "So."}])
    for sources, names in (
        ([file], None),
        ([file] * 3, None),
        ([file, file], None),
        ([file, file], ("a", "b")),
    ):
        with pytest.raises(InputError, match="--rate takes two files with answers, or the folder"):
            pairs_of(sources, names)
    with pytest.raises(InputError, match="There is no file"):
        pairs_of([file, tmp_path / "none.jsonl"], None)
