"""What systemd says of a unit, in our words; nothing is asked here."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from agent.model.instance import Exit, InstanceState, Launch

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "MainPID",
    "NRestarts",
    "ExecMainStartTimestamp",
    "ExecMainExitTimestamp",
    "ExecMainCode",
    "ExecMainStatus",
    "InvocationID",
    "MemoryCurrent",
    "StateChangeTimestamp",
)
_EXITED = "1"
_SIGNALLED = frozenset({"2", "3"})


def state_of(shown: Mapping[str, str], launch: Launch, *, stopped: bool) -> InstanceState:
    """Return where the instance is in its life; `stopped` says that its end was wanted."""
    match shown["ActiveState"], shown["SubState"]:
        case "active", "exited":
            good = shown["ExecMainCode"] == _EXITED and int(shown["ExecMainStatus"]) in launch.success_exit_codes
            return InstanceState.COMPLETE if good else InstanceState.FAILED
        case (("active" | "reloading" | "refreshing"), _):
            return InstanceState.RUNNING
        case "activating", sub:
            return InstanceState.BACKOFF if sub.startswith("auto-restart") else InstanceState.STARTING
        case "deactivating", _:
            # After a crash it passes through here on its way to the next start.
            return InstanceState.STOPPING if stopped or launch.oneshot else InstanceState.BACKOFF
    if stopped:
        return InstanceState.STOPPED
    if waits_for_window(shown, launch):
        return InstanceState.BACKOFF
    return InstanceState.FAILED if shown["ActiveState"] == "failed" else InstanceState.STOPPED


def waits_for_window(shown: Mapping[str, str], launch: Launch) -> bool:
    """Return whether it used up its attempts but is to go on after their interval: systemd will not, we must."""
    return _gave_up(shown, launch) and launch.restart.mode == "delay"


def window_is_over(shown: Mapping[str, str], launch: Launch, *, now: datetime) -> bool:
    """Return whether the interval has passed since systemd gave up."""
    since = moment(shown["StateChangeTimestamp"])
    return since is None or now >= since + timedelta(seconds=launch.restart.interval)


def restarts_of(shown: Mapping[str, str], launch: Launch) -> int:
    """Return how often systemd started it again; it counts the refused one as well."""
    return max(int(shown["NRestarts"] or 0) - _gave_up(shown, launch), 0)


def _gave_up(shown: Mapping[str, str], launch: Launch) -> bool:
    # What is always restarted can only fail at its limit; `Result` keeps the failure before that.
    return shown["ActiveState"] == "failed" and not launch.oneshot


def exit_of(shown: Mapping[str, str]) -> Exit | None:
    """Return the end of the main process, None while it runs and once systemd has forgotten."""
    at, status = moment(shown["ExecMainExitTimestamp"]), int(shown["ExecMainStatus"])
    out_of_memory = shown["Result"] == "oom-kill"
    if at is None or int(shown["MainPID"]):
        return None
    if shown["ExecMainCode"] == _EXITED:
        return Exit(code=status, at=at, out_of_memory=out_of_memory)
    return Exit(signal=status, at=at, out_of_memory=out_of_memory) if shown["ExecMainCode"] in _SIGNALLED else None


def moment(text: str) -> datetime | None:
    """Return the moment of `Tue 2026-11-24 12:00:00.123456 UTC`, None for none."""
    words = text.split()
    if len(words) < 3:
        return None
    return datetime.fromisoformat(f"{words[1]}T{words[2]}").replace(tzinfo=UTC)


def read_exit(text: str) -> Exit | None:
    """Return the end a note says: moment, result, `exited|killed|dumped`, and a code or a signal's name."""
    words = text.split()
    if len(words) != 4:
        return None
    at = datetime.fromisoformat(words[0])
    killed = out_of_memory = words[1] == "oom-kill"
    if words[2] == "exited" and words[3].isdigit():
        return Exit(code=int(words[3]), at=at, out_of_memory=out_of_memory)
    number = signal.SIGKILL if killed else _signal(words[3])
    return Exit(signal=number, at=at, out_of_memory=out_of_memory)


def _signal(name: str) -> int | None:
    if name.isdigit():
        return int(name)
    found = signal.Signals.__members__.get(f"SIG{name}")
    return int(found) if found else None
