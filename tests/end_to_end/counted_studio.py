"""What `langgraph dev` serves in the test on the tiny model: the project's own entry, its loading counted.

A line goes into `loaded` in the folder STUDIO_NOTES for every time a model is loaded.
"""

import os
from pathlib import Path
from typing import Any

import inference.loading
from inference.engine import Engine

load_engine = inference.loading.load_engine


def counted(model: str, **options: Any) -> Engine:
    """Load what is asked for, and note which."""
    with (Path(os.environ["STUDIO_NOTES"]) / "loaded").open("a", encoding="utf-8") as mark:
        mark.write(f"{model}\n")
    return load_engine(model, **options)


inference.loading.load_engine = counted

from graph.studio import scene  # noqa: E402, F401  # only now, as it takes load_engine; the server looks for it here
