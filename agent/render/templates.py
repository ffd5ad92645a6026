"""Jinja2 where an undefined variable is an error with a place."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateError, TemplateSyntaxError

from agent.errors import ConfigurationError


class Templates:
    """Templates by `folder/path`, such as `templates/nginx/nginx.conf.j2`."""

    def __init__(self, directories: Mapping[str, Path]) -> None:
        loader = PrefixLoader({name: FileSystemLoader(path) for name, path in directories.items()})
        self._environment = Environment(
            loader=loader,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """Return the text; raise ConfigurationError with template and line."""
        try:
            return self._environment.get_template(name).render(context)
        except TemplateSyntaxError as error:
            raise ConfigurationError((f"{error.name}:{error.lineno}: {error.message}",)) from error
        except TemplateError as error:
            frames = traceback.extract_tb(error.__traceback__)
            line = next((frame.lineno for frame in reversed(frames) if frame.filename.endswith(".j2")), 0)
            raise ConfigurationError((f"{name}:{line}: {error.message or type(error).__name__}",)) from error
