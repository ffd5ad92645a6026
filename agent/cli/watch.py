"""Look again and again: redrawn in place on a terminal, one block after the other elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from agent.cli.terminal import is_terminal
from agent.errors import AgentError, Interrupted

_LEAST_SECONDS = 0.2


def watch(look: Callable[[], list[str] | None], *, every: float) -> NoReturn:
    """Show the lines `look` returns, every so many seconds, until Ctrl-C; raise Interrupted then.

    A look that fails shows its error and is tried again; only the first one ends the watch.
    """
    live, drawn, first = is_terminal(), 0, True
    try:
        if live:
            sys.stdout.write("\x1b[?25l")
        while True:
            try:
                lines = look()
            except AgentError as error:
                if first:
                    raise
                lines = [f"error: {error.message}"]
            if lines is not None:
                drawn = _redraw(lines, drawn) if live else _append(lines)
            first = False
            time.sleep(max(every, _LEAST_SECONDS))
    except KeyboardInterrupt:
        raise Interrupted("") from None
    finally:
        if live:
            sys.stdout.write("\x1b[?25h")
            sys.stdout.flush()


def _redraw(lines: list[str], drawn: int) -> int:
    shown = lines[: shutil.get_terminal_size().lines - 1]
    up = f"\x1b[{drawn}A" if drawn else ""
    # Each line is cleared as it is written and the rest below afterwards: nothing flickers.
    sys.stdout.write(f"{up}\r" + "".join(f"{line}\x1b[K\n" for line in shown) + "\x1b[J")
    sys.stdout.flush()
    return len(shown)


def _append(lines: list[str]) -> int:
    print("\n".join(lines), end="\n\n", flush=True)
    return 0
