"""Durations and sizes as operators write them: `10s`, `5m`, `512MiB`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)\s*(KiB|MiB|GiB|TiB)?")
_BYTES = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


def parse_duration(text: object) -> timedelta:
    """Return the duration `text` says, such as `10s` or `1h30m`; raise ValueError otherwise."""
    if isinstance(text, str):
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
    raise ValueError(f'expected a duration such as "10s" or "5m", found {text!r}')


def format_duration(value: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back as `value`."""
    milliseconds = round(value.total_seconds() * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def parse_size(text: object) -> int:
    """Return bytes; a bare number is MiB, as in a Nomad job spec."""
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text * 1024**2
    if isinstance(text, str) and (found := _SIZE.fullmatch(text)):
        return int(found[1]) * _BYTES[found[2] or "MiB"]
    raise ValueError(f'expected a size in MiB or such as "512MiB", found {text!r}')


def parse_text(value: object) -> str:
    """Return an environment value as text; YAML numbers are taken as written, booleans must be quoted."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"expected text (quote it), found {value!r}")


class _ReadBy:
    """Tell pydantic to read a field by one of the functions above; imported only when config decodes."""

    def __init__(self, parse: Any, schema: dict[str, Any]) -> None:
        self._parse = parse
        self._schema = schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415 - only the decoder needs it

        return core_schema.no_info_plain_validator_function(self._parse)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return self._schema


Duration = Annotated[timedelta, _ReadBy(parse_duration, {"type": "string", "examples": ["10s", "5m"]})]
Size = Annotated[int, _ReadBy(parse_size, {"type": ["integer", "string"], "examples": [512, "1GiB"]})]
Text = Annotated[str, _ReadBy(parse_text, {"type": ["string", "number"]})]
