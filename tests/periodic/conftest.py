"""A daemon that fires what a test schedules."""

from __future__ import annotations

from tests.daemon.conftest import watched
from tests.e2e.conftest import agent, free_offset

__all__ = ["agent", "free_offset", "watched"]
