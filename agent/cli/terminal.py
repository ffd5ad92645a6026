"""What the terminal can show: colours, width, glyphs, and text that cannot drive it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "dim": 2, "bold": 1}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_GOOD = {"healthy", "passing", "complete", "completed", "verified", "removed"}
_BAD = {"failed", "critical", "down", "stopped"}
_CYCLE = ("cyan", "green", "magenta", "yellow", "blue")


def is_terminal() -> bool:
    """Return whether standard output is a terminal that understands cursor movements."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def has_colour() -> bool:
    """Return whether colours are shown: on a terminal, unless NO_COLOR (no-color.org) forbids it."""
    return is_terminal() and not os.environ.get("NO_COLOR")


def has_unicode() -> bool:
    """Return whether standard output takes more than ASCII."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def columns() -> int | None:
    """Return the terminal's width, None when the output goes elsewhere and is never cut."""
    return max(shutil.get_terminal_size().columns, 20) if sys.stdout.isatty() else None


def colour(text: str, name: str) -> str:
    """Return the text in a colour where it is shown."""
    return f"\x1b[{_COLOURS[name]}m{text}\x1b[0m" if has_colour() else text


def state_name(state: str) -> str:
    """Return the colour of a state."""
    return "green" if state in _GOOD else "red" if state in _BAD else "yellow"


def state_colour(state: str) -> str:
    """Return the state in green, red or yellow."""
    return colour(state, state_name(state))


def cycle_colour(text: str, number: int) -> str:
    """Return the text in one of five colours, by number."""
    return colour(text, _CYCLE[number % len(_CYCLE)])


def printable(text: str) -> str:
    """Return a line of foreign output without what would drive the terminal."""
    return _CONTROL.sub("�", text) if sys.stdout.isatty() else text


def cut(text: str, width: int) -> str:
    """Return the text cut to that many columns, its colours kept and ended; East Asian letters take two."""
    if _columns_of(_ESCAPE.sub("", text)) <= width:
        return text
    taken, room = [], width - 1
    for piece in re.split(r"(\x1b\[[0-9;]*m)", text):
        if _ESCAPE.fullmatch(piece):
            taken.append(piece)
            continue
        for letter in piece:
            room -= _columns_of(letter)
            if room < 0:
                break
            taken.append(letter)
    ended = "\x1b[0m" if "\x1b[" in text else ""
    return "".join(taken) + ("…" if has_unicode() else "~") + ended


def _columns_of(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
