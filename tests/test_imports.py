"""What importing costs: the graph and the command line come up without the heavy libraries."""

import subprocess
import sys

import pytest

from tests.paths import ROOT

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "xgrammar",
    "langchain_openai",
    "openai",
    "ray",
)


@pytest.mark.parametrize("module", ["graph", "cli.main"])
def test_import_stays_light(module):
    program = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
