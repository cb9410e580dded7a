"""What the openai engine makes of each kind of refusal."""

import pytest

from inference.engine import Engine
from inference.loading import load_engine
from scene.errors import InputError, ModelNotFoundError, PromptTooLongError
from tests.inference.openai_engine.driving import Connect, ask, failure
from tests.loopback import Loopback, refuses


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
        (
            400,
            "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it",
        ),
        (400, "The input (9000 tokens) is longer than the model's context length (8192 tokens)."),
        (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
        (400, "context_length_exceeded"),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"),
        (400, "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."),
        (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
        (400, "Invalid request: Your request exceeded model token limit: 8192"),
        (500, "the request exceeds the available context size"),
    ],
)
@pytest.mark.usefixtures("soon")
async def test_too_long_a_prompt(server: Loopback, engine: Engine, status: int, words: str) -> None:
    server.act = refuses(status, words)
    error = await failure(engine, ask(choices=("yes", "no")))
    assert isinstance(error, PromptTooLongError)
    assert str(error) == (
        "A prompt and a reply of up to 16 tokens do not fit the model's context window; "
        "shorten the question or choose another model."
    )


@pytest.mark.parametrize("body", ['{"detail": "No grammar."}', '{"error": "No grammar."}', "No grammar."])
async def test_a_shape(server: Loopback, engine: Engine, body: str) -> None:
    server.act = lambda exchange: exchange.send(body, 422)
    error = await failure(engine, ask(choices=("yes", "no")))
    assert isinstance(error, InputError)
    assert str(error) == (
        f"The server at {server.url} refuses response_format (422): No grammar. "
        "If it can't hold replies to a shape, give --no-structured."
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": [{"loc": ["body", "seed"], "msg": "Extra."}]}, "body.seed: Extra."),
        ([{"error": {"code": 400, "message": "top_p is unknown"}}], "top_p is unknown."),
    ],
)
async def test_a_field_that_is_none_of_the_shape(
    server: Loopback, engine: Engine, body: object, said: str
) -> None:
    server.act = lambda exchange: exchange.send(body, 422)
    error = await failure(engine, ask(choices=("yes", "no")))
    assert str(error) == f"The server at {server.url} refuses a request (422): {said}"


async def test_the_code_says_that_a_prompt_is_too_long(server: Loopback, engine: Engine) -> None:
    error = {"message": "Please shorten it.", "code": "context_length_exceeded"}
    server.act = lambda exchange: exchange.send({"error": error}, 400)
    assert isinstance(await failure(engine, ask()), PromptTooLongError)


async def test_anything_else(server: Loopback, engine: Engine) -> None:
    server.act = refuses(400, "System role not supported\nTraceback: \x1b[31m" + "x" * 1000)
    error = await failure(engine, ask())
    assert isinstance(error, InputError)
    assert str(error).startswith(
        f"The server at {server.url} refuses a request (400): System role not supported Traceback: [31mxx"
    )
    assert len(str(error)) < 400


async def test_the_model(server: Loopback, engine: Engine) -> None:
    server.act = refuses(404, "The model `parrot` does not exist.")
    error = await failure(engine, ask())
    assert isinstance(error, ModelNotFoundError)
    assert "The model `parrot` does not exist." in str(error)


async def test_an_address_that_is_no_end_of_one(server: Loopback) -> None:
    server.act = refuses(404, "Not Found")
    engine = load_engine("parrot", base_url=server.url.removesuffix("/v1"))
    assert str(await failure(engine, ask())).endswith("Not Found. Its address usually ends in /v1.")
    engine.close()


@pytest.mark.parametrize("status", [401, 403])
async def test_the_key_which_is_not_repeated(
    server: Loopback, connect: Connect, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    engine = connect(server)
    server.act = refuses(status, "Incorrect API key provided: sk-secret.")
    error = await failure(engine, ask())
    assert isinstance(error, InputError)
    assert str(error) == (
        f"The server at {server.url} refuses the API key; set OPENAI_API_KEY to one that it accepts."
    )
    server.act = refuses(400, "What is sk-secret?")
    assert "What is …?" in str(await failure(engine, ask()))


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_none_of_them_is_tried_again(server: Loopback, engine: Engine, status: int) -> None:
    server.act = refuses(status)
    await failure(engine, ask())
    assert len(server.posts) == 1
