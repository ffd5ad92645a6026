"""Speak just enough HTTP/2 for two checks: a PING, and gRPC's health service; needs the extra `http2`.

Sources: RFC 9113 section 6.7 for PING; grpc.health.v1 for the messages, which are two fields and written by hand.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.core.health import ProbeResult
from agent.model.check import Check, Status

if TYPE_CHECKING:
    from h2.connection import H2Connection
    from h2.events import Event

_PING = b"refnet-p"
_MOST_BYTES = 65536
_SERVING = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_MESSAGE_HEADER = 5


@dataclass(kw_only=True)
class _Channel:
    """One open connection; `deadline` is a moment of the monotonic clock."""

    socket: socket.socket
    connection: H2Connection
    deadline: float

    def flush(self) -> None:
        """Send what is ready."""
        self.socket.sendall(self.connection.data_to_send())

    def events(self) -> Iterator[Event]:
        """Yield what comes, until the deadline; raise OSError when the other end goes away or speaks otherwise."""
        from h2.exceptions import ProtocolError  # noqa: PLC0415 - an extra

        while True:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self.socket.settimeout(left)
            received = self.socket.recv(_MOST_BYTES)
            if not received:
                raise ConnectionResetError("the connection was closed")
            try:
                found = self.connection.receive_data(received)
            except ProtocolError as error:
                raise ConnectionError(f"does not speak HTTP/2: {error}") from error
            self.flush()
            yield from found


def probe_ping(check: Check, host: str, port: int) -> ProbeResult:
    """Pass when a PING is acknowledged; raise OSError when it is not."""
    from h2.events import PingAckReceived  # noqa: PLC0415 - an extra

    with _open(check, host, port) as channel:
        channel.connection.ping(_PING)
        channel.flush()
        for event in channel.events():
            if isinstance(event, PingAckReceived) and event.ping_data == _PING:
                break
    return ProbeResult(status=Status.PASSING, output=f"{host}:{port} acknowledged a PING")


def probe_grpc(check: Check, host: str, port: int) -> ProbeResult:
    """Pass when the health service says SERVING of `grpc_service`, all of the server when that is empty."""
    with _open(check, host, port) as channel:
        code, words, body = _call(channel, check, f"{host}:{port}")
    subject = check.grpc_service or "the server"
    if code != "0":
        return ProbeResult(status=Status.CRITICAL, output=f"{subject}: gRPC status {code} {words}".strip())
    number = _status_field(body[_MESSAGE_HEADER:])
    name = _SERVING[number] if number < len(_SERVING) else str(number)
    status = Status.PASSING if name == "SERVING" else Status.CRITICAL
    return ProbeResult(status=status, output=f"{subject} is {name}")


@contextmanager
def _open(check: Check, host: str, port: int) -> Iterator[_Channel]:
    from h2.config import H2Configuration  # noqa: PLC0415 - an extra
    from h2.connection import H2Connection  # noqa: PLC0415

    seconds = check.timeout.total_seconds()
    deadline = time.monotonic() + seconds
    with socket.create_connection((host, port), seconds) as plain:
        connected = _encrypted(plain, host) if check.tls else plain
        with connected:
            connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
            connection.initiate_connection()
            channel = _Channel(socket=connected, connection=connection, deadline=deadline)
            channel.flush()
            yield channel


def _encrypted(plain: socket.socket, host: str) -> ssl.SSLSocket:
    # As for the other checks: whether it answers is asked, not whom it trusts.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    connected = context.wrap_socket(plain, server_hostname=host)
    if connected.selected_alpn_protocol() != "h2":
        raise ConnectionError("does not offer HTTP/2 (ALPN h2)")
    return connected


def _call(channel: _Channel, check: Check, authority: str) -> tuple[str, str, bytes]:
    """Return gRPC's status, its words, and the message."""
    from h2.events import (  # noqa: PLC0415 - an extra
        ConnectionTerminated,
        DataReceived,
        ResponseReceived,
        StreamEnded,
        StreamReset,
        TrailersReceived,
    )

    connection = channel.connection
    stream = connection.get_next_available_stream_id()
    fixed = ((":method", "POST"), (":scheme", "https" if check.tls else "http"), (":authority", authority))
    rest = ((":path", "/grpc.health.v1.Health/Check"), ("content-type", "application/grpc"), ("te", "trailers"))
    connection.send_headers(stream, [*fixed, *rest, *check.headers.items()])
    name = check.grpc_service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    connection.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
    channel.flush()
    headers: dict[str, str] = {}
    body = b""
    for event in channel.events():
        match event:
            case ResponseReceived() | TrailersReceived():
                headers.update((str(key), str(value)) for key, value in event.headers or ())
            case DataReceived():
                body += event.data or b""
            case StreamReset() | ConnectionTerminated():
                raise ConnectionResetError("the call was refused")
            case StreamEnded():
                break
    status = headers.get("grpc-status")
    if status is None:
        raise ConnectionError(f"is no gRPC server: it answered {headers.get(':status', 'nothing')}")
    return status, headers.get("grpc-message", ""), body


def _varint(number: int) -> bytes:
    """Return a number as protobuf writes it: seven bits a byte, the lowest first."""
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*made, number))


def _status_field(message: bytes) -> int:
    """Return field 1 of the answer; a message without it says 0, as protobuf leaves zeros out."""
    return message[1] if len(message) > 1 and message[0] == 0x08 else 0
