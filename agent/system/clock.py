"""Whether the kernel believes its clock."""

from __future__ import annotations

import ctypes

_TIMEX_BYTES = 256
"""More than struct timex takes on any architecture; zero as its first field reads and sets nothing."""
_TIME_ERROR = 5


def is_synchronised() -> bool | None:
    """Return whether something keeps the clock right (adjtimex(2)), None where we may not ask."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
