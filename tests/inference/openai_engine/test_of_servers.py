"""What vLLM and SGLang know of our requests, and replies as their sources write them: neither runs here."""

from typing import Any

import pytest

from inference.engine import Completion, Engine, StreamingEngine
from scene.errors import InputError, PromptTooLongError
from tests.inference.openai_engine.driving import ask, failure
from tests.loopback import Exchange, Loopback, streams

KNOWN = {
    "messages", "model", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "max_tokens",
    "max_completion_tokens", "n", "presence_penalty", "response_format", "seed", "stop", "stream",
    "stream_options", "temperature", "top_p", "user", "tools", "tool_choice", "parallel_tool_calls",
}  # fmt: skip
"""The fields that both declare in their `ChatCompletionRequest`."""


def vllm(text: str) -> dict[str, Any]:
    message = {
        "role": "assistant", "content": text, "refusal": None, "annotations": None, "audio": None,
        "function_call": None, "reasoning": None,
    }  # fmt: skip
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None,
        "token_ids": None, "routed_experts": None,
    }  # fmt: skip
    usage = {"prompt_tokens": 9, "total_tokens": 13, "completion_tokens": 4}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "parrot", "choices": [choice],
        "service_tier": None, "system_fingerprint": None,
        "usage": usage | {"prompt_tokens_details": {"cached_tokens": 7}},
        "prompt_logprobs": None, "prompt_token_ids": None, "kv_transfer_params": None, "metrics": None,
    }  # fmt: skip


def sglang(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "reasoning_content": None, "tool_calls": None}
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "matched_stop": 151645
    }  # fmt: skip
    usage = {"prompt_tokens": 9, "total_tokens": 13, "completion_tokens": 4, "reasoning_tokens": 0}
    return {
        "id": "1", "object": "chat.completion", "created": 1, "model": "parrot", "choices": [choice],
        "usage": usage | {"prompt_tokens_details": {"cached_tokens": 7}},
        "metadata": {"weight_version": "default"},
    }  # fmt: skip


VLLM_LIST = {
    "id": "parrot", "object": "model", "created": 1, "owned_by": "vllm", "root": "parrot", "parent": None,
    "max_model_len": 4096, "permission": [{"id": "modelperm-1", "object": "model_permission"}],
}  # fmt: skip
SGLANG_LIST = {"id": "parrot", "object": "model", "created": 1, "owned_by": "sglang", "root": "parrot"}

FORMATS = [pytest.param(vllm, VLLM_LIST, id="vLLM"), pytest.param(sglang, SGLANG_LIST, id="SGLang")]


@pytest.mark.parametrize(("reply", "listed"), FORMATS)
async def test_a_request_and_its_reply(server: Loopback, connect: Any, reply: Any, listed: object) -> None:
    server.list_models = lambda exchange: exchange.send({"object": "list", "data": [listed]})
    engine = connect(server)
    assert engine.identity.id == "parrot"
    server.act = lambda exchange: exchange.send(reply('{"reply": "I am"}'))
    expected = Completion(
        text="I am", finish_reason="stop", prompt_tokens=9, completion_tokens=4, cached_tokens=7
    )
    assert await engine.generate(ask(pattern="I .*", stop=("END",), seed=2**31)) == expected
    (post,) = server.posts
    assert set(post.body) <= KNOWN
    form = post.body["response_format"]
    assert set(form) == {"type", "json_schema"}
    assert set(form["json_schema"]) == {"name", "strict", "schema"}


VLLM_CHUNKS: list[dict[str, Any]] = [
    {"delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None},
    {"delta": {"content": "Well"}, "logprobs": None, "finish_reason": None, "token_ids": None},
    {"delta": {"content": "."}, "finish_reason": "stop", "stop_reason": None, "token_ids": None},
]
SGLANG_CHUNKS: list[dict[str, Any]] = [
    {"delta": {"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None}},
    {"delta": {"role": None, "content": "Well", "reasoning_content": None}, "matched_stop": None},
    {"delta": {"role": None, "content": ".", "reasoning_content": None}, "finish_reason": None},
    {"delta": {"role": None, "content": None}, "finish_reason": "stop", "matched_stop": 151645},
]


@pytest.mark.parametrize("choices", [VLLM_CHUNKS, SGLANG_CHUNKS], ids=["vLLM", "SGLang"])
async def test_a_stream(server: Loopback, engine: Engine, choices: list[dict[str, Any]]) -> None:
    assert isinstance(engine, StreamingEngine)
    about = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "parrot"}
    usage = {"prompt_tokens": 9, "total_tokens": 13, "completion_tokens": 4, "prompt_tokens_details": None}
    server.act = streams(
        *({**about, "choices": [{"index": 0, **choice}], "usage": None} for choice in choices),
        {**about, "choices": [], "usage": usage},
        finish_reason=None,
    )
    pieces: list[str] = []
    done = await engine.stream(ask(), pieces.append)
    assert (done.text, done.finish_reason, done.prompt_tokens) == ("Well.", "stop", 9)
    assert pieces == ["Well", "."]
    assert set(server.posts[0].body) <= KNOWN


TOO_LONG = "The input (9000 tokens) is longer than the model's context length (8192 tokens)."


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": TOO_LONG, "type": "BadRequestError", "param": None, "code": 400}},
        {"object": "error", "message": TOO_LONG, "type": "BadRequestError", "param": None, "code": 400},
    ],
    ids=["vLLM", "SGLang"],
)
@pytest.mark.parametrize("status", [200, 400])
async def test_an_error(server: Loopback, engine: Engine, body: dict[str, Any], status: int) -> None:
    server.act = lambda exchange: exchange.send(body, status)
    assert isinstance(await failure(engine, ask()), PromptTooLongError)

    def refuse(exchange: Exchange) -> None:
        told = body | {"message": "No grammar."}
        if "error" in body:
            told = {"error": body["error"] | {"message": "No grammar."}}
        exchange.send(told, status)

    server.act = refuse
    error = await failure(engine, ask(choices=("yes", "no")))
    assert isinstance(error, InputError)
    assert "refuses response_format (400): No grammar." in str(error)
