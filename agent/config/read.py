"""From files to Settings, with every problem at once."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent.config.document import Document, KeyPath, read_document
from agent.config.merge import merge, nest, overlay_path, read_override
from agent.config.references import find_problems
from agent.errors import ConfigurationError
from agent.model.service import Service
from agent.model.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Decoded settings, the tree they came from, and the origin of each dotted key path."""

    settings: Settings
    resolved: dict[str, Any]
    origins: dict[str, str]
    path: Path


def read_settings(
    path: Path,
    *,
    environment: str | None = None,
    overrides: tuple[str, ...] = (),
    catalogue: Mapping[str, Path],
) -> Configuration:
    """Return what the file, its overlay and the overrides say, over the catalogue; raise with all problems."""
    document = read_document(path)
    if environment is not None:
        document = merge(document, read_document(overlay_path(path, environment)))
    for text in overrides:
        document = merge(document, read_override(text))
    document = _with_catalogue(document, catalogue)
    settings = _decode(document, path)
    problems = find_problems(settings)
    if problems:
        raise ConfigurationError(tuple(_at(document, path, place, text) for place, text in problems))
    origins = {".".join(map(str, key)): origin for key, origin in document.origins.items()}
    return Configuration(settings=settings, resolved=document.tree, origins=origins, path=path)


@functools.cache
def adapter() -> TypeAdapter[Settings]:
    """Return the one decoder of the operator's file."""
    return TypeAdapter(Settings)


def _with_catalogue(document: Document, catalogue: Mapping[str, Path]) -> Document:
    services = document.tree.get("services")
    if not isinstance(services, dict):
        return document
    for name, body in list(services.items()):
        own = dict(body) if isinstance(body, dict) else body
        if own is None:
            own = {}
        if not isinstance(own, dict):
            continue
        base_name = own.pop("extends", name)
        if base_name != name and base_name not in catalogue:
            near = difflib.get_close_matches(str(base_name), catalogue, n=1)
            text = f"expected a service of the catalogue, found {base_name!r}" + (f"; near: {near[0]}" if near else "")
            raise ConfigurationError((_at(document, Path(), ("services", name, "extends"), text),))
        services[name] = own | {"name": name}
        if base_name in catalogue:
            found = read_document(catalogue[base_name], label=f"catalogue jobs/{base_name}.yaml")
            base = nest(found, "services", name)
            merged = merge(base, Document(tree={"services": {name: services[name]}}))
            services[name] = merged.tree["services"][name]
            document = Document(tree=document.tree, origins=merged.origins | document.origins)
    return document


def _decode(document: Document, path: Path) -> Settings:
    try:
        return adapter().validate_json(json.dumps(document.tree), strict=True)
    except ValidationError as error:
        problems = tuple(
            _at(document, path, tuple(problem["loc"]), _words(problem, tuple(problem["loc"])))
            for problem in error.errors()
        )
        raise ConfigurationError(problems) from None


def _at(document: Document, path: Path, place: KeyPath, text: str) -> str:
    key = ".".join(map(str, place))
    for length in range(len(place), 0, -1):
        if origin := document.origins.get(place[:length]):
            return f"{origin}: {key}: {text}"
    return f"{path}:1:1: {key}: {text}" if key else f"{path}:1:1: {text}"


def _words(problem: Any, place: KeyPath) -> str:
    kind, found = problem["type"], problem["input"]
    if kind in {"unexpected_keyword_argument", "extra_forbidden"}:
        near = difflib.get_close_matches(str(place[-1]), _known_keys(place[:-1]), n=1)
        return f"unknown key {place[-1]!r}" + (f", did you mean {near[0]}?" if near else "")
    if kind in {"missing", "missing_keyword_only_argument"}:
        return "is required"
    if kind == "enum":
        return f"expected {problem['ctx']['expected']}, found {found!r}"
    text = str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    return text if "found" in text else f"{text}, found {found!r}"


def _known_keys(place: KeyPath) -> list[str]:
    """Walk the dataclasses along the key path; mappings take any key, lists any index."""
    from typing import get_args, get_type_hints  # noqa: PLC0415

    current: Any = Settings
    for part in place:
        arguments = [each for each in get_args(current) if each is not Ellipsis]
        if is_dataclass(current):
            current = get_type_hints(current).get(str(part))
        elif arguments:
            current = arguments[-1]
        choices = [each for each in get_args(current) if is_dataclass(each)]
        if choices and type(None) in get_args(current):
            current = choices[0]
    return [each.name for each in fields(current)] if is_dataclass(current) else [each.name for each in fields(Service)]
