"""`monopolylogue run`: one question, one scene, one answer."""

from dataclasses import dataclass
from pathlib import Path

from cli.complaint import interruptible
from cli.options import AnyModel, AsJson, NoCalls, Out
from cli.options.own import Staging
from cli.output import check_writable
from cli.question import Answer, Messages, QuestionOrMessages, read_answer, read_asked
from scene.errors import InputError

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

Your own people around it, and your own prompts, in German:
  monopolylogue run "..." --cast people.yaml
  monopolylogue run "..." --prompts german

Every option with a default can be set in the environment as well, for example MONOPOLYLOGUE_MODEL; \
an option on the command line beats it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `run` takes, and `compare` too."""

    question: QuestionOrMessages = None
    messages: Messages = None
    answer: Answer = None
    staging: Staging
    choice: AnyModel
    as_json: AsJson = False
    out: Out = None
    no_calls: NoCalls = False


def run(options: Options) -> None:
    """Play the scene around one question and show it as it unfolds.

    The model answers, imagines who asks and whom the answer touches, plays
    them all while the asker acts on it, and answers again with what followed
    in mind.
    """
    play_one(options)


def play_one(options: Options, *, page: Path | None = None, verify: bool = False) -> None:
    """Check what was given, then play one scene and show it; see `cli.work.rehearsal.rehearse`."""
    asked, first_answer = read_asked(options.question, options.messages), read_answer(options.answer)
    out = options.out
    if out is not None:
        check_writable(out, sources=[options.messages] if options.messages else [])
    if page is not None:
        check_writable(page, "--page")
        if out is not None and page.resolve() == out.resolve():
            raise InputError(f"{page} is to hold the record as well; give --page another name than --out.")
    with interruptible("No scene was played; what was fetched of the model is kept."):
        from cli.work.rehearsal import rehearse

        rehearse(
            asked,
            first_answer,
            options.staging,
            options.choice,
            as_json=options.as_json,
            out=out,
            page=page,
            keep_calls=not options.no_calls,
            verify=verify,
        )
