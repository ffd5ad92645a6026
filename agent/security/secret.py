"""Secret values, and what may be shown of them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from urllib.parse import quote

from agent.errors import ConfigurationError

_PLACEHOLDER = re.compile(r"@\{secret:([A-Za-z_][A-Za-z0-9_]*)(?::(url))?\}")


class Secret:
    """A value that prints as `***`; only the file writer calls `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def reveal(self) -> str:
        """Return the value itself."""
        return self._value

    def digest(self, key: bytes) -> str:
        """Return a keyed digest: equal secrets agree within one home and tell a reader nothing."""
        return hmac.new(key, self._value.encode(), hashlib.sha256).hexdigest()[:12]


def generate() -> Secret:
    """Return a new secret of 192 bits in letters that need no quoting anywhere."""
    return Secret(secrets.token_hex(24))


def placeholders(text: str) -> tuple[str, ...]:
    """Return the names of the secrets a text needs, in order of appearance."""
    return tuple(dict.fromkeys(found[1] for found in _PLACEHOLDER.finditer(text)))


def fill(text: str, values: Mapping[str, Secret]) -> Secret:
    """Return the text with every placeholder replaced; raise ConfigurationError for a secret nobody set."""
    missing = [name for name in placeholders(text) if name not in values]
    if missing:
        problems = tuple(f"secret {name} is not set" for name in missing)
        raise ConfigurationError(problems, hint=f"set it with: refnet-agent secret set {missing[0]}")

    def value(found: re.Match[str]) -> str:
        plain = values[found[1]].reveal()
        return quote(plain, safe="") if found[2] == "url" else plain

    return Secret(_PLACEHOLDER.sub(value, text))
