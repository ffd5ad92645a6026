"""The keeper's unix socket: one JSON object a line, version 1, so that newer agents can talk to old keepers."""

from __future__ import annotations

import json
import os
import socket

from agent.engine.keeper.record import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.engine.keeper.record import Json

SOCKET = "socket"
LONGEST_REQUEST = 8 * 1024 * 1024


def listen() -> socket.socket:
    """Return the listening socket in the current folder (a relative name is never too long)."""
    try:
        os.unlink(SOCKET)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    listener.bind(SOCKET)
    listener.listen(64)
    return listener


class Clients:
    """The connected agents, by descriptor, each with what it has sent so far."""

    def __init__(self, listener: socket.socket, answer: Callable[[Json], Json]) -> None:
        self.listener = listener
        self._answer = answer
        self._open: dict[int, tuple[socket.socket, bytearray]] = {}

    def accept(self) -> int | None:
        """Take one new connection and return its descriptor."""
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return None
        connection.setblocking(False)
        self._open[connection.fileno()] = (connection, bytearray())
        return connection.fileno()

    def serve(self, descriptor: int) -> bool:
        """Read and answer what a client sent; False when it is gone. A slow reader is dropped."""
        if descriptor not in self._open:
            return False
        connection, received = self._open[descriptor]
        try:
            chunk = connection.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            chunk = b""
        received += chunk
        if not chunk or len(received) > LONGEST_REQUEST:
            return self._drop(descriptor)
        while (end := received.find(b"\n")) >= 0:
            line = bytes(received[:end])
            del received[: end + 1]
            reply = json.dumps(self._reply(line), separators=(",", ":")).encode() + b"\n"
            try:
                connection.settimeout(1.0)
                connection.sendall(reply)
                connection.setblocking(False)
            except OSError:
                return self._drop(descriptor)
        return True

    def _drop(self, descriptor: int) -> bool:
        self._open.pop(descriptor)[0].close()
        return False

    def _reply(self, line: bytes) -> Json:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or request.get("version") != VERSION:
                raise ValueError(f"this keeper speaks version {VERSION}")
            return {"version": VERSION, "ok": True, **self._answer(request)}
        except (ValueError, KeyError, TypeError) as error:
            return {"version": VERSION, "ok": False, "error": str(error)}
