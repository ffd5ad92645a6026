"""The history of scheduled work in the agent's database: a run is a row before it starts, and keeps its end.

A row in state `running` whose process is gone was interrupted, whoever finds it. Times are UTC in ISO 8601.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from agent.core.periodic import Decision, DueRun, RunState
from agent.engine.keeper.processes import boot_id, is_alive, kill_all, start_ticks, tagged
from agent.model.home import Home
from agent.system.database import Database, Row

SCHEDULE = "schedule"
"""The actor of runs that nobody asked for by hand."""
_KEEP_ROWS = 200
_KEEP_DAYS = 90
_TABLES = """
create table if not exists periodic (
    name text primary key, schedule text not null, since text not null, paused_by text, paused_at text) without rowid;
create table if not exists runs (
    id integer primary key autoincrement, name text not null, state text not null, due text, actor text not null,
    catch_up integer not null default 0, attempt integer not null default 1, queued_at text not null,
    started_at text, ended_at text, pid integer, ticks integer, boot text, code integer,
    output text not null default '', detail text not null default '', asked text not null default '');
create index if not exists runs_by_name on runs (name, id);
create index if not exists runs_unended on runs (state) where state in ('queued', 'running');
create table if not exists run_totals (
    name text not null, outcome text not null, count integer not null, primary key (name, outcome)) without rowid
