"""The service's side of the fork: everything between fork and exec."""

from __future__ import annotations

import os
import resource
import select
import signal

from agent.engine.keeper import cgroups, processes
from agent.engine.keeper.fork import fork_into

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.engine.keeper.record import Json

CANNOT_RUN = 127
EXEC_MILLISECONDS = 1000


def spawn(launch: Json, *, tag: str, fifo: str, lock: int, groups: dict[str, str]) -> int:
    """Fork and run the service; return its pid. It inherits `lock`, and reports on its own output."""
    until_exec, held = os.pipe2(os.O_CLOEXEC)
    pid, is_in_group = fork_into(groups.get("unified"))
    if pid:
        os.close(held)
        _await_exec(until_exec)
        return pid
    doing = "start"
    try:
        _take_output(fifo)
        os.setsid()
        _reset_signals()
        try:
            cgroups.join({kind: group for kind, group in groups.items() if kind != "unified" or not is_in_group})
        except OSError as error:
            _say(f"cannot join a cgroup, limits are off: {error.filename or ''}: {error.strerror}")
        doing = "read a secret"
        environment = _environment(launch, tag)
        doing = "set limits"
        _set_limits(launch["limits"])
        doing = "become its user"
        _become(launch["user"])
        os.umask(launch["umask"])
        doing = "enter its directory"
        os.chdir(launch["directory"])
        doing = "run"
        os.set_inheritable(lock, True)
        os.execvpe(launch["command"][0], launch["command"], environment)
    except OSError as error:
        subject = launch["command"][0] if doing == "run" else error.filename or ""
        _say(f"cannot {doing} {subject}: {error.strerror or error}")
    except BaseException as error:
        _say(f"cannot {doing}: {error!r}")
    finally:
        os._exit(CANNOT_RUN)


def _await_exec(until_exec: int) -> None:
    # Before its exec the child is still a copy of the keeper: it holds the keeper's lock and has no tag.
    # A folder or secret on a dead network disk must not hold up the keeper for ever.
    waiting = select.poll()
    waiting.register(until_exec, select.POLLIN)
    waiting.poll(EXEC_MILLISECONDS)
    os.close(until_exec)


def _say(text: str) -> None:
    os.write(2, f"refnet-agent: {text}\n".encode("utf-8", "replace"))


def _take_output(fifo: str) -> None:
    # Both ends open on the service's side too: with the keeper dead it still writes, never EPIPE.
    output = os.open(fifo, os.O_RDWR)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if output > 2:
        os.close(output)


def _reset_signals() -> None:
    # Ignored signals survive exec: Python ignores SIGPIPE, and so does the keeper.
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _environment(launch: Json, tag: str) -> dict[str, str]:
    environment = dict(launch["environment"])
    for name, path in launch["secret_environment"].items():
        with open(path, "rb") as stream:
            environment[name] = os.fsdecode(stream.read().removesuffix(b"\n"))
    environment[processes.TAG_VARIABLE] = tag
    return environment


def _set_limits(limits: Json) -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("0")
    except OSError:
        pass  # lowering it needs a right the keeper may not have had either
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    files = limits["open_files"]
    if files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def _become(user: Json | None) -> None:
    if user is None:
        return
    if os.geteuid() == user["uid"] != 0:
        return  # an agent without root runs its services as itself
    os.setgroups(user["groups"])
    os.setgid(user["gid"])
    os.setuid(user["uid"])
