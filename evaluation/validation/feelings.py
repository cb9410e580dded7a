"""Whether a consequence only tells how somebody feels, by a list of words."""

import re

_MOODS = """
    afraid alone amused angry annoyed anxious appreciated appreciates ashamed awkward betrayed bored calm
    cautious comfortable concerned confident confused curious disappointed discouraged distressed doubts
    embarrassed encouraged enjoys enthusiastic excited fears feel feeling feels felt frightened frustrated
    glad grateful guilty happy hates hopeful hopes humiliated hurried impressed insecure inspired
    interested intimidated intrigued isolated jealous likes lonely loves miserable motivated nervous
    offended overwhelmed panic panics pleased pressured proud puzzled reassured regrets relieved resents
    sad satisfied scared shocked startled stressed supported surprised suspicious tense terrified thankful
    thrilled touched uncertain uncomfortable uneasy unhappy unsure upset wary worried worries
"""
_INTENTIONS = """
    agree agrees ask asks consider considering considers decide decides hesitates plans starts think
    thinks tries try wants wishes wonders
"""
_MOOD = re.compile(rf"\b(?:{'|'.join(_MOODS.split())})\b", re.IGNORECASE)
_INTENTION = re.compile(rf"\b(?:{'|'.join(_INTENTIONS.split())})\b", re.IGNORECASE)
_CONJUNCTION = re.compile(r"[,;.]|\b(?:and|but|so)\b", re.IGNORECASE)
_PHRASE = 2
"""Words of a part that states nothing, such as "the laptop"."""

_CAUSE = re.compile(
    r"\b(?:about|after|as|at|because|by|due|for|if|in|over|since|that|to|when|while|with)\b.*", re.IGNORECASE
)


def only_feels(consequence: str) -> bool:
    """Whether a sentence tells a mood, and beside it no more than what somebody means to do.

    A rule of thumb: the sentence is cut at "and", "but" and commas, what comes after "because", "that" and
    the like is left out, and each part of three words or more needs a word for a mood or an intention, one at
    least for a mood.
    """
    said = [part for part in _CONJUNCTION.split(consequence) if len(part.split()) > _PHRASE]
    parts = [_CAUSE.sub("", part) for part in said]
    moods = [part for part in parts if _MOOD.search(part)]
    return bool(moods) and all(part in moods or _INTENTION.search(part) for part in parts)
