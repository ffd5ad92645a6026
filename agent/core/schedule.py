"""When scheduled work is due: cron as Vixie's cron reads it, or `every 30m`; pure, in any time zone.

Five fields: minute, hour, day of month, month, day of week; lists, ranges, steps and names; 0 and 7 are Sunday; macros
such as `@daily`. When both day fields are restricted either suffices, unless one begins with `*` (Vixie, crontab(5)).

Over a change of the clock (DST) each local time comes once: one that is skipped is due at the end of the gap, one that
comes twice the first time only. As in Vixie's cron that is about schedules with fixed hours; one that runs in every
hour goes by elapsed time, so `*/30 * * * *` stays half-hourly through the doubled hour.
`every` counts from 1970-01-01T00:00Z, so that it is the same for every process and after every restart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from agent.model.units import parse_duration

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_WORD = re.compile(r"\S+")
_PART = re.compile(r"(?P<first>\*|[0-9]+|[a-z]+)(-(?P<last>[0-9]+|[a-z]+))?(/(?P<step>[0-9]+))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST = timedelta(seconds=1)
_FOLD = timedelta(hours=3)
"""No clock is set back by more than this but by who corrects a wrong one."""
_LONGEST_GAP_YEARS = 41
"""29 February on a given day of the week can be 40 years away."""


class ScheduleError(ValueError):
    """The text is no schedule, or one that is never due; `column` counts from 1."""

    def __init__(self, message: str, *, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Due at whole multiples of the interval since 1970."""

    interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Allowed values of each field, ascending; weekdays from 0 = Sunday; `either_day` when one day field suffices."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool

    def allows(self, day: date) -> bool:
        """Whether the schedule is due on that day at all."""
        by_month_day = day.day in self.days
        by_weekday = day.isoweekday() % 7 in self.weekdays
        return by_month_day or by_weekday if self.either_day else by_month_day and by_weekday


Schedule = Every | Cron


def parse(text: str) -> Schedule:
    """Return the schedule; raise ScheduleError with the column of what is wrong."""
    words = [(found[0], found.start() + 1) for found in _WORD.finditer(text)]
    if not words:
        raise ScheduleError("expected five fields, a macro such as @daily, or `every 30m`", column=1)
    first, column = words[0]
    if first.lower() == "every":
        return _every(text, words)
    if first.startswith("@"):
        if first.lower() not in _MACROS or len(words) > 1:
            known = ", ".join(_MACROS)
            raise ScheduleError(f"expected one of {known}, found {text.strip()!r}", column=column)
        return parse(_MACROS[first.lower()])
    if len(words) != 5:
        more = ": seconds are not a field of cron" if len(words) == 6 else ""
        message = f"expected five fields (minute hour day month weekday), found {len(words)}{more}"
        raise ScheduleError(message, column=words[5][1] if len(words) > 5 else column)
    return _cron(words)


