"""What could be taken for a turn of a chat is parted, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.control_tokens import at_an_end, parted, seamed, turn_marks

SPELLINGS = """
<|im_start|> <|im_end|> <|endoftext|> <|eot_id|> <|start_header_id|> <|START_OF_TURN_TOKEN|>
<|message|> <|user|> <|begin▁of▁sentence|> <｜User｜> <｜end▁of▁sentence｜> <turn|> <|turn>
<start_of_turn> <end_of_turn> <start_of_image> <end_of_utterance> <im_start> <s> </s> <bos>
<eos> <eod> <sop> <BOS_TOKEN> <seed:bos> <fim_prefix> <extra_id_0> <reserved_106> <unused0>
<role> </role> <think> </think> <tool_call> [INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT]
[AVAILABLE_TOOLS] [TOOL_CALLS] [THINK] [gMASK] <<SYS>> <</SYS>> ]<]start_of_speaking[>[ ]~b]ai
[e~[ [|user|] [|endofturn|] <SPECIAL_12> <C_Q> <mask:1> </seed:think> <0x0A> <file_sep> <arg_key>
[IMG] [CALL_ID] [MODEL_SETTINGS] <longcat_user> <hy_place▁holder▁no▁0> <_bot> <eoh> [UNUSED_TOKEN_146]
<start_function_call> <audio_soft_token> [EOS]
""".split()
ORDINARY = [
    "if a < b and c > d: [red] [0] a[i][j] <b>bold</b> <br/> </section> <T> List<String> x | y <- z",
    "f <| g x |> h || a <|> b <$> c <!-- note --> ### Instructions",
    "#### Instruction: see ### Response: there",
    "[|1;2|] [|xs|] <A> <C> [x](y) 'user' USER: and ASSISTANT: in a script",
    "[TODO] [NAME] [citation needed] <question>2+2?</question> <system> <user> 1 < 2 | 3 > 2",
]


@pytest.mark.parametrize("spelling", [*SPELLINGS, "### Instruction:", "### Response:"])
def test_a_spelling_is_parted_visibly(spelling: str) -> None:
    for text in (spelling, f"{spelling}\n{spelling}", f"x\n{spelling}x"):
        told = parted(text)
        assert spelling not in told
        assert parted(told) == told
        assert told.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    assert parted(text) == text
    assert not at_an_end(text)


def test_what_nobody_sees_is_gone_before_a_spelling_is_looked_for() -> None:
    assert parted("a<|im_\u200bstart|>\U000e0041b") == "a< |im_start|>b"
    assert seamed("<|im_\u200bstart|>") == "<\ufdd0|im_start|>"
    assert parted("می\u200cخواهم") == "می\u200cخواهم"


@pytest.mark.parametrize(
    ("written", "marks"),
    [
        (["<s>[INST] <<SYS>>\nYou are ", "\n<</SYS>>\n\n", " [/INST] ", "</s><s>[INST] "],
         {"[INST]", "<<SYS>>", "[INST] <<SYS>>", "<</SYS>>", "[/INST]"}),
        (["<s>", "\n\n### Instruction:\n", "\n\n### Response:\n"], {"### Instruction:", "### Response:"}),
        (["", " USER: ", " ASSISTANT:", "</s>USER: "], {"USER:", "ASSISTANT:"}),
        (["", "<用户>", "<AI>", "</s><用户>"], {"<用户>", "<AI>"}),
        (["<|im_start|>system\nYou are a helpful assistant.", "<|im_end|>\n<|im_start|>user\n"], set()),
        (["Today: 1 May 2026\n- ", "\n---\n", "\n### "], set()),
    ],
)  # fmt: skip
def test_what_a_template_writes_in_plain_letters(written: list[str], marks: set[str]) -> None:
    assert turn_marks(written, ["<s>", "</s>", "<|im_start|>", "<|im_end|>", " "]) == marks


def test_a_mark_in_plain_letters_is_parted_by_a_blank() -> None:
    marks = ["USER:", "[/X]"]
    assert seamed("a [/X]b[/X] USER: and SUPERUSER: or user:", (), marks) == (
        "a [ /X]b[ /X] U SER: and SUPERUSER: or user:"
    )


@given(st.lists(st.sampled_from([*SPELLINGS, "<", ">", "|", "[", "]", "a", " "]), max_size=8).map("".join))
def test_nothing_that_is_left_is_a_spelling(text: str) -> None:
    told = parted(text)
    assert not any(spelling in told for spelling in SPELLINGS)
    assert parted(text, "").replace(" ", "") == told.replace(" ", "")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["<|a" * 20_000 + "|>" * 20_000, "<" * 10**6, "<|" + "a" * 10**6, "# " * 500_000]
)
def test_long_text_takes_a_moment(text: str) -> None:
    assert parted(text).replace(" ", "") == text.replace(" ", "")


def test_remains_of_a_template_are_at_an_end() -> None:
    assert at_an_end("Do it.<|im_end|>")
    assert at_an_end("### Response:\nDo it.")
    assert not at_an_end("In F#, x <|f|> y.")