"""
_COLUMNS = (
    "id, name, state, due, actor, catch_up, attempt, queued_at, started_at, ended_at, pid, ticks, boot, code, output, "
    "detail, asked"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution; `actor` is `schedule` or who asked; `asked` why it was told to end; `output` its tail."""

    id: int
    name: str
    state: RunState
    due: datetime | None
    actor: str
    is_catch_up: bool
    attempt: int
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    pid: int | None
    ticks: int | None
    boot: str | None
    code: int | None
    output: str
    detail: str
    asked: str

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def is_alive(self) -> bool:
        """Whether the process that carries it out still runs."""
        return self.pid is not None and self.boot == boot_id() and is_alive(self.pid, self.ticks or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is remembered of one piece of work: everything up to `since` is decided."""

    name: str
    schedule: str
    since: datetime
    paused_by: str | None = None


class Runs:
    """The tables of one home."""

    def __init__(self, home: Home, database: Database) -> None:
        self.home = home
        self._database = database
        for statement in _TABLES.split(";"):
            database.execute(statement)

    def tag(self, run: int) -> str:
        """Return what marks every process of a run."""
        return f"run {run} of {self.home.root}"

    def known(self) -> dict[str, Known]:
        """Return what is remembered, by name."""
        rows = self._database.query("select name, schedule, since, paused_by from periodic")
        return {
            str(name): Known(name=name, schedule=schedule, since=_time(since), paused_by=paused_by)
            for name, schedule, since, paused_by in rows
        }

    def follow(self, schedules: dict[str, str], now: datetime) -> dict[str, Known]:
        """Remember exactly these; a new one, or one with another schedule, begins now."""
        before = self.known()
        with self._database.transaction():
            for name in before.keys() - schedules.keys():
                self._database.execute("delete from periodic where name = ?", (name,))
            for name, schedule in schedules.items():
                if name not in before or before[name].schedule != schedule:
                    self._database.execute(
                        "insert into periodic (name, schedule, since) values (?, ?, ?)"
                        " on conflict (name) do update set schedule = excluded.schedule, since = excluded.since",
                        (name, schedule, now.isoformat()),
                    )
        return self.known()

    def follow_if_changed(self, schedules: dict[str, str], now: datetime) -> dict[str, Known]:
        """As `follow`, without a write when it knows exactly these already."""
        known = self.known()
        if {name: each.schedule for name, each in known.items()} == schedules:
            return known
        return self.follow(schedules, now)

    def pause(self, name: str, *, actor: str, now: datetime) -> bool:
        """Pause it; False when it is paused already."""
        text = "update periodic set paused_by = ?, paused_at = ? where name = ? and paused_by is null"
        return self._database.execute(text, (actor, now.isoformat(), name)) > 0

    def resume(self, name: str, *, now: datetime) -> bool:
        """Let it be due again from now on; what was due meanwhile is not caught up. False when it was not paused."""
        text = (
            "update periodic set paused_by = null, paused_at = null, since = ? where name = ? and paused_by is not null"
        )
        return self._database.execute(text, (now.isoformat(), name)) > 0

    def take_decision(self, name: str, decision: Decision, now: datetime) -> None:
        """Write the runs to make and the moments given up, and that they are decided, as one change."""
        with self._database.transaction():
            for run in decision.runs:
                self._queue(name, run, now)
            if decision.missed:
                count = len(decision.missed)
                detail = f"{count} missed from {decision.missed[0].isoformat()}"
                self._insert(name, RunState.MISSED, decision.missed[-1], SCHEDULE, detail, now)
                self._count(name, RunState.MISSED, count)
            text = "update periodic set since = ? where name = ?"
            self._database.execute(text, (decision.since.isoformat(), name))

    def queue(self, name: str, *, actor: str, now: datetime, again: Run | None = None) -> int:
        """Add a run that shall start soon, or again one that was cut off; return its id."""
        due = again.due if again else None
        found = self._insert(name, RunState.QUEUED, due, actor, "", now)
        if again is not None:
            self._database.execute(
                "update runs set attempt = ?, catch_up = 1, detail = ? where id = ?",
                (again.attempt + 1, f"again after run {again.id} was interrupted", found),
            )
        return found

    def claim(self, run: int, *, now: datetime) -> bool:
        """Make this process the one that carries the run out; False when another one does, or did."""
        values = (now.isoformat(), os.getpid(), start_ticks(os.getpid()), boot_id(), run)
        text = "update runs set state = 'running', started_at = ?, pid = ?, ticks = ?, boot = ?"
        return self._database.execute(f"{text} where id = ? and state = 'queued'", values) > 0

    def finish(self, run: int, state: RunState, *, now: datetime, code: int | None, output: str, detail: str) -> bool:
        """Write how it ended; False when that is written already."""
        found = self.find(run)
        if found is None:
            return False
        text = "update runs set state = ?, ended_at = ?, code = ?, output = ?, detail = ?"
        with self._database.transaction():
            values = (state, now.isoformat(), code, output, detail or found.detail, run)
            if not self._database.execute(f"{text} where id = ? and ended_at is null", values):
                return False
            self._count(found.name, state, 1)
            self._prune(found.name, now)
        return True

    def ask_to_end(self, run: int, why: str) -> None:
        """Write why a run is about to be told to end."""
        self._database.execute("update runs set asked = ? where id = ?", (why, run))

    def find(self, run: int) -> Run | None:
        """Return one run."""
        return next(iter(self._select("where id = ?", (run,))), None)

    def unended(self) -> tuple[Run, ...]:
        """Return the runs that are queued or running, oldest first."""
        return self._select("where state in ('queued', 'running') order by id", ())

    def history(self, name: str | None = None, *, limit: int = 20) -> tuple[Run, ...]:
        """Return the newest runs, of one name or of all, newest first."""
        where, values = ("where name = ?", (name,)) if name else ("", ())
        found = self._select(f"{where} order by id desc limit ?", (*values, limit))
        # Only shown: what follows from it is decided by who takes it up.
        cut_off = {run.id for run in found if run.state is RunState.RUNNING and not run.is_alive}
        return tuple(replace(run, state=RunState.INTERRUPTED) if run.id in cut_off else run for run in found)

    def last(self, name: str, states: Iterable[RunState]) -> Run | None:
        """Return the newest run of the name in one of the states."""
        marks = ", ".join(f"'{state}'" for state in states)
        return next(
            iter(self._select(f"where name = ? and state in ({marks}) order by id desc limit 1", (name,))), None
        )

    def totals(self) -> dict[tuple[str, str], int]:
        """Return how many runs of each name ended in each way since ever."""
        return {(name, outcome): count for name, outcome, count in self._database.query("select * from run_totals")}

    def mark_interrupted(self, now: datetime) -> tuple[Run, ...]:
        """Find the runs whose process is gone, end what it left behind, and return those nobody else found first."""
        found = []
        for run in self.unended():
            if run.state is not RunState.RUNNING or run.is_alive:
                continue
            kill_all(tagged(self.tag(run.id)))
            detail = "the process that carried it out is gone"
            if self.finish(run.id, RunState.INTERRUPTED, now=now, code=None, output=run.output, detail=detail):
                found.append(run)
        return tuple(found)

    def skip(self, run: int, why: str, *, now: datetime) -> None:
        """Give up a queued run."""
        self.finish(run, RunState.SKIPPED, now=now, code=None, output="", detail=why)

    def _queue(self, name: str, run: DueRun, now: datetime) -> None:
        detail = f"stands for {run.stands_for} more that were missed" if run.stands_for else ""
        found = self._insert(name, RunState.QUEUED, run.due, SCHEDULE, detail, now)
        if run.is_catch_up:
            self._database.execute("update runs set catch_up = 1 where id = ?", (found,))

    def _insert(self, name: str, state: RunState, due: datetime | None, actor: str, detail: str, now: datetime) -> int:
        ended = now.isoformat() if state is RunState.MISSED else None
        values = (name, state, due.isoformat() if due else None, actor, now.isoformat(), ended, detail)
        text = "insert into runs (name, state, due, actor, queued_at, ended_at, detail) values (?, ?, ?, ?, ?, ?, ?)"
        return int(self._database.query(f"{text} returning id", values)[0][0])

    def _count(self, name: str, outcome: RunState, count: int) -> None:
        self._database.execute(
            "insert into run_totals values (?, ?, ?) on conflict (name, outcome) do update set count = count + ?",
            (name, outcome, count, count),
        )

    def _prune(self, name: str, now: datetime) -> None:
        """Keep 200 runs or 90 days of each, whichever is less; the last that ended well stays whatever its age."""
        oldest = (now - timedelta(days=_KEEP_DAYS)).isoformat()
        self._database.execute(
            "delete from runs where name = :name and ended_at is not null and (queued_at < :oldest or id <="
            " (select id from runs where name = :name order by id desc limit 1 offset :rows))"
            " and id is not (select max(id) from runs where name = :name and state = 'ok')",
            {"name": name, "oldest": oldest, "rows": _KEEP_ROWS},  # type: ignore[arg-type]
        )

    def _select(self, rest: str, values: tuple[object, ...]) -> tuple[Run, ...]:
        return tuple(map(_run, self._database.query(f"select {_COLUMNS} from runs {rest}", values)))


def _run(row: Row) -> Run:
    number, name, state, due, actor, catch_up, attempt, queued, started, ended, pid, ticks, boot, code, *texts = row
    output, detail, asked = texts
    return Run(
        id=number,
        name=name,
        state=RunState(state),
        due=_time(due) if due else None,
        actor=actor,
        is_catch_up=bool(catch_up),
        attempt=attempt,
        queued_at=_time(queued),
        started_at=_time(started) if started else None,
        ended_at=_time(ended) if ended else None,
        pid=pid,
        ticks=ticks,
        boot=boot,
        code=code,
        output=output,
        detail=detail,
        asked=asked,
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
