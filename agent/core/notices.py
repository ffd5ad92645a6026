"""The words of notices, and who gets which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from agent.model.diagnosis import Diagnosis
from agent.model.incident import Draft, Incident, Notice, NoticeKind
from agent.model.maintenance import Maintenance
from agent.model.notify import Channel, Severity

_LONGEST_EVIDENCE = 300
_DEPLOYS = {
    "released": (Severity.P4, "was released"),
    "apply-failed": (Severity.P2, "could not be applied"),
    "rolled-back": (Severity.P3, "was rolled back"),
}


def wants(channel: Channel, notice: Notice) -> bool:
    """Return whether the channel gets it: maintenance always, deploys where asked for, else by severity."""
    match notice.kind:
        case NoticeKind.MAINTENANCE | NoticeKind.TEST:
            return True
        case NoticeKind.DEPLOY:
            return channel.deploys
        case _:
            return notice.severity <= channel.least


def incident_notice(draft: Draft, diagnosis: Diagnosis | None, *, stack: str, at: datetime) -> Notice:
    """Return what people read of an incident: the symptom, the nearest cause, what was done, and what to do next."""
    incident = draft.incident
    return Notice(
        key=f"{incident.id}/{draft.kind}/{incident.severity}",
        kind=draft.kind,
        severity=incident.severity,
        subject=incident.subject,
        title=_title(draft.kind, incident, diagnosis),
        text="\n".join(_text(draft.kind, incident, diagnosis, at)),
        at=at.isoformat(timespec="seconds"),
        stack=stack,
        incident=incident.id,
        affected=incident.affected,
    )


def reminder(incident: Incident, number: int, *, stack: str, at: datetime) -> Notice:
    """Return the notice that an incident still lasts."""
    notice = incident_notice(Draft(kind=NoticeKind.REMINDER, incident=incident), None, stack=stack, at=at)
    return replace(notice, key=f"{incident.id}/reminder/{number}")


def maintenance_notice(maintenance: Maintenance, words: str, *, stack: str, at: datetime) -> Notice:
    """Return the one notice about a maintenance."""
    return Notice(
        key=f"maintenance/{maintenance.service}/{maintenance.since.isoformat()}",
        kind=NoticeKind.MAINTENANCE,
        severity=Severity.P4,
        subject=maintenance.subject,
        title=words,
        text=f"{words}\nChecks go on; nothing is restarted and nobody is told of trouble meanwhile.",
        at=at.isoformat(timespec="seconds"),
        stack=stack,
    )


def event_notice(event: dict[str, Any], *, stack: str) -> Notice | None:
    """Return the notice about something that happened: a deploy, or a periodic run that went wrong; else None."""
    kind, service, number = str(event["kind"]), str(event["service"]), event["number"]
    said = "\n".join(filter(None, (str(event["cause"]), _plain(event["detail"]))))
    if kind in _DEPLOYS:
        severity, words = _DEPLOYS[kind]
        sort, title = NoticeKind.DEPLOY, f"{stack} {words}"
    elif kind in {"periodic-failed", "periodic-missed", "periodic-interrupted", "periodic-late"}:
        severity, sort, title = Severity.P3, NoticeKind.PERIODIC, f"{service} {kind.removeprefix('periodic-')}"
    else:
        return None
    by = f"\nby {event['who']}" if event.get("who") not in {None, "", "daemon", "keeper"} else ""
    return Notice(
        key=f"event/{event['at']}/{number}",
        kind=sort,
        severity=severity,
        subject=service or stack,
        title=f"{title}: {said.splitlines()[0]}" if said else title,
        text=f"{said}{by}".strip(),
        at=str(event["at"]),
        stack=stack,
    )


def trial_notice(channel: str, *, stack: str, at: datetime) -> Notice:
    """Return a notice that says only that notices arrive."""
    return Notice(
        key=f"test/{channel}/{at.isoformat()}",
        kind=NoticeKind.TEST,
        severity=Severity.P4,
        subject=stack,
        title=f"a test of the channel {channel}",
        text="Nothing is wrong: somebody asked whether notices arrive here. They do.",
        at=at.isoformat(timespec="seconds"),
        stack=stack,
    )


def digest(notices: Sequence[Notice]) -> Notice:
    """Return one notice for several that were held back by the channel's limit; it has the gravest one's severity."""
    first = min(notices, key=lambda notice: notice.severity)
    lines = "\n".join(f"{each.at}  {each.severity} {each.title}" for each in notices)
    return replace(
        first,
        key=f"{notices[0].key}+{len(notices)}",
        kind=NoticeKind.DIGEST,
        title=f"{len(notices)} notices, held back by this channel's limit; the gravest: {first.title}",
        text=f"{lines}\n\n{first.text}",
    )


def _title(kind: NoticeKind, incident: Incident, diagnosis: Diagnosis | None) -> str:
    cause = _first_cause(diagnosis) or incident.cause
    because = f": {cause}" if cause else f": {incident.symptom}"
    match kind:
        case NoticeKind.RESOLVED:
            return f"{incident.subject} is well again"
        case NoticeKind.FLAPPING:
            return f"{incident.subject} is flapping{because}"
        case NoticeKind.REMINDER:
            return f"{incident.subject} is still in trouble{because}"
        case NoticeKind.WORSE:
            return f"{incident.subject} got worse{because}"
        case _:
            return f"{incident.subject}{because}"


def first_cause(diagnosis: Diagnosis | None) -> str:
    """Return the nearest cause in a few words, empty when none was found."""
    return _first_cause(diagnosis)


def _first_cause(diagnosis: Diagnosis | None) -> str:
    if diagnosis is None or not diagnosis.causes:
        return ""
    cause = diagnosis.causes[0]
    own = cause.subject == diagnosis.service
    return cause.what if own else f"{cause.subject} {cause.what}"


def _text(kind: NoticeKind, incident: Incident, diagnosis: Diagnosis | None, at: datetime) -> Iterator[str]:
    if kind is NoticeKind.RESOLVED:
        lasted = at - datetime.fromisoformat(incident.opened_at)
        yield f"It was in trouble for {_words(lasted)}: {incident.cause or incident.symptom}."
        return
    yield f"{incident.subject}: {diagnosis.symptom if diagnosis and diagnosis.symptom else incident.symptom}"
    if kind is NoticeKind.FLAPPING:
        yield f"It went bad {len(incident.opens)} times of late: no more notices until it stays well."
    if kind is NoticeKind.REMINDER:
        yield f"Since {incident.opened_at}: {incident.cause or incident.symptom}"
    for cause in diagnosis.causes if diagnosis else ():
        yield f"  <- {cause.subject} {cause.what}"
        for line in cause.evidence:
            yield f"     seen: {(line.splitlines() or [''])[0][:_LONGEST_EVIDENCE]}"
        if cause.fix:
            yield f"     fix: {cause.fix}"
    for line in diagnosis.done if diagnosis else ():
        yield f"  done: {line}"
    if incident.affected:
        yield f"  left alone: {', '.join(incident.affected)}: they only suffer from it"


def _words(lasted: timedelta) -> str:
    seconds = max(int(lasted.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    return (
        f"{seconds // 60} min {seconds % 60} s" if seconds < 3600 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
    )


def _plain(detail: object) -> str:
    return detail.strip()[:1000] if isinstance(detail, str) else ""
