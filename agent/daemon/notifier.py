"""Find what people must be told: incidents, maintenance, deploys and scheduled work that went wrong.

What is decided and what is queued are written in one transaction: a daemon killed at any moment neither forgets an
incident nor tells it anew.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.core.incidents import Incidents, decide, rebase, severity_of
from agent.core.notices import event_notice, first_cause, incident_notice, maintenance_notice, reminder, wants
from agent.daemon.courier import Courier
from agent.errors import AgentError, Busy
from agent.model.check import Status
from agent.model.diagnosis import Cause, Diagnosis
from agent.model.incident import Draft, Incident, Notice, NoticeKind, Trouble
from agent.model.notify import Severity
from agent.operations.history import Event, History, Wanted
from agent.operations.maintenance import describe, mark_told
from agent.operations.memory import Memory
from agent.operations.notices import Queue
from agent.operations.why import explain
from agent.system.lock import DAEMON, hold

if TYPE_CHECKING:
    from agent.daemon.loop import Daemon
    from agent.model.desired import DesiredService

_TURN_SECONDS = 1.0
_TIDY_SECONDS = 600.0
_TOLD_EVENTS = (
    *("released", "apply-failed", "rolled-back"),
    *("periodic-failed", "periodic-missed", "periodic-interrupted", "periodic-late"),
)
_LAST_EVENT = "notified-event"
_GATEWAY = "gateway"


class Notifier:
    """What the daemon tells people; runs until cancelled."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._queue = Queue(daemon.database)
        self._memory = Memory(daemon.database)
        self._history = History(daemon.stack.home, daemon.database)
        self._courier = Courier(daemon, self._queue)
        self._incidents: Incidents = rebase(self._queue.incidents(), time.monotonic())
        self._tidied = 0.0
        self._trouble = ""

    async def run(self) -> None:
        """Do a turn a second; a failure is told once and tried again."""
        while True:
            try:
                await self._turn()
                self._trouble = ""
            except Exception as error:  # whatever it is: the next incident matters more
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    self._daemon.tell("daemon-trouble", cause=f"notices: {self._trouble}")
            await asyncio.sleep(_TURN_SECONDS)

    async def _turn(self) -> None:
        daemon = self._daemon
        troubles = self._troubles()
        if any(self._is_news(name) for name in troubles) and await asyncio.to_thread(self._is_changing):
            # An apply starts and stops services: what it leaves behind is looked at afterwards.
            troubles = {name: each for name, each in troubles.items() if not self._is_news(name)}
        muted = frozenset(name for name in troubles if any(each.covers(name) for each in daemon.maintenance))
        policy = daemon.stack.desired.settings.daemon.incidents
        now, at = time.monotonic(), datetime.now(UTC)
        after, drafts = decide(self._incidents, troubles, policy=policy, muted=muted, now=now, at=at)
        await asyncio.to_thread(self._write, after, drafts, at)
        daemon.incidents = tuple(each for each in self._incidents.values() if each.opened is not None)
        self._courier.turn()
        if now - self._tidied > _TIDY_SECONDS:
            self._tidied = now
            for lost in await asyncio.to_thread(self._queue.give_up, time.time()):
                words = f"{lost.channel}: {lost.notice.title}"
                daemon.tell("notice-lost", cause=words, detail=lost.error)

    # -- what is wrong ------------------------------------------------------------------------

    def _troubles(self) -> dict[str, Trouble]:
        daemon = self._daemon
        found = {}
        for root, affected in daemon.healer.affected.items():
            service = daemon.stack.desired.find(root)
            if service is not None:
                found[root] = self._trouble_of(service, tuple(affected))
        for name, words in daemon.externals.down().items():
            users = daemon.stack.desired.settings.externals[name].used_by
            severity = Severity.P2 if users else Severity.P3
            found[name] = Trouble(subject=name, severity=severity, symptom=f"cannot be used: {words}", affected=users)
        return found

    def _trouble_of(self, service: DesiredService, affected: tuple[str, ...]) -> Trouble:
        daemon = self._daemon
        states = daemon.states_of(service.name)
        bad = {key.partition("/")[0] for key, state in states.items() if state.status is Status.CRITICAL}
        healthy = sum(1 for each in daemon.live(service.name) if each.instance not in bad)
        desired = len(service.launches)
        matters = service.service.protected or service.name == _GATEWAY or bool(affected)
        symptom = f"{healthy} of {desired} instances are well" if desired > 1 else "does not work"
        severity = severity_of(healthy=healthy, desired=desired, matters=matters)
        return Trouble(subject=service.name, severity=severity, symptom=symptom, affected=affected)

    def _is_news(self, subject: str) -> bool:
        known = self._incidents.get(subject)
        return known is None or known.opened is None

    def _is_changing(self) -> bool:
        try:
            with hold(self._daemon.stack.home.lock, message=DAEMON):
                return False
        except Busy:
            return True

    # -- what is told -------------------------------------------------------------------------

    def _write(self, after: Incidents, drafts: tuple[Draft, ...], at: datetime) -> None:
        stack = self._daemon.stack.desired.settings.name
        notices: list[Notice] = []
        for draft in drafts:
            diagnosis = None if draft.kind is NoticeKind.RESOLVED else self._diagnose(draft.incident)
            if diagnosis is not None and draft.incident.subject in after:
                cause = first_cause(diagnosis)
                after[draft.incident.subject] = replace(after[draft.incident.subject], cause=cause)
            notices.append(incident_notice(draft, diagnosis, stack=stack, at=at))
        untold = [each for each in self._daemon.maintenance if not each.told]
        notices += [maintenance_notice(each, describe(each), stack=stack, at=at) for each in untold]
        events = self._new_events()
        notices += [notice for notice in (event_notice(each, stack=stack) for each in events) if notice is not None]
        changed = _lasting(after) != _lasting(self._incidents)
        reminders = self._reminders(after, stack, at)
        if changed or notices or events or reminders:
            with self._daemon.database.transaction():
                for notice in notices:
                    self._queue_for_all(notice)
                for notice, channel in reminders:
                    self._queue.add(notice, channel, time.time())
                for each in untold:
                    mark_told(self._daemon.database, each)
                if events:
                    self._memory.remember(_LAST_EVENT, str(events[-1]["number"]))
                self._queue.remember(after)
        self._incidents = after
        for draft in drafts:
            self._tell(draft)

    def _queue_for_all(self, notice: Notice) -> None:
        for channel in self._daemon.stack.desired.settings.notify:
            if wants(channel, notice):
                self._queue.add(notice, channel.title, time.time())

    def _reminders(self, incidents: Incidents, stack: str, at: datetime) -> list[tuple[Notice, str]]:
        due = []
        for incident in incidents.values():
            if incident.opened is None or incident.flapping:
                continue
            for channel in self._daemon.stack.desired.settings.notify:
                number = int((time.monotonic() - incident.opened) // max(channel.remind_every.total_seconds(), 1))
                notice = reminder(incident, number, stack=stack, at=at)
                if number and wants(channel, notice) and self._remind(incident, channel.title, number):
                    due.append((notice, channel.title))
        return due

    def _remind(self, incident: Incident, channel: str, number: int) -> bool:
        """Whether this reminder has not been queued yet."""
        key = (f"{incident.id}/reminder/{number}", channel)
        return not self._daemon.database.query("select 1 from notices where key = ? and channel = ?", key)

    def _diagnose(self, incident: Incident) -> Diagnosis | None:
        if incident.subject in self._daemon.stack.desired.settings.externals:
            fix = "it is outside: nothing is restarted for it"
            cause = Cause(subject=incident.subject, what=incident.symptom, fix=fix)
            return Diagnosis(service=incident.subject, symptom=incident.symptom, causes=(cause,))
        try:
            return explain(self._daemon.stack, incident.subject)
        except (AgentError, OSError, KeyError):
            return None  # the symptom is told without its cause rather than not at all

    def _new_events(self) -> list[Event]:
        last = self._memory.fact(_LAST_EVENT)
        if last is None:
            self._memory.remember(_LAST_EVENT, str(self._history.newest()))
            return []
        return self._history.read(Wanted(kinds=_TOLD_EVENTS), after=int(last))

    def _tell(self, draft: Draft) -> None:
        incident = draft.incident
        kind = {NoticeKind.RESOLVED: "incident-resolved", NoticeKind.OPENED: "incident-opened"}
        cause = f"{incident.severity} {self._incidents.get(incident.subject, incident).cause or incident.symptom}"
        detail = f"suffering: {', '.join(incident.affected)}" if incident.affected else ""
        self._daemon.tell(
            kind.get(draft.kind, f"incident-{draft.kind}"), service=incident.subject, cause=cause, detail=detail
        )


def _lasting(incidents: Incidents) -> dict[str, Incident]:
    """What of them is worth a write: not when the trouble was last there."""
    return {subject: replace(each, seen=0.0) for subject, each in incidents.items()}
