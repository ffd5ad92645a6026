"""From what was seen of every service to the nearest cause of each trouble; no file, process or clock is touched.

Order of belief: what the kernel says of the process, then what the program itself said, then how it ended. A service
that rests on a failing one is explained by that one, never the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from agent.core.affected import failing_ancestors, root_causes
from agent.model.diagnosis import Cause, Diagnosis, Evidence

_STATES = {
    "T": ("is stopped (SIGSTOP): it exists but does nothing", "kill -CONT {pid}, or: refnet-agent restart {service}"),
    "t": ("is stopped by a debugger", "end the debugger that is attached to {pid}"),
    "D": ("waits in the kernel for a disk or a network file system", "look at the disk: dmesg, df, mount"),
}
_CODES = {
    126: ("its command cannot be executed", "is the file executable, and may its user read it?"),
    127: ("its command or a library of it is not there", "refnet-agent doctor names the missing package"),
}
_SHOWN = 3


def diagnose_all(seen: Mapping[str, Evidence]) -> tuple[Diagnosis, ...]:
    """Return one diagnosis for each root of the trouble: services that only suffer from it are listed with it."""
    edges = {name: each.depends_on for name, each in seen.items()}
    failing = frozenset(name for name, each in seen.items() if each.symptom)
    roots = root_causes(failing, edges)
    return tuple(_diagnosis(seen[root], seen, left_alone=suffering) for root, suffering in sorted(roots.items()))


def diagnose(service: str, seen: Mapping[str, Evidence]) -> Diagnosis:
    """Return why one service is as it is, by way of whatever it rests on."""
    edges = {name: each.depends_on for name, each in seen.items()}
    failing = frozenset(name for name, each in seen.items() if each.symptom)
    own = seen[service]
    if not own.symptom:
        return Diagnosis(service=service, symptom="")
    roots = root_causes(failing, edges)
    above = failing_ancestors(service, edges, failing)
    guilty = [name for name in above if name in roots] or [service]
    causes = tuple(cause for name in guilty for cause in _causes(seen[name], seen))
    suffering = sorted({name for root in guilty for name in roots.get(root, ())})
    return Diagnosis(
        service=service,
        symptom=own.symptom,
        causes=causes,
        done=tuple(line for name in guilty for line in _done(seen[name])),
        left_alone=tuple(suffering),
    )


def _diagnosis(own: Evidence, seen: Mapping[str, Evidence], *, left_alone: tuple[str, ...]) -> Diagnosis:
    return Diagnosis(
        service=own.service,
        symptom=own.symptom,
        causes=tuple(_causes(own, seen)),
        done=tuple(_done(own)),
        left_alone=left_alone,
    )


def _done(own: Evidence) -> Iterator[str]:
    if own.restarts:
        yield f"{own.service} was restarted {own.restarts} time{'s' if own.restarts > 1 else ''}"


def _causes(own: Evidence, seen: Mapping[str, Evidence]) -> Iterator[Cause]:
    found = (*_by_operator(own), *_by_kernel(own), *_by_words(own, seen), *_by_externals(own))
    yield from found
    if not found:
        yield from _by_exit(own)


def _by_operator(own: Evidence) -> Iterator[Cause]:
    if own.held:
        fix = f"refnet-agent start {own.service}"
        yield Cause(subject=own.service, what="was stopped by hand and is held down", fix=fix)
    for missing in own.missing:
        yield Cause(subject=own.service, what=f"needs {missing}, which is not there", fix="refnet-agent doctor")


def _by_kernel(own: Evidence) -> Iterator[Cause]:
    if own.process_state in _STATES:
        what, fix = _STATES[own.process_state]
        shown = (f"process {own.pid} is in state {own.process_state}", *own.checks[:_SHOWN])
        fix = fix.format(pid=own.pid, service=own.service)
        yield Cause(subject=own.service, what=what, evidence=shown, fix=fix)
    if own.out_of_memory:
        fix = f"raise services.{own.service}.resources.memory, or find what it holds"
        what = "was killed by the kernel for exceeding its memory limit"
        yield Cause(subject=own.service, what=what, evidence=(own.exit,), fix=fix)
    for stranger in own.strangers:
        fix = "stop that process, or move this system with port_offset"
        what = "a port it needs is held by another process"
        yield Cause(subject=own.service, what=what, evidence=(stranger,), fix=fix)


def _by_words(own: Evidence, seen: Mapping[str, Evidence]) -> Iterator[Cause]:
    """Yield a cause for each signature that a line of output or a check matches; the newest line is shown."""
    for signature in own.signatures:
        pattern = re.compile(signature.pattern)
        matching = [line for line in (*own.checks, *reversed(own.lines)) if pattern.search(line)]
        if not matching:
            continue
        blamed = seen.get(signature.blames)
        subject = signature.blames if blamed is not None and blamed.symptom else own.service
        evidence: tuple[str, ...] = (f"{own.service}: {matching[0].strip()[:300]}",)
        if blamed is not None and not blamed.symptom:
            evidence = (*evidence, f"{signature.blames} itself is well")
        yield Cause(subject=subject, what=signature.cause, evidence=evidence, fix=signature.fix)


def _by_externals(own: Evidence) -> Iterator[Cause]:
    for name, words in own.externals.items():
        yield Cause(subject=name, what=f"cannot be used: {words}", fix="it is outside: nothing is restarted for it")


def _by_exit(own: Evidence) -> Iterator[Cause]:
    shown = (*([own.exit] if own.exit else []), *own.checks[:_SHOWN], *own.lines[-_SHOWN:])
    if own.exit_code in _CODES:
        what, fix = _CODES[own.exit_code]
        yield Cause(subject=own.service, what=what, evidence=shown, fix=fix)
        return
    what = "it ended" if own.exit else "it does not answer its checks" if own.checks else "it does not run"
    fix = f"refnet-agent logs {own.service} -n 100"
    yield Cause(subject=own.service, what=f"{what}; no signature matches what it said", evidence=shown, fix=fix)
