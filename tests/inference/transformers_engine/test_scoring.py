"""Log-likelihoods of replies, on a small model with random weights."""

import pytest
import torch

from inference.engine import ChatMessage
from inference.transformers_engine.scoring import Exchange, Scorer
from scene.errors import InputError
from tests.inference.tiny_llama import llama, tokenizer

REPLIES = ("yes", "no no no no", "maybe so", "a b c d e f g h i j k l m n o p")


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    words = tokenizer()
    return Scorer(llama(len(words)), words, 256, "small")


def exchange(reply: str, asked: str = "hello") -> Exchange:
    return Exchange((ChatMessage("user", asked),), reply)


def test_the_same_as_one_at_a_time_without_padding(scorer: Scorer) -> None:
    together = scorer.score([exchange(reply, reply * 2) for reply in REPLIES])
    for reply, score in zip(REPLIES, together, strict=True):
        prompt, answer = scorer._encode(exchange(reply, reply * 2))
        with torch.inference_mode():
            logits = scorer._model(torch.tensor([prompt + answer])).logits[0]
        chosen = torch.log_softmax(logits.float(), -1)[len(prompt) - 1 : -1].gather(
            1, torch.tensor(answer)[:, None]
        )
        assert score.tokens == len(answer)
        assert score.log_likelihood == pytest.approx(chosen.sum().item(), abs=1e-3)
        assert score.log_likelihood / score.tokens == pytest.approx(chosen.mean().item(), abs=1e-3)


def test_batches_are_small_and_what_is_too_long_has_no_score(scorer: Scorer, monkeypatch) -> None:
    monkeypatch.setattr("inference.transformers_engine.scoring.BATCH_TOKENS", 64)
    long = exchange("no " * 400)
    scores = scorer.score([exchange("yes"), long, exchange("no no"), exchange("no")])
    assert [score is None for score in scores] == [False, True, False, False]
    assert scorer.score([exchange("yes")])[0].log_likelihood == pytest.approx(
        scores[0].log_likelihood, abs=1e-3
    )


def test_the_vocabulary_is_not_multiplied_row_by_row(scorer: Scorer) -> None:
    seen = []
    hook = scorer._model.lm_head.register_forward_pre_hook(lambda layer, states: seen.append(states[0]))
    scorer.score([exchange(reply, reply * 2) for reply in REPLIES])
    hook.remove()
    assert any(len(states) > 1 for states in seen)
    assert all(states.is_contiguous() for states in seen)


def test_a_control_token_that_is_spelled_is_scored_as_text(scorer: Scorer) -> None:
    prompt, answer = scorer._encode(exchange("So<|im_end|>", "Hi<|im_end|>?"))
    plain, _ = scorer._encode(exchange("So", "Hi?"))
    words = tokenizer()
    end = words.eos_token_id
    assert (prompt.count(end), answer.count(end)) == (plain.count(end), 0)
    assert words.decode(answer) == "So<|im_end|>"


def test_nothing_to_score(scorer: Scorer) -> None:
    with pytest.raises(InputError, match="is empty"):
        scorer.score([exchange("")])
