"""`monopolylogue serve`: an OpenAI-compatible server that rehearses before it answers."""

from cli.complaint import interruptible
from cli.options.serve import ServeOptions

EPILOG = """\
[bold]Examples[/]

A scene before an answer wherever there is a doubt, on this machine alone:
  monopolylogue serve
  curl http://127.0.0.1:8400/v1/chat/completions -H 'Content-Type: application/json' \
    -d '{"model": "default", "messages": [{"role": "user", "content": "May I read my son'"'"'s diary?"}]}'

For other machines too, with a key that they have to show:
  MONOPOLYLOGUE_SERVE_KEY=... monopolylogue serve --host 0.0.0.0

A scene for every question, and the records of all:
  monopolylogue serve --rehearse always --out scenes"""


def serve(options: ServeOptions) -> None:
    """Answer chat clients, after a rehearsal where one is called for.

    It speaks OpenAI's protocol at /v1/chat/completions and /v1/models.
    """
    with interruptible("No request was answered."):
        from cli.serving.process import run_server

        run_server(options)
