"""Lay one tree over another and remember where each value came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from agent.config.document import Document, KeyPath
from agent.errors import ConfigurationError


def merge(base: Document, over: Document) -> Document:
    """Return base with `over` laid on it: mappings merge, everything else replaces."""
    origins = dict(base.origins)
    tree = _merge(base.tree, over.tree, (), origins)
    return Document(tree=tree, origins=origins | over.origins)


def nest(document: Document, *keys: str) -> Document:
    """Return the document moved below the keys."""
    tree: dict[str, Any] = document.tree
    for key in reversed(keys):
        tree = {key: tree}
    return Document(tree=tree, origins={(*keys, *path): origin for path, origin in document.origins.items()})


def read_override(text: str) -> Document:
    """Return the document that `--set a.b.c=value` means; the value is read as YAML."""
    key, separator, value = text.partition("=")
    if not separator or not all(key.split(".")):
        raise ConfigurationError((f"--set {text}: expected KEY=VALUE such as services.api.replicas=3",))
    try:
        parsed = YAML(typ="safe").load(value)
    except YAMLError as error:
        raise ConfigurationError((f"--set {text}: the value is not YAML",)) from error
    keys = key.split(".")
    tree: Any = parsed
    for each in reversed(keys):
        tree = {each: tree}
    return Document(tree=tree, origins={tuple(keys[: depth + 1]): f"--set {key}" for depth in range(len(keys))})


def overlay_path(path: Path, environment: str) -> Path:
    """Return `refnet.staging.yaml` for `refnet.yaml` and `staging`."""
    return path.with_name(f"{path.stem}.{environment}{path.suffix}")


def _merge(base: Any, over: Any, path: KeyPath, origins: dict[KeyPath, str]) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        for key, value in over.items():
            merged[key] = _merge(base[key], value, (*path, key), origins) if key in base else value
        return merged
    for known in [each for each in origins if each[: len(path)] == path and each != path]:
        del origins[known]
    return over
