"""The service's output: drained from the pipe, stamped line by line, rotated, never in the service's way."""

from __future__ import annotations

import errno
import fcntl
import os

from agent.engine.keeper.record import wall_time

FIFO = "output"
PIPE_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
_SET_PIPE_SIZE = 1031


def open_fifo(path: str) -> int:
    """Return the instance's pipe, open for both ends so that neither side ever sees it closed."""
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(descriptor, _SET_PIPE_SIZE, PIPE_BYTES)
    except OSError:
        pass  # over the user's pipe quota: the default 64 KiB still works
    return descriptor


class LogFile:
    """Appends stamped output to `path`, keeps `files` files of at most `max_bytes` each."""

    def __init__(self, path: str, *, max_bytes: int, files: int) -> None:
        self.path = path
        self.max_bytes = max(max_bytes, 1024)
        self.files = max(files, 1)
        self.lost_bytes = 0
        self._unsaid_bytes = 0
        self._descriptor = -1
        self._size = 0
        self._at_line_start = True
        try:
            self._open()
        except OSError:
            pass  # tried again at the next write

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.path) or ".", mode=0o750, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._descriptor).st_size
        if self._size:
            self._at_line_start = os.pread(self._descriptor, 1, self._size - 1) == b"\n"

    def end_line(self) -> None:
        """Finish a line that the last process left open, so that the next one starts its own."""
        if not self._at_line_start:
            self.write(b"\n")

    def write(self, chunk: bytes) -> None:
        """Append raw output; what does not fit on the disk is dropped and counted."""
        if not chunk:
            return
        try:
            if self._descriptor < 0:
                self._open()
            if self._unsaid_bytes and self._at_line_start:
                self._append(self._stamped(b"refnet-agent: %d bytes of output lost\n" % self._unsaid_bytes))
                self._unsaid_bytes = 0
            self._append(self._stamped(chunk))
        except OSError:
            self.lost_bytes += len(chunk)
            self._unsaid_bytes += len(chunk)

    def say(self, text: str) -> None:
        """Append one line of the keeper's own."""
        self.end_line()
        self.write(f"refnet-agent: {text}\n".encode("utf-8", "replace"))

    def _stamped(self, chunk: bytes) -> bytes:
        prefix = wall_time().encode("ascii") + b" "
        ends_line = chunk.endswith(b"\n")
        body = chunk[:-1] if ends_line else chunk
        stamped = body.replace(b"\n", b"\n" + prefix)
        if self._at_line_start:
            stamped = prefix + stamped
        self._at_line_start = ends_line
        return stamped + b"\n" if ends_line else stamped

    def _append(self, content: bytes) -> None:
        start = 0
        while start < len(content):
            end = min(len(content), start + max(self.max_bytes - self._size, 0))
            if end < len(content):
                # Cut behind a whole line; a line longer than a file goes on in the next one.
                newline = content.rfind(b"\n", start, end)
                if newline >= 0:
                    end = newline + 1
                elif self._size:
                    end = start
            start = self._append_part(content, start, end)
            if start < len(content):
                self._rotate()

    def _append_part(self, content: bytes, start: int, end: int) -> int:
        view = memoryview(content)
        while start < end:
            written = os.write(self._descriptor, view[start:end])
            self._size += written
            start += written
        return start

    def _rotate(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        for number in range(self.files - 1, 0, -1):
            source = self.path if number == 1 else f"{self.path}.{number - 1}"
            try:
                os.rename(source, f"{self.path}.{number}")
            except FileNotFoundError:
                pass
        if self.files == 1:
            os.unlink(self.path)
        at_line_start = self._at_line_start
        self._open()
        self._at_line_start = at_line_start


class Output:
    """The reading end of the pipe: writes the log and looks for the ready line."""

    def __init__(self, descriptor: int, log: LogFile, ready_line: str | None) -> None:
        self.descriptor = descriptor
        self.log = log
        self.ready = False
        self._wanted = b""
        self._tail = b""
        self.expect(ready_line)

    def expect(self, ready_line: str | None) -> None:
        """Look for this text from now on; nothing to look for means ready."""
        self._wanted = (ready_line or "").encode()
        self._tail = b""
        self.ready = not self._wanted

    def drain(self, *, chunks: int) -> bool:
        """Move up to `chunks` chunks from the pipe to the log; True when the pipe is empty."""
        for _ in range(chunks):
            try:
                chunk = os.read(self.descriptor, CHUNK_BYTES)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    return True
                raise
            self.log.write(chunk)
            if not self.ready:
                self._look(chunk)
        return False

    def _look(self, chunk: bytes) -> None:
        text = self._tail + chunk
        self.ready = self._wanted in text
        self._tail = text[-len(self._wanted) :]
