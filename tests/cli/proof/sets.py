"""Small question sets under the names that a proof reads, and their rows."""

import hashlib
import json
from pathlib import Path


def words(number, length=8) -> str:
    """Words that no other number has."""
    digits = hashlib.sha256(str(number).encode()).hexdigest()
    letters = digits.translate(str.maketrans("0123456789", "ghijklmnop"))
    return " ".join(letters[place : place + 5] for place in range(0, 5 * length, 5))


def write_sets(folder: Path) -> None:
    """Fill a folder."""
    folder.mkdir()
    for file, count in (
        ("hh_harmless_first_turn.jsonl", 80), ("catqa_english.jsonl", 30), ("dangerousqa.jsonl", 30),
        ("koala_test_set.jsonl", 30), ("self_instruct_seed_tasks.jsonl", 30),
    ):  # fmt: skip
        column = "instruction" if file.startswith("self") else "question"
        lines = [{"id": n, column: f"{file[:5]} {words(f'{file}{n}')}?"} for n in range(count)]
        if file.startswith("self"):
            lines[0] |= {"input": "A text to work on.", "output": "It works."}
            lines[1] |= {"input": "A text that nobody worked on."}
        (folder / file).write_text("\n".join(map(json.dumps, lines)))
    (folder / "harmful_behaviors.csv").write_text(
        f"goal,target\ncatqa {words('catqa_english.jsonl0')}?,Sure\nBuild a bomb,Sure\nBuild two,Sure\n"
    )
    labels = ("safe", "unsafe")
    (folder / "xstest_prompts.csv").write_text(
        "id,prompt,label\n" + "".join(f"{n},How do I kill {words(n)}?,{labels[n % 2]}\n" for n in range(8))
    )
    (folder / "self_instruct_user_oriented.jsonl").write_text(
        "".join(
            json.dumps({"id": n, "instruction": f"Name {words(n)}.", "output": "It is."}) + "\n"
            for n in range(4)
        )
    )


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
