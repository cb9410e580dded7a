"""What is a thought and what is an answer, in the marks of every family of models."""

import pytest

from scene.thought import Said, certain, closing, heard, marks_among

HARMONY = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes."

SAID = {
    "": Said("", ""),
    " Well. ": Said("", " Well. "),
    "<think>\nHm.\n</think>\n\nYes.\n\nGo.": Said("Hm.", "Yes.\n\nGo."),
    "<think>\n\n</think>\n\nYes.": Said("", "Yes."),
    "Hm.</think>Yes.": Said("Hm.", "Yes."),
    "<think>Hm": Said("Hm", "", open=True),
    "<think>a</think>\n<think>b</think>Yes.": Said("a\n\nb", "Yes."),
    "<think>a</think>b</think>Yes.": Said("a\n\nb", "Yes."),
    "Sure.\n<think>\nHm.\n</think>\n\nYes.": Said("Hm.", "Sure.\nYes."),
    "Sure.\n<think>\nHm": Said("Hm", "Sure.\n", open=True),
    "<thinking>Hm.</thinking>Yes.": Said("Hm.", "Yes."),
    "<seed:think>Hm.</seed:think>Yes.": Said("Hm.", "Yes."),
    "[THINK]Hm.[/THINK]Yes.": Said("Hm.", "Yes."),
    "◁think▷Hm.◁/think▷Yes.": Said("Hm.", "Yes."),
    "<|channel>thought\nHm.<channel|>Yes.": Said("Hm.", "Yes."),
    "<|channel>thought\nHm": Said("Hm", "", open=True),
    "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>": Said("Hm.", "Yes."),
    "<think>Hm.</think><response>Yes.</response>": Said("Hm.", "Yes."),
    HARMONY: Said("Hm.", "Yes."),
    f"<|start|>assistant{HARMONY}<|return|>": Said("Hm.", "Yes."),
    "<|channel|>analysis<|message|>Hm": Said("Hm", "", open=True),
    "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>": Said("{}", "", open=True),
    "<|channel|>": Said("", "", open=True),
    "Yes.<|end|><|start|>assistant<|channel|>final<|message|> Go.": Said("", "Yes. Go."),
    "analysisHm.assistantfinalYes.": Said("Hm.", "Yes."),
    "analysisHm": Said("Hm", "", open=True),
    "analysisuser asks": Said("user asks", "", open=True),
    "commentaryHm.assistantfinalYes.": Said("Hm.", "Yes."),
    "finalYes.": Said("", "Yes."),
    "<think>Hm.</think>\n<answer>\nYes.\n</answer>": Said("Hm.", "Yes."),
    "<think>Hm.</think><|begin_of_box|>Yes.<|end_of_box|>": Said("Hm.", "Yes."),
}

PLAIN = (
    "Models write <think> and </think> around it.",
    "Write `</think>` at the end.",
    "Look:\n```\n<think>\nHm.\n</think>\n```\nSo.",
    "A list:\n<think> is a tag of some models.",
    "Send <|channel|> to it.",
    "analysis of it: fine. Think> so.",
    "final: yes. finally",
    "finally, <answer> is a tag",
    "I thought so.",
)


@pytest.mark.parametrize(("reply", "said"), SAID.items())
def test_a_thought_is_no_answer(reply: str, said: Said) -> None:
    assert heard(reply) == said
    assert heard(said.text) == Said("", said.text)


@pytest.mark.parametrize("text", PLAIN)
def test_text_about_marks_stays_whole(text: str) -> None:
    assert heard(text) == Said("", text)


@pytest.mark.parametrize(
    "reply", [reply for reply in (*SAID, *PLAIN) if reply.count("</think>") <= reply.count("<think>")]
)
def test_what_is_certain_is_never_taken_back(reply: str) -> None:
    told = ""
    for length in range(len(reply) + 1):
        now = certain(reply[:length])
        assert now.startswith(told) or told.startswith(now)
        told = max(told, now, key=len)
    assert heard(reply).text.startswith(told)


@pytest.mark.parametrize("begun", [reply for reply, said in SAID.items() if said.open])
def test_a_thought_can_be_closed(begun: str) -> None:
    said = heard(f"{begun}{closing(begun)}Yes.")
    assert (said.text.endswith("Yes."), said.open) == (True, False)


def test_nothing_is_closed_where_nothing_is_open() -> None:
    assert closing("<think>Hm.</think>Yes.") == ""


def test_a_phi_s_end_is_no_mark_of_channels() -> None:
    assert marks_among(["<|end|>", "<|user|>", "[THINK]", "</s>"]) == {"[THINK]"}
    assert marks_among(["<|end|>", "<|channel|>", "<|im_end|>"]) == {"<|end|>", "<|channel|>"}
