"""Models that somebody else has loaded."""

import asyncio
import subprocess
import sys

from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
from transformers import (
    TextGenerationPipeline,
)

from inference.transformers_engine.adopt import engine_of, is_adoptable
from scene.errors import PromptTooLongError
from tests.inference.tiny_llama import alone, ask, text_of
from tests.inference.transformers_engine.driving import gather


def test_a_chat_hugging_face_model_is_adopted_with_its_own_weights(model, words):
    pipeline = TextGenerationPipeline(model=model, tokenizer=words)
    llm = HuggingFacePipeline(pipeline=pipeline, model_id="org/tiny")
    chat = ChatHuggingFace(llm=llm, tokenizer=words)
    assert is_adoptable(chat)
    adopted = engine_of(chat)
    try:
        assert adopted.identity.id == "org/tiny"
        assert adopted.identity.engine == "transformers"
        assert adopted.identity.details["dtype"] == "float32"
        (completion, too_long) = asyncio.run(gather(adopted, [ask("Hello", 20), ask("Hello", 512)]))
    finally:
        adopted.close()
    assert completion.text == text_of(words, alone(model, words, ask("Hello", 20)))
    assert isinstance(too_long, PromptTooLongError)


def test_other_chat_models_are_not_adopted():
    from langchain_core.language_models import FakeListChatModel

    assert not is_adoptable(FakeListChatModel(responses=["a"]))


def test_asking_whether_to_adopt_imports_nothing_heavy():
    program = (
        "import sys\nfrom langchain_core.language_models import FakeListChatModel\n"
        "from inference.transformers_engine.adopt import is_adoptable\n"
        "print(is_adoptable(FakeListChatModel(responses=['a'])), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
