"""The life of one instance: a state machine of start, exit, back-off, stop and clearing away."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time

from agent.core import restarts
from agent.engine.keeper import cgroups, child, processes, record
from agent.engine.keeper.output import FIFO, LogFile, Output, open_fifo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.engine.keeper.record import Json

CLEAR_EVERY = 0.01
UNKILLABLE_AFTER = 15.0
NEVER = float("inf")


class Service:
    """One instance under this keeper; `tick` moves it on, `due` says when it wants to be called again."""

    def __init__(self, launch: Json, *, tag: str, written: Json, output: Output, events: str) -> None:
        self.launch = launch
        self.tag = tag
        self.record = written
        self.output = output
        self.events = events
        self.pidfd = -1
        self.adopted = False
        self.finished = False
        self.due = NEVER
        self._goal = "run"  # or: stop, restart, fail
        self._clearing_since: float | None = None
        self._lock = -1
        self._oom_before = 0
        self._pending_exit: Json | None = None
        self._complained = False
        self._start_cause = "start"
        self._ran = 0.0

    # -- telling ------------------------------------------------------------------------------

    def tell(self, kind: str, cause: str, **detail: object) -> None:
        """Append one event of this instance."""
        event = {
            "at": record.wall_time(), "service": self.launch["service"], "instance": self.launch["instance"],
            "kind": kind, "cause": cause, "detail": detail,
        }  # fmt: skip
        record.append_event(self.events, event)

    def save(self) -> None:
        """Write the record down; a full disk is no reason to let the service fall."""
        self.record["ready"] = self.output.ready and self.record["pid"] != 0
        self.record["lost_bytes"] = self.output.log.lost_bytes
        try:
            record.write_atomically(record.RECORD, json.dumps(self.record).encode())
        except OSError as error:
            os.write(2, f"record not written: {error}\n".encode())

    # -- commands -----------------------------------------------------------------------------

    def begin(self, cause: str) -> None:
        """Clear away what an earlier life left over, then start."""
        self._goal = "restart"
        self.record["state"] = "starting"
        self._start_cause = cause
        self._clear(time.monotonic())

    def adopt(self, cause: str) -> bool:
        """Take over the running process of a dead keeper; False when it is gone."""
        pidfd = processes.open_identity(self.record["pid"], self.record["ticks"])
        if pidfd is None:
            return False
        self.pidfd = pidfd
        self.adopted = True
        self.record["state"] = "running"
        self.output.ready = self.output.ready or bool(self.record["ready"])
        self.tell("adopted", cause, pid=self.record["pid"])
        self.save()
        return True

    def stop(self, cause: str, *, goal: str = "stop", timeout: float | None = None) -> None:
        """Ask the main process to end; the grace runs without blocking, then comes SIGKILL."""
        now = time.monotonic()
        grace = self.launch["stop_timeout"] if timeout is None else timeout
        if self.record["state"] == "stopping":
            self._goal = "stop" if goal == "stop" else self._goal
            self.due = min(self.due, now + grace)
            return
        self._goal = goal
        self._start_cause = cause
        self.record["state"] = "stopping"
        self.tell("stopping", cause, signal=self.launch["stop_signal"], timeout=grace)
        if self.record["pid"]:
            self._signal(getattr(signal, self.launch["stop_signal"]))
            self._signal(signal.SIGCONT)  # a process that was stopped could not obey
            self.due = now + grace
            self.save()
        elif self._clearing_since is None:
            self._clear(now)

    def fail(self, cause: str) -> None:
        """Stop a running process and let the restart policy decide, as if it had ended by itself."""
        if self.record["pid"] and self.record["state"] == "running":
            self.stop(cause, goal="fail")

    def update(self, launch: Json, *, reload: bool) -> None:
        """Take over new policies and fingerprint; ValueError when it cannot be reloaded."""
        if reload and not launch["reload_signal"]:
            raise ValueError(f"{launch['instance']} has no reload signal")
        if reload and not self.record["pid"]:
            raise ValueError(f"{launch['instance']} is not running: nothing to reload")
        self.launch = launch
        for name in ("digest", "fields", "files", "address"):
            self.record[name] = launch[name]
        log = self.output.log
        log.path, log.max_bytes, log.files = launch["log_path"], launch["log_max_bytes"], launch["log_files"]
        if reload:
            self._signal(getattr(signal, launch["reload_signal"]))
            self.tell("reloaded", "apply", signal=launch["reload_signal"])
        self.save()

    def _signal(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass  # it ended a moment ago: the exit is on its way
        except PermissionError as error:
            self.tell("kill-failed", str(error))

    # -- what happens -------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due."""
        if now < self.due or self.finished:
            return
        self.due = NEVER
        if self._clearing_since is not None:
            self._clear(now)
        elif self.record["state"] == "stopping" and self.record["pid"]:
            self.tell("killed", "still there after its stop timeout", signal="SIGKILL")
            self._signal(signal.SIGKILL)
        elif self.record["state"] == "backoff":
            self._clear(now)

    def exited(self, code: int | None, number: int | None) -> None:
        """Note how the main process ended and clear away the rest of its tree."""
        now = time.monotonic()
        self.output.drain(chunks=512)
        out_of_memory = number == signal.SIGKILL and cgroups.oom_kills(self.record["cgroups"]) > self._oom_before
        ended = {"code": code, "signal": number, "at": record.wall_time(), "out_of_memory": out_of_memory}
        self.record["last_exit"] = ended
        self._pending_exit = ended
        self.record["pid"] = 0
        os.close(self.pidfd)
        self.pidfd = -1
        self._ran = now - self.record["started_monotonic"]
        detail = {**ended, "ran": round(self._ran, 3), "adopted": self.adopted}
        self.tell("exited", self.record["state"], **detail)
        self._clear(now)

    def _clear(self, now: float) -> None:
        if self._clearing_since is None:
            self._clearing_since = now
        if self._kill_rest():
            self.due = now + (CLEAR_EVERY if now - self._clearing_since < UNKILLABLE_AFTER else 1.0)
            if now - self._clearing_since >= UNKILLABLE_AFTER and not self._complained:
                self._complained = True
                self.tell("unkillable", "processes survive SIGKILL: no second copy is started")
            return
        self._clearing_since = None
        self._complained = False
        self.due = NEVER
        self._decide(now)

    def _kill_rest(self) -> bool:
        """Kill what is left of the old tree; True while there is anything."""
        groups = self.record["cgroups"]
        cgroups.kill(groups)
        rest = processes.descendants_of(os.getpid()) + cgroups.members(groups) if self._whole_tree() else []
        living = processes.kill_all(rest)
        if not living and self._take_lock():
            return False
        # Slower searches, only for what ran under an earlier keeper or hides from the quick ones.
        stragglers = processes.tagged(self.tag) + processes.holders_of(record.SERVICE_LOCK)
        if self.record["ticks"]:
            stragglers += processes.session_members(self._old_session(), self.record["ticks"])
        processes.kill_all(stragglers)
        return True

    def _whole_tree(self) -> bool:
        return bool(self.launch.get("whole_tree", True))

    def _old_session(self) -> int:
        return int(self.record.get("session") or 0)

    def _take_lock(self) -> bool:
        """Take the lock that the whole old tree holds; it is ours only when all of that tree is gone."""
        descriptor = os.open(record.SERVICE_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        if self.adopted or self._goal == "stop" or self.record["generation"] == 0:
            # Not our children, or the last chance: look for those that closed the lock as well.
            if processes.kill_all(processes.tagged(self.tag)):
                os.close(descriptor)
                return False
        self._lock = descriptor
        return True

    # -- what comes next ----------------------------------------------------------------------

    def _decide(self, now: float) -> None:
        if self._goal == "stop":
            self._finish("stopped", "stopped")
        elif self._goal == "restart" or self._pending_exit is None:
            kind = "restarted" if self.record["state"] in ("backoff", "stopping") else "started"
            cause = "back-off ended" if self.record["state"] == "backoff" else self._start_cause
            self._goal = "run"
            self._start()
            self.tell(kind, cause, pid=self.record["pid"])
        else:
            self._goal = "run"
            self._after_exit(self._pending_exit, now)

    def _after_exit(self, ended: Json, now: float) -> None:
        self._pending_exit = None
        if self.launch["oneshot"]:
            good = ended["code"] in self.launch["success_exit_codes"]
            self._finish("complete" if good else "failed", "complete" if good else "failed")
            return
        policy = self.launch["restart"]
        failures = restarts.recent_failures(self.record["failures"], interval=policy["interval"], now=now)
        verdict, seconds, reason = restarts.decide(
            attempts=policy["attempts"], interval=policy["interval"], delay=policy["delay"], mode=policy["mode"],
            failures=failures, ran=self._ran, quick_exits=self.record["quick_exits"],
            by_signal=ended["signal"] is not None, now=now,
        )  # fmt: skip
        self.record["quick_exits"] = restarts.quick_exits_after(self.record["quick_exits"], ran=self._ran)
        # Only as many as can ever matter are kept: a crash loop must not grow the record.
        self.record["failures"] = [*failures, now][-(policy["attempts"] + 1) :]
        if verdict == restarts.GIVE_UP:
            self.tell("gave-up", reason)
            self._finish("failed", "gave-up")
            return
        start_at = seconds if verdict == restarts.WAIT else now + seconds
        self.record["restarts"] += 1
        if start_at <= now:
            self._start()
            self.tell(
                "restarted", reason, attempt=len(failures) + 1, of=policy["attempts"], delay=0.0, pid=self.record["pid"]
            )
            return
        self.record["state"] = "backoff"
        self._release_lock()
        self.due = start_at
        delay = round(start_at - now, 3)
        self.tell("backoff", reason, attempt=len(failures) + 1, of=policy["attempts"], delay=delay)
        self.save()

    def _start(self) -> None:
        self.record["state"] = "starting"
        self._make_groups()
        self.output.log.end_line()
        self.output.expect(self.launch["ready_line"])
        pid = child.spawn(self.launch, tag=self.tag, fifo=FIFO, lock=self._lock, groups=self.record["cgroups"])
        self._release_lock()
        self.pidfd = os.pidfd_open(pid)
        self.adopted = False
        self.record.update(
            pid=pid, session=pid, ticks=processes.start_ticks(pid, or_zombie=True) or 0, started_at=record.wall_time(),
            started_monotonic=time.monotonic(), generation=self.record["generation"] + 1, state="running",
        )  # fmt: skip
        self._pending_exit = None
        self.save()

    def _make_groups(self) -> None:
        if not self._whole_tree():
            self.record["limits_by"], self.record["cgroups"] = "none", {}
            return
        name, slug = self.tag.rsplit("@", 1)
        kind, made, problems = cgroups.create(slug, name, self.launch["limits"])
        if problems and self.record["generation"] == 0:
            self.tell("limits-off", "; ".join(problems))
            self.output.log.say("limits are off: " + "; ".join(problems))
        self.record["limits_by"] = kind
        self.record["cgroups"] = made
        self._oom_before = cgroups.oom_kills(made)

    def _release_lock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _finish(self, state: str, kind: str) -> None:
        self._release_lock()
        self.output.drain(chunks=512)
        cgroups.remove(self.record["cgroups"])
        self.record.update(state=state, pid=0, keeper_pid=0, keeper_ticks=0, cgroups={})
        self.save()
        if kind != "gave-up":
            self.tell(kind, state)
        self.finished = True


def open_output(launch: Json) -> Output:
    """Return the drained pipe of the instance in the current folder."""
    descriptor = open_fifo(FIFO)
    log = LogFile(launch["log_path"], max_bytes=launch["log_max_bytes"], files=launch["log_files"])
    if launch["user"] is not None and os.geteuid() == 0:
        os.fchown(descriptor, launch["user"]["uid"], launch["user"]["gid"])  # so that it may open /dev/stdout
    return Output(descriptor, log, launch["ready_line"])
