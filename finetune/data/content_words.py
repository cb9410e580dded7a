"""What a question is about: its words but for those that most questions have, in any script."""

from __future__ import annotations

import unicodedata

import regex

_FUNCTION_WORDS = frozenset(
    """
    a about all am an and any are as at be been best but by can could did do does for from get give good had has
    have he her him his how i if in into is it its just ll make made me more most my no not of on one or our out
    please re she should so some somebody someone something such tell than that the their them there these they
    thing this those to up us ve want was way we were what when where which who whom whose why will with without
    would you your
    aber als am auf auch aus bei bin bist da das dass dem den der des dich die dir du durch ein eine einem einen
    einer er es fur hat ich ihr im ist kann kannst man mein meine meinem meinen mich mir mit nach nicht oder
    sein sie sind soll um und uns von vor wann warum was wenn wer wie wir wird wo zu zum zur
    au aux avec ce ces cette comment dans de des du elle en est et eux il ils je la le les leur lui ma mais me
    mes moi mon nos notre nous ou par pas peut peux pour pourquoi qu quand que quel quelle qui quoi sa se ses
    son sont suis sur ta te tes toi ton tu un une vos votre vous
    al como con cual cuando de del donde el ella en es esta este esto hay la las le lo los me mi mis mas nos o
    para pero por porque puede puedo que quien se ser si sin sobre su sus te tu un una uno y yo
    的 了 是 我 你 您 他 她 它 们 在 和 与 或 吗 呢 吧 啊 么 什 如 何 怎 样 哪 谁 为 以 可 能 请 一 个 这 那 有 没 不
    把 被 给 对 从 到 要 想 会
    """.split()
)
"""Of English, German, French, Spanish and Chinese, without accents; single letters are none of the words."""

_WORD = regex.compile(
    r"(?V1)\p{Han}|[\p{Katakana}ー]+|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+"
    r"|[[\p{L}\p{M}\p{N}]--[\p{Han}\p{Katakana}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]+"
)
"""A character of Chinese is a word. What Japanese writes in Hiragana is grammar, mostly, and none."""

_UNSPACED = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_RUN = 3
"""Characters of the runs that stand for words where a script has no blanks between them."""


def content_words(text: str) -> frozenset[str]:
    """The words that say what a text is about, without case, accents and the s of a plural."""
    plain = regex.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text.casefold()))
    found: set[str] = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", plain)):
        if _UNSPACED.match(word):
            found.update(word[at : at + _RUN] for at in range(max(1, len(word) - _RUN + 1)))
        elif word not in _FUNCTION_WORDS and not (len(word) == 1 and word.isascii() and word.isalpha()):
            found.add(word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word)
    return frozenset(found)
