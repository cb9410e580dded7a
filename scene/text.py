"""Cleaning text that came from a person, a data set or a model, and judging whether it is whole.

Such text is data. It is stripped of what could act on a terminal or a page; what could act in a
chat template is somebody's own words, and is seen to where a model reads it.
"""

from __future__ import annotations

import re

from rapidfuzz import fuzz

_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SENTENCE_END = re.compile(r"[.!?…](?:[\"'”’)\]*_`]+)?(?=\s|$)")
_WHOLE_END = re.compile(r"[.!?…:;|`)\]}>\"'”’*_~-]$|```$|\d$")

_HELP = (
    "advise|answer|assist|comment|complete|comply|condone|create|discuss|do that|encourage|engage|explain"
    "|fulfil|generate|give|help|offer|provide|produce|promote|recommend|respond|share|speculate|suggest"
    "|support|tell|write"
)
_REFUSAL = re.compile(
    r"\b(?:I|we) (?:cannot|can ?not|can't|could not|couldn't|won't|will not|am unable to|am not able to)"
    rf" (?:\w+ly )?(?:{_HELP})|\bI'm (?:unable|not able) to\b"
    r"|^(?:I'm |I am )?(?:\w+ )?sorry, (?:but )?I\b|^I apologi[sz]e,? but I\b",
    re.IGNORECASE,
)
_YET = re.compile(r"\b(?:but|however),? I can\b(?!')", re.IGNORECASE)


def clean(text: str) -> str:
    """Text without control characters, lone surrogates and direction overrides, and otherwise as it is.

    Line breaks and tabs stay. Runs of three or more line breaks become two; the ends are stripped.
    """
    text = printable(text.replace("\r\n", "\n").replace("\r", "\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def printable(text: str) -> str:
    """Text without control characters, lone surrogates and direction overrides; line breaks and tabs stay."""
    return _UNPRINTABLE.sub("", text)


def escaped(json_text: str) -> str:
    """JSON with what `printable` takes out of a text as escapes: the same values, and nothing that acts."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


def one_line(text: str) -> str:
    """Cleaned text with every run of white space folded into one space."""
    return " ".join(clean(text).split())


def ends_whole(text: str) -> bool:
    """Whether text ends where a sentence, a list, a table or a code block may end."""
    return bool(_WHOLE_END.search(text.rstrip()))


def trim_to_sentence(text: str) -> str:
    """Text up to the end of its last whole sentence, or empty when it holds none."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]].rstrip() if ends else ""


def shortened(text: str, chars: int) -> str:
    """Text up to its last whole sentence within a number of characters, with a mark where it was cut."""
    if len(text) <= chars:
        return text
    return f"{trim_to_sentence(text[:chars]) or text[:chars].rpartition(' ')[0]} [...]"


def is_repetition(text: str, earlier: str, *, threshold: float = 88.0) -> bool:
    """Whether text says the same as an earlier text, give or take a few words.

    Args:
        text: The new text.
        earlier: The text it is compared with.
        threshold: Similarity in percent (normalised edit distance over sorted words) from which on two
            texts count as the same.
    """
    return fuzz.token_sort_ratio(text.casefold(), earlier.casefold()) >= threshold


def loops(text: str, *, words: int = 8, times: int = 3) -> bool:
    """Whether a run of words comes back again and again, as small models do when they are stuck.

    Args:
        text: The text to look at.
        words: Length of the run, in words.
        times: How often a run must occur to count as a loop.
    """
    return before_loop(text, words=words, times=times) != text


def before_loop(text: str, *, words: int = 8, times: int = 3) -> str:
    """Text up to where it begins to repeat itself; see `loops`."""
    found = list(re.finditer(r"\S+", text))
    starts: dict[tuple[str, ...], list[int]] = {}
    for place in range(len(found) - words + 1):
        run = tuple(match.group().casefold() for match in found[place : place + words])
        starts.setdefault(run, []).append(found[place].start())
    again = [places[1] for places in starts.values() if len(places) >= times]
    return text[: min(again)].rstrip() if again else text


def opens_with_refusal(text: str) -> bool:
    """Whether the first sentence turns the asker away in one of the usual English phrases.

    Later sentences don't count, since advice often ends with what the adviser can't do; but an opening that
    goes on with "however, I can" is none.

    It settles a scene's stance without asking the model, and turns rows away, so that it takes the surest
    phrases alone. What evaluations count as a refusal is wider.
    """
    opening = text.replace("’", "'").lstrip()
    ends = [match.end() for match in _SENTENCE_END.finditer(opening)] + [len(opening)] * 2
    return bool(_REFUSAL.search(opening[: ends[0]])) and not _YET.search(opening[: ends[1]])
