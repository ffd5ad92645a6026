"""Replace `${NAME}` in the words of a definition."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from agent.errors import ConfigurationError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*(?::[a-z0-9-]+)?)\}")


def substitute(text: str, values: Mapping[str, str], *, where: str) -> str:
    """Return the text with every variable replaced; raise ConfigurationError naming the nearest known one."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name in values:
            return values[name]
        near = difflib.get_close_matches(name, values, n=1)
        hint = f", did you mean ${{{near[0]}}}?" if near else ""
        raise ConfigurationError((f"{where}: unknown variable ${{{name}}}{hint}",))

    return _VARIABLE.sub(value, text)


def substitute_all(words: tuple[str, ...], values: Mapping[str, str], *, where: str) -> tuple[str, ...]:
    """Return every word with its variables replaced."""
    return tuple(substitute(word, values, where=where) for word in words)
