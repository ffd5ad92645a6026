"""Look for what is wrong with this host: binaries, ports, disk, modes, clock, lost processes, corrupt state."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.engine.lost import lost_processes
from agent.engine.process import ProcessEngine
from agent.model.instance import InstanceState
from agent.operations.apply import make_plan
from agent.operations.desire import missing_binaries
from agent.operations.preflight import taken_ports
from agent.operations.quarantine import found_aside
from agent.operations.releases import latest
from agent.operations.stack import Stack
from agent.system.clock import is_synchronised

_LEAST_FREE = 0.05
_CLOCK_SLACK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and its remedy; severity is critical, warning or info."""

    id: str
    severity: str
    subject: str
    what: str
    fix: str


def examine(stack: Stack) -> tuple[Finding, ...]:
    """Return every finding, gravest first."""
    looks = (_binaries, _ports, _disk, _modes, _clock, _keepers, _strangers, _aside)
    findings = [finding for look in looks for finding in look(stack)]
    order = ("critical", "warning", "info")
    return tuple(sorted(findings, key=lambda finding: (order.index(finding.severity), finding.id, finding.subject)))


def _binaries(stack: Stack) -> Iterator[Finding]:
    for binary, package in sorted(missing_binaries(stack.desired).items()):
        fix = f"apt-get install {package}"
        yield Finding(id="binary-missing", severity="critical", subject=binary, what="is not installed", fix=fix)


def _ports(stack: Stack) -> Iterator[Finding]:
    for sentence in taken_ports(stack, make_plan(stack)):
        subject, _, what = sentence.partition(": ")
        fix = "stop its owner, or move ours with port_offset"
        yield Finding(id="port-taken", severity="critical", subject=subject, what=what, fix=fix)


def _disk(stack: Stack) -> Iterator[Finding]:
    root = stack.home.root
    if not root.exists():
        return
    usage = shutil.disk_usage(root)
    if usage.free < usage.total * _LEAST_FREE:
        what = f"{usage.free // 1024**2} MiB of {usage.total // 1024**2} MiB are free"
        fix = f"free space: du -xh {root} | sort -h | tail"
        yield Finding(id="disk-full", severity="critical", subject=str(root), what=what, fix=fix)
    numbers = os.statvfs(root)
    if numbers.f_files and numbers.f_favail < numbers.f_files * _LEAST_FREE:
        what = f"{numbers.f_favail} of {numbers.f_files} files can still be made"
        fix = "remove what makes so many files"
        yield Finding(id="inodes-full", severity="critical", subject=str(root), what=what, fix=fix)


def _modes(stack: Stack) -> Iterator[Finding]:
    home = stack.home
    for path in (home.root, home.root / "data", home.root / "services", home.releases, home.instances):
        if path.exists() and path.stat().st_mode & 0o022:
            what, fix = _open_to_others(path, "write"), f"chmod go-w {path}"
            yield Finding(id="mode", severity="critical", subject=str(path), what=what, fix=fix)
    private = (home.secrets, *home.certificates.glob("*key*.pem"), *home.root.glob("services/*/secrets/*"))
    for path in private:
        if path.exists() and path.stat().st_mode & 0o077:
            what, fix = _open_to_others(path, "read"), f"chmod go= {path}"
            yield Finding(id="mode", severity="critical", subject=str(path), what=what, fix=fix)
    if home.root.exists() and home.root.stat().st_uid != os.geteuid():
        what = f"belongs to user {home.root.stat().st_uid}, and this runs as {os.geteuid()}"
        fix = "run as its owner, or choose another home: --home DIR"
        yield Finding(id="owner", severity="warning", subject=str(home.root), what=what, fix=fix)


def _open_to_others(path: Path, verb: str) -> str:
    return f"others may {verb} it (mode {stat.S_IMODE(path.stat().st_mode):o})"


def _clock(stack: Stack) -> Iterator[Finding]:
    release = latest(stack.home)
    now = datetime.now(UTC)
    if release is not None and release.at > now + _CLOCK_SLACK:
        what = f"says {now:%Y-%m-%d %H:%M} UTC, but release {release.number} was stored {release.at:%Y-%m-%d %H:%M} UTC"
        fix = "set it right: timedatectl, or your time service"
        yield Finding(id="clock-behind", severity="critical", subject="clock", what=what, fix=fix)
    if is_synchronised() is False:
        what = "is not kept right by anything: certificates, tokens and schedules depend on it"
        fix = "timedatectl set-ntp true, or install chrony"
        yield Finding(id="clock-unsynchronised", severity="warning", subject="clock", what=what, fix=fix)


def _keepers(stack: Stack) -> Iterator[Finding]:
    unlimited = []
    for seen in stack.engine.observe():
        if seen.state is InstanceState.RUNNING and not seen.keeper_alive:
            what = "runs without its keeper: nobody would restart it"
            yield Finding(id="no-keeper", severity="warning", subject=seen.instance, what=what, fix="apply again")
        if stack.desired.find(seen.service) is None:
            what = f"runs, but there is no service {seen.service}"
            yield Finding(id="not-wanted", severity="warning", subject=seen.instance, what=what, fix="apply again")
        if seen.state is InstanceState.RUNNING and seen.limits_by == "none":
            unlimited.append(seen.instance)
    if unlimited:
        what = "no limits are enforced: there is no writable control group"
        yield Finding(id="no-limits", severity="info", subject=", ".join(unlimited), what=what, fix="run as root")


def _strangers(stack: Stack) -> Iterator[Finding]:
    """Processes of this home that no keeper knows: they hold ports and data, and nothing ends them."""
    for instance, pid in lost_processes(ProcessEngine(stack.home.root)):
        what = f"process {pid} was started for it and nothing looks after it"
        yield Finding(
            id="orphan", severity="critical", subject=instance, what=what, fix=f"look at it, then: kill {pid}"
        )


def _aside(stack: Stack) -> Iterator[Finding]:
    for path in found_aside(stack.home):
        what = "was corrupt and has been put aside"
        fix = f"look at the disk (dmesg); when you need it no more: rm {path}"
        yield Finding(id="corrupt", severity="warning", subject=str(path), what=what, fix=fix)
