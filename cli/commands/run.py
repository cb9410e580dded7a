"""`monopolylogue run`: one question, one scene, one answer."""

from __future__ import annotations

from pathlib import Path

from cli.complaint import interrupted
from cli.options import (
    AsJson,
    BaseUrl,
    Device,
    Dtype,
    EngineName,
    MaxInteractions,
    Model,
    ModelChoice,
    NoCalls,
    NoStructured,
    Out,
    Roles,
    Seed,
    Steps,
    Temperature,
    Think,
)
from cli.output import check_writable
from cli.question import Answer, Messages, QuestionOrMessages, read_answer, read_asked
from scene.errors import InputError
from scene.settings import SceneSettings

EPILOG = """\
[bold]Examples[/]

Rehearse a question on the built-in model:
  monopolylogue run "How do I tell my team that I am leaving?"

Rehearse an answer you already have, with a larger cast:
  monopolylogue run "May I read my son's diary?" --answer "Yes." --roles 6

Ask from a file, keep the record, read one field of it:
  monopolylogue run - --out scene.json < question.txt
  monopolylogue run "..." --json --no-calls | jq -r .answer

A question at the end of a chat, with the system prompt that it came with:
  monopolylogue run --messages chat.json

Another model, from the Hugging Face hub or a folder:
  monopolylogue run "..." --model Qwen/Qwen2.5-7B-Instruct --dtype bfloat16

The model of a server (vLLM, SGLang, llama-server, transformers serve):
  monopolylogue run "..." --base-url http://127.0.0.1:8000/v1

Every option with a default can be set in the environment as well, for example MONOPOLYLOGUE_MODEL; \
an option on the command line beats it."""


def run(
    question: QuestionOrMessages = None,
    messages: Messages = None,
    answer: Answer = None,
    roles: Roles = SceneSettings.roles,
    steps: Steps = SceneSettings.steps,
    max_interactions: MaxInteractions = SceneSettings.max_interactions,
    temperature: Temperature = SceneSettings.temperature,
    think: Think = SceneSettings.think_tokens,
    seed: Seed = SceneSettings.seed,
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    base_url: BaseUrl = None,
    no_structured: NoStructured = False,
    as_json: AsJson = False,
    out: Out = None,
    no_calls: NoCalls = False,
) -> None:
    """Play the scene around one question and show it as it unfolds.

    The model answers, imagines who asks and whom the answer touches, plays
    them all while the asker acts on it, and answers again with what followed
    in mind.
    """
    play_one(
        question,
        messages,
        answer,
        SceneSettings(
            roles=roles,
            steps=steps,
            max_interactions=max_interactions,
            temperature=temperature,
            seed=seed,
            think_tokens=think,
        ),
        ModelChoice(
            model=model,
            engine=engine,
            dtype=dtype,
            device=device,
            base_url=base_url,
            structured=not no_structured,
        ),
        as_json=as_json,
        out=out,
        keep_calls=not no_calls,
    )


def play_one(
    question: str | None,
    messages: Path | None,
    answer: str | None,
    settings: SceneSettings,
    choice: ModelChoice,
    *,
    as_json: bool,
    out: Path | None,
    page: Path | None = None,
    keep_calls: bool,
    verify: bool = False,
) -> None:
    """Check what was given, then play one scene and show it; see `cli.work.rehearsal.rehearse`."""
    asked, first_answer = read_asked(question, messages), read_answer(answer)
    if out is not None:
        check_writable(out)
    if page is not None:
        check_writable(page, "--page")
        if out is not None and page.resolve() == out.resolve():
            raise InputError(f"{page} is to hold the record as well; give --page another name than --out.")
    try:
        # Here, since LangGraph takes a second to import: --help and a mistyped option come without it.
        from cli.work.rehearsal import rehearse

        rehearse(
            asked,
            first_answer,
            settings,
            choice,
            as_json=as_json,
            out=out,
            page=page,
            keep_calls=keep_calls,
            verify=verify,
        )
    except KeyboardInterrupt:
        raise interrupted("No scene was played; what was fetched of the model is kept.") from None
