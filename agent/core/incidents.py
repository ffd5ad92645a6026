"""When trouble becomes an incident, worse, a flapping one, or is over; pure, with `now` in monotonic seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from agent.model.incident import Draft, Incident, IncidentPolicy, NoticeKind, Trouble
from agent.model.notify import Severity

Incidents = dict[str, Incident]


def severity_of(*, healthy: int, desired: int, matters: bool) -> Severity:
    """Return how grave it is that so many instances are well.

    P1: nothing of it works and it holds data, is the door to the outside, or others suffer. P2: nothing of it works.
    P3: some instances go on.
    """
    if desired and healthy:
        return Severity.P3
    return Severity.P1 if matters else Severity.P2


def decide(
    known: Mapping[str, Incident],
    troubles: Mapping[str, Trouble],
    *,
    policy: IncidentPolicy,
    muted: frozenset[str],
    now: float,
    at: datetime,
) -> tuple[Incidents, tuple[Draft, ...]]:
    """Return the incidents as they are now and the notices that are due; `muted` subjects open nothing."""
    drafts: list[Draft] = []
    after: Incidents = {}
    for subject, trouble in troubles.items():
        quiet = subject in muted
        incident, kind = _in_trouble(known.get(subject), trouble, policy=policy, quiet=quiet, now=now, at=at)
        after[subject] = incident
        if kind is not None:
            drafts.append(Draft(kind=kind, incident=incident))
    explained = {name: root for root, trouble in troubles.items() for name in trouble.affected}
    for subject, incident in known.items():
        if subject in troubles:
            continue
        if subject in explained and incident.opened is not None:
            # People know of it; it is told as part of its root once that one is open.
            if after[explained[subject]].opened is None:
                after[subject] = replace(incident, seen=now)
            continue
        left, kind = _well(incident, policy=policy, now=now)
        if left is not None:
            after[subject] = left
        if kind is not None:
            drafts.append(Draft(kind=kind, incident=incident))
    return after, tuple(drafts)


def rebase(known: Mapping[str, Incident], now: float) -> Incidents:
    """Return the incidents of an earlier boot, whose clock had other numbers, as if all had been seen just now."""
    return {
        subject: each
        if each.seen <= now
        else replace(each, seen=now, since=now, opens=(), opened=None if each.opened is None else now)
        for subject, each in known.items()
    }


def _in_trouble(
    known: Incident | None, trouble: Trouble, *, policy: IncidentPolicy, quiet: bool, now: float, at: datetime
) -> tuple[Incident, NoticeKind | None]:
    fresh = Incident(subject=trouble.subject, severity=trouble.severity, symptom=trouble.symptom, since=now, seen=now)
    own = known or fresh
    if own.opened is None and (quiet or now - own.seen > policy.calm.total_seconds()):
        own = replace(own, since=now)
    own = replace(own, seen=now, symptom=trouble.symptom, affected=trouble.affected)
    if own.opened is not None:
        if trouble.severity >= own.severity:
            return own, None
        return replace(own, severity=trouble.severity), None if own.flapping or quiet else NoticeKind.WORSE
    own = replace(own, severity=trouble.severity)
    if quiet or now - own.since < policy.after.total_seconds():
        return own, None
    opens = (*_recent(own, policy, now), now)
    flapping = len(opens) >= policy.flapping
    own = replace(
        own,
        id=f"{own.subject}-{at:%Y%m%dT%H%M%S}",
        opened=now,
        opened_at=at.isoformat(timespec="seconds"),
        opens=opens,
        flapping=flapping,
        cause="",
    )
    return own, NoticeKind.FLAPPING if flapping else NoticeKind.OPENED


def _well(incident: Incident, *, policy: IncidentPolicy, now: float) -> tuple[Incident | None, NoticeKind | None]:
    calm = (policy.flapping_calm if incident.flapping else policy.calm).total_seconds()
    if now - incident.seen < calm:
        return incident, None
    opens = _recent(incident, policy, now)
    left = replace(incident, opened=None, flapping=False, opens=opens) if opens else None
    return left, None if incident.opened is None else NoticeKind.RESOLVED


def _recent(incident: Incident, policy: IncidentPolicy, now: float) -> tuple[float, ...]:
    return tuple(moment for moment in incident.opens if now - moment <= policy.window.total_seconds())