def next_after(schedule: Schedule, moment: datetime, zone: tzinfo) -> datetime:
    """Return the first moment after the given one at which the schedule is due, in UTC; both are aware."""
    now = moment.astimezone(UTC)
    match schedule:
        case Every(interval=interval):
            return _EPOCH + ((now - _EPOCH) // interval + 1) * interval
        case Cron(hours=hours) if len(hours) == 24:
            return _next_elapsed(schedule, now, zone)
        case Cron():
            return _next_fixed(schedule, now, zone)


def missed_between(
    schedule: Schedule, after: datetime, until: datetime, zone: tzinfo, *, limit: int = 1000
) -> tuple[datetime, ...]:
    """Return the moments in (after, until] at which it was due, oldest first; of more than `limit` the newest."""
    found: list[datetime] = []
    moment = after
    while (moment := next_after(schedule, moment, zone)) <= until:
        found.append(moment)
        if len(found) > 2 * limit:
            del found[:-limit]
    return tuple(found[-limit:])


def _next_fixed(schedule: Cron, now: datetime, zone: tzinfo) -> datetime:
    # Ascending local times have ascending instants, so the first instant after now is the next one.
    for local in _local_times(schedule, _local(now, zone)):
        instant = _instant(local, zone)
        if instant > now:
            return instant
    raise AssertionError("a schedule that is never due is refused by parse")


def _next_elapsed(schedule: Cron, now: datetime, zone: tzinfo) -> datetime:
    first = next(_local_times(schedule, _local(now, zone)))
    instant = _instant(first, zone)
    if instant - now < _FOLD and _offset(now, zone) == _offset(instant, zone):
        return instant
    # The clock is changed on the way: look at both readings of each local time around it.
    best = instant if instant > now else None
    for local in _local_times(schedule, min(_local(now, zone), first - _FOLD) - _FOLD):
        if local > first + _FOLD and best is not None:
            break
        for fold in (0, 1):
            each = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
            exists = each.astimezone(zone).replace(tzinfo=None) == local
            if exists and each > now and (best is None or each < best):
                best = each
    if best is None:
        raise AssertionError("a schedule that is never due is refused by parse")
    return best


def _local_times(schedule: Cron, after: datetime) -> Iterator[datetime]:
    """Yield the local times (naive) after the given one that match, as if no clock were ever changed."""
    day = after.date()
    last = after.year + _LONGEST_GAP_YEARS
    while day.year <= last:
        if day.month not in schedule.months:
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
            continue
        if schedule.allows(day):
            for hour in schedule.hours:
                for minute in schedule.minutes:
                    local = datetime(day.year, day.month, day.day, hour, minute)
                    if local > after:
                        yield local
        day += timedelta(days=1)


def _local(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _offset(moment: datetime, zone: tzinfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _instant(local: datetime, zone: tzinfo) -> datetime:
    """Return when a local time is: the first time if it comes twice, the end of the gap if it is skipped."""
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return instant
    # In a gap fold 0 reads the old offset and lands after it, fold 1 the new one and lands before it.
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), instant
    while after - before > _SHORTEST:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if _local(middle, zone) < local:
            before = middle
        else:
            after = middle
    return after


def _every(text: str, words: list[tuple[str, int]]) -> Every:
    column = words[1][1] if len(words) > 1 else len(text) + 1
    try:
        interval = parse_duration("".join(word for word, _ in words[1:]))
    except ValueError as error:
        raise ScheduleError(str(error), column=column) from None
    if interval < _SHORTEST:
        raise ScheduleError("the shortest interval is 1s", column=column)
    return Every(interval=interval)


def _cron(words: list[tuple[str, int]]) -> Cron:
    bounds = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 7, _WEEKDAYS))
    fields = [
        _field(word.lower(), column, low, high, names)
        for (word, column), (low, high, names) in zip(words, bounds, strict=True)
    ]
    minutes, hours, days, months, weekdays = (tuple(sorted(field)) for field in fields)
    schedule = Cron(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=tuple(sorted({day % 7 for day in weekdays})),
        either_day=not words[2][0].startswith("*") and not words[4][0].startswith("*"),
    )
    if not schedule.either_day and all(days[0] > _LONGEST[month - 1] for month in months):
        raise ScheduleError(f"never due: no day {words[2][0]} in month {words[3][0]}", column=words[2][1])
    return schedule


def _field(text: str, column: int, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        values |= _values(part, column, low, high, names)
        column += len(part) + 1
    return values


def _values(part: str, column: int, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    found = _PART.fullmatch(part)
    if found is None:
        raise ScheduleError(f"expected a number, a range, a list, * or */n, found {part!r}", column=column)
    first, last, step = found["first"], found["last"], int(found["step"] or 1)
    if step == 0:
        raise ScheduleError("a step is 1 or more", column=column)
    if first == "*":
        if last is not None:
            raise ScheduleError(f"* has no end, found {part!r}", column=column)
        return set(range(low, (6 if names is _WEEKDAYS else high) + 1, step))
    start = _value(first, column, low, high, names)
    if last is None:
        if found["step"]:
            raise ScheduleError(f"a step needs a range: write {first}-{high}/{step}", column=column)
        return {start}
    end = _value(last, column, low, high, names)
    if last == "sun":
        end = 7
    if end < start:
        raise ScheduleError(f"the range {first}-{last} runs backwards", column=column)
    return set(range(start, end + 1, step))


def _value(word: str, column: int, low: int, high: int, names: tuple[str, ...]) -> int:
    if word.isdigit():
        if low <= int(word) <= high:
            return int(word)
        raise ScheduleError(f"expected {low} to {high}, found {word}", column=column)
    if word in names:
        return names.index(word) + low
    expected = f"{low} to {high}" + (f" or {names[0]} to {names[-1]}" if names else "")
    raise ScheduleError(f"expected {expected}, found {word!r}", column=column)
