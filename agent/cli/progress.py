"""Show the steps of an apply as they happen: live lines, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, Self

from agent.cli.terminal import colour, columns, cut, has_unicode, is_terminal, state_colour, state_name
from agent.operations.stack import Progress

MODES = ("auto", "tty", "plain", "json", "quiet")
_REDRAW_SECONDS = 0.1
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Show(Protocol):
    """Listens to an operation's steps and shows them; leaving it ends the drawing."""

    def __call__(self, progress: Progress) -> None:
        """Show one step; never raises: a reader that has gone must not end an apply."""
        ...

    def expect(self, services: Iterable[str]) -> None:
        """Say which services will report."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End."""
        ...


def progress(mode: str) -> Show:
    """Return what shows the steps in this mode; `auto` is live on a terminal and plain elsewhere."""
    if mode == "auto":
        mode = "tty" if is_terminal() else "plain"
    return LiveLines() if mode == "tty" else Lines(mode)


def say(text: str) -> None:
    """Write to standard output; once its reader has gone, write nowhere and go on."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class Lines:
    """One line a step, with the seconds since the start; JSON in mode `json`, nothing in mode `quiet`."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._start = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Print one step in the chosen mode."""
        seconds = time.monotonic() - self._start
        if self._mode == "quiet":
            return
        if self._mode == "json":
            step: dict[str, Any] = {
                "service": progress.service,
                "state": progress.state,
                "detail": progress.detail,
                "done": progress.done,
                "seconds": round(seconds, 3),
            }
            say(json.dumps(step, ensure_ascii=False) + "\n")
            return
        # One write: lines of services that start side by side do not mix.
        line = f"  {seconds:6.1f}s  {progress.service:<16} {state_colour(progress.state)} {progress.detail}".rstrip()
        width = columns()
        say((cut(line, width) if width else line) + "\n")

    def expect(self, services: Iterable[str]) -> None:
        """Steps are printed as they come; nothing to prepare."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End: every line is already out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One service on the screen; moments are monotonic seconds, None before it began and before it ended."""

    service: str
    state: str = "waiting"
    detail: str = ""
    began: float | None = None
    ended: float | None = None


class LiveLines:
    """A header and one line a service, redrawn in place; the last drawing stays on the screen."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()
        self._drawn = 0
        self._turn = 0
        self._stop = threading.Event()
        self._start = time.monotonic()
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def __call__(self, progress: Progress) -> None:
        """Take in one step; the next drawing shows it."""
        now = time.monotonic()
        with self._lock:
            known = self._lines.get(progress.service, _Line(service=progress.service))
            self._lines[progress.service] = replace(
                known,
                state=progress.state,
                detail=progress.detail,
                began=now if known.began is None else known.began,
                ended=now if progress.done else None,
            )

    def expect(self, services: Iterable[str]) -> None:
        """Show these services as waiting."""
        with self._lock:
            for name in services:
                self._lines.setdefault(name, _Line(service=name))

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Draw a last time, what has not ended included."""
        self._stop.set()
        self._thread.join()
        self._draw(final=True)

    def _redraw(self) -> None:
        while not self._stop.wait(_REDRAW_SECONDS):
            self._draw()

    def _draw(self, *, final: bool = False) -> None:
        width, height = columns() or 80, shutil.get_terminal_size().lines
        with self._lock:
            lines = [*self._lines.values()]
        if not lines:
            return
        self._turn += 1
        done = sum(line.ended is not None for line in lines)
        shown = lines if final else _fitting(lines, height - 3)
        text = [colour(f"[+] {done}/{len(lines)}", "bold") + f"  {time.monotonic() - self._start:.1f}s"]
        text += [self._text(line, width, final=final) for line in shown]
        if len(shown) < len(lines):
            text.append(colour(f"    … {len(lines) - len(shown)} more", "dim"))
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        # The cursor may not rest on the last column: the terminal would wrap and the next redraw miss a line.
        say(f"{up}\r\x1b[J" + "".join(cut(line, width - 1) + "\n" for line in text))
        self._drawn = len(text)

    def _text(self, line: _Line, width: int, *, final: bool) -> str:
        sign = self._sign(line, final=final)
        seconds = ""
        if line.began is not None:
            seconds = f"{(line.ended or time.monotonic()) - line.began:.1f}s"
        name_width = min(16, max(8, width // 3))
        left = f"{line.service:<{name_width}} {line.state} {line.detail}".rstrip()
        left = cut(left, max(width - len(seconds) - 6, 8))
        coloured = left.replace(f" {line.state}", f" {state_colour(line.state)}", 1)
        return f" {sign} {coloured}{' ' * max(width - len(seconds) - 5 - len(left), 1)}{colour(seconds, 'dim')}"

    def _sign(self, line: _Line, *, final: bool) -> str:
        fancy = has_unicode()
        if line.ended is not None:
            bad = state_name(line.state) == "red"
            glyph = ("✘" if bad else "✔") if fancy else ("x" if bad else "+")
            return colour(glyph, "red" if bad else "green")
        if line.began is None or final:
            return "·" if fancy else "."
        frames = _SPINNER if fancy else "|/-\\"
        return colour(frames[self._turn % len(frames)], "cyan")


def _fitting(lines: list[_Line], room: int) -> list[_Line]:
    """What is under way first when the terminal is too low for all, in the order it came."""
    if len(lines) <= room:
        return lines
    busy = [line for line in lines if line.began is not None and line.ended is None]
    rest = [line for line in lines if line not in busy]
    kept = (busy + rest)[: max(room, 1)]
    return [line for line in lines if line in kept]
