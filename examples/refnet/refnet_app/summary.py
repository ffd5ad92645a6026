"""Extractive summaries: the sentences of a text that carry most of its frequent words, in their own order."""

import re
from collections import Counter

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"“(])")
COMMON = frozenset(
    """a about after also an and are as at be been but by can each for from had has have how in into is it its more
    most new no not of on one only or other over so such than that the their them then there these they this to two
    was we were what when where which while who with without""".split()
)
LEADING_SENTENCE_BONUS = 1.2


def words(text: str) -> list[str]:
    """Return the words of a text that carry meaning."""
    return [word for word in re.findall(r"[a-z][a-z-]+", text.lower()) if word not in COMMON]


def summarize(text: str, length: int = 2) -> str:
    """Return the best sentences: each scores the mean frequency of its words, the first a little more."""
    sentences = [sentence for sentence in SENTENCE_END.split(" ".join(text.split())) if sentence]
    frequency = Counter(words(text))

    def score(position: int) -> float:
        found = words(sentences[position])
        mean = sum(frequency[word] for word in found) / len(found) if found else 0.0
        return mean * (LEADING_SENTENCE_BONUS if position == 0 else 1.0)

    best = sorted(range(len(sentences)), key=score, reverse=True)[:length]
    return " ".join(sentences[position] for position in sorted(best))
