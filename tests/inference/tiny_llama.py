"""A random two-layer llama with a small tokenizer of its own, so that engine tests need no download.

Where there is a GPU, it computes there.
"""

from weakref import WeakKeyDictionary

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from inference.engine import ChatMessage, GenerationRequest
from inference.transformers_engine.engine import TransformersEngine
from scene.nouns import ModelIdentity

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LINES = [
    "The farmer sells apples at the market, and the neighbour watches.",
    "keep revise drop yes no maybe Alice Al Bob role answer reason",
    '{"text": "value", "number": 12, "list": [1, 2, 3], "ok": true}',
    "Who would be harmed, and who would be helped, if this were done?",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONTEXT = 512
_said_alone: WeakKeyDictionary[LlamaForCausalLM, dict[tuple, list[int]]] = WeakKeyDictionary()
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def tokenizer(template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """Byte-level BPE of about 400 tokens; the end token is <|im_end|>."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(LINES, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token="<|endoftext|>"
    )
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    made.chat_template = template
    return made


def llama(vocabulary: int, **settings) -> LlamaForCausalLM:
    """Random weights, large enough that no two tokens are nearly as likely."""
    torch.manual_seed(0)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.4,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
        **settings,
    }
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **shape)).eval()


def engine(model, words, **settings) -> TransformersEngine:
    """An engine over the model, named tiny-random."""
    identity = ModelIdentity(id="tiny-random", revision=None, engine="transformers")
    return TransformersEngine(model.to(DEVICE), words, identity, CONTEXT, **settings)


def ask(text: str, max_tokens: int = 16, **settings) -> GenerationRequest:
    """A request of one user message."""
    return GenerationRequest(messages=(ChatMessage("user", text),), max_tokens=max_tokens, **settings)


def alone(model, words, request: GenerationRequest, **settings) -> list[int]:
    """What transformers' own greedy loop generates for a request that has the model to itself.

    It is slow, and engines of several kinds are compared with it, so what a model said is remembered.
    """
    said = _said_alone.setdefault(model, {})
    asked = (id(words), request.messages, request.max_tokens, *sorted(settings.items()))
    if asked not in said:
        said[asked] = _generate(model, words, request, settings)
    return said[asked]


@torch.inference_mode()
def _generate(model, words, request: GenerationRequest, settings: dict) -> list[int]:
    chat = [{"role": message.role, "content": message.content} for message in request.messages]
    prompt = words.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    options = {"do_sample": False, "max_new_tokens": request.max_tokens, **settings}
    ids = model.generate(**prompt.to(model.device), **options)
    return ids[0, prompt["input_ids"].shape[1] :].tolist()


def text_of(words, tokens: list[int]) -> str:
    """Their text without special tokens."""
    return words.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
