"""Tell the service manager how we are, by the protocol of sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket


def notify_manager(text: str) -> None:
    """Send lines such as READY=1 or WATCHDOG=1 to NOTIFY_SOCKET; nothing happens where there is no manager."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), address)


def watchdog_seconds() -> float | None:
    """Return how often the manager wants to hear of us, None when it does not watch."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if microseconds.isdigit() and mine else None
