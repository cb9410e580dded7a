"""What a Modelfile says of a chat template, as Ollama fills it in."""

import pytest

from finetune.merge import modelfile
from tests.inference.tiny_llama import CHATML, tokenizer

QWEN = "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}" + CHATML
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
TURNS = (
    '"""<|im_start|>{{ range .Messages }}{{ .Role }}\n{{ .Content }}<|im_end|>\n<|im_start|>{{ end }}'
    'assistant\n"""'
)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (CHATML, f"TEMPLATE {TURNS}\n"),
        (QWEN, f'TEMPLATE {TURNS}\nSYSTEM """Be kind."""\n'),
        (
            LLAMA,
            'TEMPLATE """<|start_header_id|>{{ range .Messages }}{{ .Role }}<|end_header_id|>\n\n'
            '{{ .Content }}<|eot_id|><|start_header_id|>{{ end }}assistant<|end_header_id|>\n\n"""\n',
        ),
        ("{% for m in messages %}[INST]{{ m.content }}[/INST]{% endfor %}", ""),
        ("{{ raise_exception('no system messages') }}", ""),
    ],
    ids=["ChatML", "with a system message", "with a first token", "other", "refused"],
)
def test_the_template_is_written_out_where_turns_are_alike(template, said):
    assert modelfile(tokenizer(template), "model.gguf") == f"FROM ./model.gguf\n{said}"
