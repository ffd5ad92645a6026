"""Which secrets a stack knows, and who needs each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from agent.model.settings import Settings
from agent.security.secret import placeholders

_SUFFIX = "_secret"


def secret_users(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """Return the name of every secret with the services that use it, by name; `-` stands for the agent itself."""
    users: dict[str, set[str]] = {}
    for service in settings.services.values():
        own = (*service.env.secret, *service.secret_files, *service.generated_secrets, *service.exports)
        for name in (*own, *_named_in(service)):
            users.setdefault(name, set()).add(service.name)
    for part in (settings.notify, settings.externals, settings.periodic, settings.backup):
        for name in _named_in(part):
            users.setdefault(name, set()).add("-")
    return {name: tuple(sorted(users[name])) for name in sorted(users)}


def _named_in(value: Any) -> Iterator[str]:
    """Yield the secrets that a part of the settings names: in keys ending in `_secret`, and in placeholders."""
    if dataclasses.is_dataclass(value):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for key, each in value.items():
            if str(key).endswith(_SUFFIX) and isinstance(each, str):
                yield each
            else:
                yield from _named_in(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _named_in(each)
    elif isinstance(value, str):
        yield from placeholders(value)
