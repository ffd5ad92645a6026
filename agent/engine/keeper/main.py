"""The keeper: one small process that runs one instance and outlives the agent.

    python -I -S -c "..." INSTANCE_DIR [GOAL [CAUSE [START_ID]]]       GOAL is start (default) or stop

It imports only cheap modules of the standard library, and all of them at its start: after an upgrade
of the agent the files it was loaded from are gone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys
import time

from agent.engine.keeper import processes, record
from agent.engine.keeper.control import Clients, listen
from agent.engine.keeper.service import NEVER, Service, open_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.engine.keeper.record import Json

ALREADY_KEPT = 75
KEEPER_LOCK = "keeper.lock"
_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> None:
    """Leave the caller's session and keep the instance of this folder until it ends."""
    directory, goal, cause, start_id = (*arguments, *("", "start", "start", "")[len(arguments) :])
    os.chdir(directory)
    lock = os.open(KEEPER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(ALREADY_KEPT)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # A terminal's or a service manager's signal to the agent is not meant for the service.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _protect_from_oom()
    Keeper(os.path.abspath(directory)).run(goal, cause, start_id)
    # The lock is let go by the exit itself, after the last record is on disk.
    os._exit(0)


def _protect_from_oom() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("-900")
    except OSError:
        pass


class Keeper:
    """The loop around one service: pipe, child exits, socket and time."""

    def __init__(self, directory: str) -> None:
        envelope = record.read_object(record.LAUNCH)
        if envelope is None:
            raise FileNotFoundError(os.path.join(directory, record.LAUNCH))
        self.launch: Json = envelope["launch"]
        self.tag: str = envelope["tag"]
        if self.launch.get("whole_tree", True):
            ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.home = os.path.dirname(os.path.dirname(directory))
        self.poll = select.poll()
        self.watched_pidfd = -1
        self.wakeup, wakeup_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, lambda number, frame: self.service.stop("SIGTERM to the keeper"))
        self.known = record.load(".", self.launch, self.tag)
        written = self._continued() or record.fresh(self.launch)
        output = open_output(self.launch)
        events = os.path.join(self.home, "events.jsonl")
        self.service = Service(self.launch, tag=self.tag, written=written, output=output, events=events)
        self.clients = Clients(listen(), self.answer)
        for descriptor in (self.wakeup, output.descriptor, self.clients.listener.fileno()):
            self.poll.register(descriptor, select.POLLIN)

    def _continued(self) -> Json | None:
        """Return the earlier record when that life was cut short in this boot: its counters go on."""
        known = self.known
        if known is None or known["boot_id"] != processes.boot_id():
            return None
        return {**record.fresh(self.launch), **known} if known["state"] in record.LIVE_STATES else None

    def run(self, goal: str, cause: str, start_id: str) -> None:
        """Adopt or start, then loop until the instance is finished."""
        service = self.service
        digest = service.record["digest"]
        service.record.update(
            keeper_pid=os.getpid(), keeper_ticks=processes.start_ticks(os.getpid()), start_id=start_id
        )
        for name in ("digest", "fields", "files", "address"):
            service.record[name] = self.launch[name]
        adopted = (goal == "stop" or digest == self.launch["digest"]) and service.adopt(cause)
        if not adopted:
            service.record["pid"] = 0
        if goal == "stop":
            service.stop(cause)
        elif not adopted:
            service.begin(cause)
        while not service.finished:
            self._turn()

    def _turn(self) -> None:
        service = self.service
        self._watch_adopted()
        wait = service.due - time.monotonic()
        # poll counts milliseconds in an int: a stop timeout may be hours, so long waits are cut.
        ready = self.poll.poll(None if service.due == NEVER else min(max(wait * 1000, 0), 3_600_000))
        was_ready = service.output.ready
        for descriptor, _ in ready:
            if descriptor == service.output.descriptor:
                service.output.drain(chunks=16)
            elif descriptor == self.wakeup:
                os.read(self.wakeup, 4096)
            elif descriptor == self.clients.listener.fileno():
                accepted = self.clients.accept()
                if accepted is not None:
                    self.poll.register(accepted, select.POLLIN)
            elif descriptor == self.watched_pidfd:
                self._adopted_exited()
            elif not self.clients.serve(descriptor):
                self.poll.unregister(descriptor)
        self._reap()
        if service.output.ready and not was_ready and service.record["pid"]:
            service.save()
        service.tick(time.monotonic())

    def _watch_adopted(self) -> None:
        if self.service.adopted and self.watched_pidfd < 0 and self.service.pidfd >= 0:
            self.watched_pidfd = self.service.pidfd
            self.poll.register(self.watched_pidfd, select.POLLIN)

    def _adopted_exited(self) -> None:
        # Not our child: the kernel tells that it ended but not how, so it counts as a failure.
        self.poll.unregister(self.watched_pidfd)
        self.watched_pidfd = -1
        self.service.exited(None, None)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.service.record["pid"] and not self.service.adopted:
                code = os.waitstatus_to_exitcode(status)
                self.service.exited(code if code >= 0 else None, -code if code < 0 else None)

    def answer(self, request: Json) -> Json:
        """Answer one request of an agent; what takes long goes on after the answer."""
        operation = request["op"]
        cause = str(request.get("cause", operation))
        if operation in ("stop", "quit"):
            self.service.stop(cause, timeout=request.get("timeout"))
        elif operation == "fail":
            self.service.fail(cause)
        elif operation == "restart":
            self.service.stop(cause, goal="restart")
        elif operation == "update":
            self.service.update(request["launch"], reload=bool(request.get("reload")))
        elif operation != "status":
            raise ValueError(f"unknown op {operation!r}")
        self.service.record["ready"] = self.service.output.ready and self.service.record["pid"] != 0
        return {"record": self.service.record}
