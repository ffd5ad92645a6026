"""How two stored releases differ, service by service; releases hold no secret, so neither do their differences."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.reconcile import field_causes
from agent.model.desired import Desired, DesiredService
from agent.model.units import format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """What became of one service: `kind` is added, removed or changed; `diffs` maps files to unified diffs."""

    service: str
    kind: str
    causes: tuple[str, ...] = ()
    diffs: Mapping[str, str] = field(default_factory=dict)


def changes_between(old: Desired | None, new: Desired, *, texts: bool = False) -> tuple[ServiceChange, ...]:
    """Return what changed, by service name; with `texts` also the unified diff of every rendered file."""
    before = {each.name: each for each in old.services} if old else {}
    after = {each.name: each for each in new.services}
    found = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        causes = () if was is None or now is None else _causes(was, now)
        diffs = _diffs(was, now) if texts else {}
        kind = "added" if was is None else "removed" if now is None else "changed"
        if causes or diffs or kind != "changed":
            found.append(ServiceChange(service=name, kind=kind, causes=causes, diffs=diffs))
    return tuple(found)


def code_of(desired: Desired) -> dict[str, str]:
    """Return the digest of each service's code, the image of those that run one."""
    found = {each.name: each.code or each.service.image for each in desired.services}
    return {name: digest for name, digest in found.items() if digest}


def _causes(was: DesiredService, now: DesiredService) -> tuple[str, ...]:
    causes = [cause for _, cause in field_causes(_fields(was), _fields(now))]
    old, new = _files(was), _files(now)
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            causes.append(f"file {path} {'added' if path not in old else 'removed' if path not in new else 'changed'}")
    return tuple(causes)


def _fields(service: DesiredService) -> dict[str, str]:
    """The fingerprint, and what changes in place and is no part of it."""
    own = dict(service.launches[0].fields) if service.launches else {}
    checks = {
        f"check {each.title}": f"{each.type} each {format_duration(each.interval)}" for each in service.service.checks
    }
    depends = {f"depends_on {name}": str(each.condition) for name, each in service.service.depends_on.items()}
    return {**own, **checks, **depends, "instances": str(len(service.launches))}


def _files(service: DesiredService) -> dict[str, str]:
    if service.launches:
        return service.launches[0].files
    return {file.path: file.text for file in service.files}


def _diffs(was: DesiredService | None, now: DesiredService | None) -> dict[str, str]:
    old = {file.path: file.text for file in was.files} if was else {}
    new = {file.path: file.text for file in now.files} if now else {}
    name = was.name if was else now.name if now else ""
    diffs = {}
    for path in sorted(old.keys() | new.keys()):
        lines = difflib.unified_diff(
            old.get(path, "").splitlines(keepends=True),
            new.get(path, "").splitlines(keepends=True),
            f"a/{name}/{path}" if path in old else "/dev/null",
            f"b/{name}/{path}" if path in new else "/dev/null",
        )
        if text := "".join(line if line.endswith("\n") else f"{line}\n" for line in lines):
            diffs[path] = text
    return diffs
