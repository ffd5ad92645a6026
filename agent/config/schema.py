"""The JSON Schema of the operator's file."""

from __future__ import annotations

from typing import Any

from agent.config.read import adapter


def json_schema() -> dict[str, Any]:
    """Return the schema editors use to complete and check a refnet.yaml."""
    return adapter().json_schema()
