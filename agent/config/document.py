"""Read a YAML file into a plain tree that remembers where every key stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from agent.errors import ConfigurationError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A plain tree and the origin (`file:line:col`, from 1) of each key path in it."""

    tree: dict[str, Any]
    origins: dict[KeyPath, str] = field(default_factory=dict)


def read_document(path: Path, *, label: str | None = None) -> Document:
    """Return the file's mapping; raise ConfigurationError with the place of what cannot be read."""
    name = label or str(path)
    try:
        tree = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError((f"{name}: there is no such file",)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError((f"{name}: cannot be read: {error}",)) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigurationError((f"{place}: {(error.problem or 'not YAML').splitlines()[0]}",)) from error
    except YAMLError as error:
        raise ConfigurationError((f"{name}: {str(error).splitlines()[0]}",)) from error
    if tree is None:
        tree = CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise ConfigurationError((f"{name}:1:1: expected a mapping at the top",))
    origins: dict[KeyPath, str] = {}
    plain = _plain(tree, (), name, origins)
    return Document(tree=plain, origins=origins)


def _plain(node: Any, path: KeyPath, name: str, origins: dict[KeyPath, str]) -> Any:
    if isinstance(node, CommentedMap):
        result = {}
        for key, value in node.items():
            if str(key).startswith("x-"):
                continue
            here = (*path, str(key))
            origins[here] = _place(node.lc.key(key) if key in (node.lc.data or {}) else None, name)
            result[str(key)] = _plain(value, here, name, origins)
        return result
    if isinstance(node, CommentedSeq):
        items = []
        for index, value in enumerate(node):
            here = (*path, index)
            origins[here] = _place(node.lc.item(index), name)
            items.append(_plain(value, here, name, origins))
        return items
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    return float(node) if isinstance(node, float) else str(node)


def _place(position: tuple[int, int] | None, name: str) -> str:
    # A key merged from an anchor has no position of its own.
    return f"{name}:{position[0] + 1}:{position[1] + 1}" if position else name
