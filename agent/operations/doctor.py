"""Look for what is wrong with this host: ports, binaries, disk, modes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from agent.model.instance import InstanceState
from agent.operations.apply import make_plan
from agent.operations.desire import missing_binaries
from agent.operations.preflight import taken_ports
from agent.operations.stack import Stack

_LEAST_FREE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and its remedy."""

    id: str
    severity: str
    subject: str
    what: str
    fix: str


def examine(stack: Stack) -> tuple[Finding, ...]:
    """Return every finding, gravest first."""
    findings = (*_binaries(stack), *_ports(stack), *_disk(stack), *_modes(stack), *_keepers(stack))
    return tuple(sorted(findings, key=lambda finding: (finding.severity != "critical", finding.id)))


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
    if not stack.home.root.exists():
        return
    usage = shutil.disk_usage(stack.home.root)
    if usage.free < usage.total * _LEAST_FREE:
        what = f"{usage.free // 1024**2} MiB of {usage.total // 1024**2} MiB are free"
        yield Finding(
            id="disk-full",
            severity="critical",
            subject=str(stack.home.root),
            what=what,
            fix="free space: df -h; du -xh",
        )


def _modes(stack: Stack) -> Iterator[Finding]:
    private = (stack.home.secrets, stack.home.certificates / "ca-key.pem", stack.home.certificates / "gateway-key.pem")
    for path in private:
        if path.exists() and path.stat().st_mode & 0o077:
            mode = path.stat().st_mode & 0o777
            what = f"others may read it (mode {mode:o})"
            yield Finding(id="mode", severity="critical", subject=str(path), what=what, fix=f"chmod 600 {path}")


def _keepers(stack: Stack) -> Iterator[Finding]:
    for seen in stack.engine.observe():
        if seen.state is InstanceState.RUNNING and not seen.keeper_alive:
            what = "runs without its keeper: nobody would restart it"
            yield Finding(id="no-keeper", severity="warning", subject=seen.instance, what=what, fix="apply again")
        if seen.state is InstanceState.RUNNING and seen.limits_by == "none":
            what = "its limits are not enforced: no writable control group"
            yield Finding(id="no-limits", severity="info", subject=seen.instance, what=what, fix="run as root")
