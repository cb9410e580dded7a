"""Cleaning text that came from a person, a data set or a model, and judging whether it is whole.

Such text is data. It is stripped of what could act on a terminal or a page; what could act in a
chat template is somebody's own words, and is seen to where a model reads it.
"""

import re
from collections.abc import Iterator

import regex
from rapidfuzz import fuzz

_EMOJI = r"\p{Extended_Pictographic}[\uFE0E\uFE0F\p{Emoji_Modifier}]?"
_FLAGS = "|".join(
    "".join(chr(0xE0000 + ord(letter)) for letter in region) for region in ("gbeng", "gbsct", "gbwls")
)
_JOINED = "".join(
    rf"\p{{Script_Extensions={script}}}"
    for script in "Arab Syrc Nkoo Mand Adlm Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Mymr".split()
)
_LETTER = rf"[[{_JOINED}]&&[\p{{L}}\p{{M}}]]"
_ANY = r"[\p{L}\p{N}--\p{Default_Ignorable_Code_Point}]"
_SEEN = "|".join(
    (
        rf"\U0001F3F4(?:{_FLAGS})\U000E007F",  # the flags of England, Scotland and Wales are spelled in tags
        rf"{_EMOJI}(?:\u200D{_EMOJI})*+",
        r"[0-9#*]\uFE0F\u20E3",
        # They part and join letters, as in Persian and Hindi.
        rf"(?<={_LETTER})[\u200C\u200D](?={_LETTER}|{_ANY})|(?<={_ANY})[\u200C\u200D](?={_LETTER})",
        r"(?<=[\p{Mong}&&\p{L}])[\u180B-\u180F]",
    )
)
"""Where a character shows that can't be seen by itself: what it stands in, or between."""

_UNSEEN = regex.compile(
    r"(?V1)[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\uFFF9-\uFFFB--[\n\t]]"
)
_HIDDEN = regex.compile(rf"(?V1)(?:{_SEEN})(*SKIP)(*FAIL)|{_UNSEEN.pattern.removeprefix('(?V1)')}")
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u2800"
_FOREIGN = re.compile(r"[\u2028\u2029]"), re.compile(r"[^\x00-\x7f]")

_PLAIN_STOP = r"[.!?…⋯‥]"
_STOP = r"[\p{Sentence_Break=STerm}\p{Sentence_Break=ATerm}…⋯‥།༎]"
_CLOSE = r"[\p{Sentence_Break=Close}*_`~]"
_SENTENCE_END = regex.compile(
    rf"(?V1)(?<!{_STOP})"
    rf"(?:{_PLAIN_STOP}*+[{_STOP}--{_PLAIN_STOP}]{_STOP}*+{_CLOSE}*+"
    rf"|{_PLAIN_STOP}++(?<!\p{{L}}\.\p{{L}}\.(?=[^\S\n]+\p{{Ll}})){_CLOSE}*+(?=\s|$|\p{{Sentence_Break=OLetter}}))"
    r"|(?<=[\p{Thai}\p{Lao}])(?=\s)"
)
"""Unicode's rules for the end of a sentence (UAX 29), fitted to answers: markup may close a sentence, and the
stops of Latin text end one before a blank or a letter without case alone, so not within an address. Thai and
Lao have no stop but a blank.
"""

_WHOLE_END = regex.compile(
    rf"(?V1)(?:{_STOP}|[\p{{Pe}}\p{{Pf}}\p{{So}}\p{{Nd}}\p{{Emoji_Modifier}}\uFE0E\uFE0F\u20E3\U000E007F]"
    r"|[:;：；؛|`>\"'*_~〜～-]|[\p{Thai}\p{Lao}]|(?<=\S)\p{Pi})\Z"  # noqa: RUF001
)


def clean(text: str) -> str:
    """Text without what acts or hides in it (see `printable`), and otherwise as it is.

    Line breaks and tabs stay. Runs of three or more line breaks become two; the ends are stripped.
    """
    text = printable(text.replace("\r\n", "\n").replace("\r", "\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip(_BLANKS)


def printable(text: str) -> str:
    """Text without control characters, lone surrogates, and whatever else a model reads and nobody sees.

    That is direction overrides, tags, variation selectors, blanks without width. Line breaks and tabs stay,
    and what shows where it stands: the joiners of emoji, of Persian and of the Indic scripts.
    """
    return str(_HIDDEN.sub("", text)) if _UNSEEN.search(text) else text


def escaped(json_text: str, *, ascii_only: bool = False) -> str:
    """JSON with what `printable` takes out of a text as escapes: the same values, and nothing that acts.

    So is what ends a line for some, or with `ascii_only` everything beyond ASCII.
    """
    return _FOREIGN[ascii_only].sub(_escape, str(_HIDDEN.sub(_escape, json_text)))


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def one_line(text: str) -> str:
    """Cleaned text with every run of white space folded into one space."""
    return " ".join(clean(text).split())


def ends_whole(text: str) -> bool:
    """Whether text ends where a sentence, a list, a table or a code block may end, in any script."""
    return bool(_WHOLE_END.search(text.rstrip()[-8:]))


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, and what else stands on a line by itself, without the blanks around them."""
    for line in text.split("\n"):
        start = 0
        for end in [*(match.end() for match in _SENTENCE_END.finditer(line)), len(line)]:
            if sentence := line[start:end].strip():
                yield sentence
            start = end


def trim_to_sentence(text: str) -> str:
    """Text up to the end of its last whole sentence, or empty when it holds none."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]].rstrip() if ends else ""


def mended(text: str, *, cut_off: bool) -> str:
    """Text up to its last whole sentence where it was cut off or begins to repeat itself.

    As it is where that would leave nothing.
    """
    begun = before_loop(text)
    return (trim_to_sentence(begun) if cut_off or begun != text else "") or text


def shortened(text: str, chars: int) -> str:
    """Text up to its last whole sentence within a number of characters, with a mark where it was cut."""
    if len(text) <= chars:
        return text
    cut = text[:chars]
    return f"{trim_to_sentence(cut) or cut.rpartition(' ')[0] or cut} [...]"


def is_repetition(text: str, earlier: str, *, threshold: float = 88.0) -> bool:
    """Whether text says the same as an earlier text, give or take a few words.

    That is a normalised edit distance over sorted words, as a similarity in percent.
    """
    return fuzz.token_sort_ratio(text.casefold(), earlier.casefold()) >= threshold


def loops(text: str, *, words: int = 8, times: int = 3) -> bool:
    """Whether a run of words comes back again and again, as small models do when they are stuck."""
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
