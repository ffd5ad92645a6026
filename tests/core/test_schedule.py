"""When scheduled work is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.schedule import Cron, Every, ScheduleError, missed_between, next_after, parse

BERLIN = ZoneInfo("Europe/Berlin")
TOKYO = ZoneInfo("Asia/Tokyo")
ZONES = (*map(ZoneInfo, ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")), TOKYO)
"""Lord Howe's summer time is half an hour; 2026: Berlin 29 March and 25 October."""


def due(text: str, start: str, end: str, zone: ZoneInfo = BERLIN) -> list[str]:
    """Return the local moments in (start, end] with their offsets."""
    moments = (datetime.fromisoformat(each).replace(tzinfo=zone) for each in (start, end))
    found = missed_between(parse(text), *moments, zone)
    return [moment.astimezone(zone).isoformat(timespec="minutes") for moment in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 * * 0", ["2026-11-01", "2026-11-08"]),
        ("0 0 * * 7", ["2026-11-01", "2026-11-08"]),
        ("0 0 * * SUN", ["2026-11-01", "2026-11-08"]),
        ("@weekly", ["2026-11-01", "2026-11-08"]),
        ("0 0 * * sat-sun", ["2026-11-01", "2026-11-07", "2026-11-08"]),
        ("0 0 3 * 5", ["2026-11-03", "2026-11-06"]),
        ("0 0 */5 * 5", ["2026-11-06"]),
        ("0 0 2,4-5 nov *", ["2026-11-02", "2026-11-04", "2026-11-05"]),
        ("0 0 1-9/4 * *", ["2026-11-01", "2026-11-05", "2026-11-09"]),
    ],
)
def test_day_fields_are_vixies(text: str, expected: list[str]) -> None:
    """Either day field suffices when both are restricted; one that begins with * restricts the other."""
    assert [each[:10] for each in due(text, "2026-10-31T00:00", "2026-11-09T12:00")] == expected


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("0 0 31 2 *", 5, "never due"),
        ("0 0 30,31 feb *", 5, "never due"),
        ("0 0 31 4,6,9,11 *", 5, "never due"),
        ("0 24 * * *", 3, "expected 0 to 23, found 24"),
        ("0 0 * * 8", 9, "expected 0 to 7"),
        ("0 0 * foo *", 7, "found 'foo'"),
        ("1,2,99 * * * *", 5, "found 99"),
        ("5/15 * * * *", 1, "5-59/15"),
        ("*/0 * * * *", 1, "a step is 1 or more"),
        ("30-10 * * * *", 1, "runs backwards"),
        ("0 0 * *", 1, "found 4"),
        ("0 0 0 * * *", 11, "seconds"),
        ("@reboot", 1, "@daily"),
        ("@dayly", 1, "@daily"),
        ("every", 6, "duration"),
        ("every 0s", 7, "shortest"),
        ("every day", 7, "duration"),
        ("", 1, "five fields"),
        ("0 0 L * *", 5, "found 'l'"),
    ],
)
def test_what_is_no_schedule_says_where_and_why(text: str, column: int, words: str) -> None:
    """Each error names its column; one that is never due is an error."""
    with pytest.raises(ScheduleError, match=".") as raised:
        parse(text)

    assert raised.value.column == column
    assert words in str(raised.value)


def test_the_31st_or_a_monday_is_due_in_february() -> None:
    """With two restricted day fields a day that does not exist costs nothing."""
    assert due("0 0 31 2 1", "2026-02-01T00:00", "2026-02-10T00:00") == [
        "2026-02-02T00:00+01:00",
        "2026-02-09T00:00+01:00",
    ]


def test_29_february_waits_for_the_leap_year_even_over_2100() -> None:
    """1 March 2096 is followed by 29 February 2104."""
    assert next_after(parse("0 0 29 2 *"), datetime(2096, 3, 1, tzinfo=UTC), UTC) == datetime(2104, 2, 29, tzinfo=UTC)
    assert next_after(parse("0 0 29 2 */6"), datetime(2096, 3, 1, tzinfo=UTC), UTC).isoweekday() in {6, 7}


def test_a_skipped_time_is_due_at_the_end_of_the_gap_and_only_once() -> None:
    """In Berlin 02:00 to 03:00 does not exist on 29 March 2026."""
    around = ("2026-03-29T00:00", "2026-03-30T00:00")

    assert due("30 2 * * *", *around) == ["2026-03-29T03:00+02:00"]
    assert due("0,15,30 2 * * *", *around) == ["2026-03-29T03:00+02:00"]
    assert due("30 2,3 * * *", *around) == ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"]
    assert due("*/30 * * * *", "2026-03-29T01:00", "2026-03-29T04:00") == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
        "2026-03-29T04:00+02:00",
    ]


def test_a_doubled_time_is_due_once_and_an_hourly_one_stays_hourly() -> None:
    """In Berlin 02:00 to 03:00 comes twice on 25 October 2026."""
    assert due("30 2 * * *", "2026-10-25T00:00", "2026-10-26T00:00") == ["2026-10-25T02:30+02:00"]
    assert due("0 * * * *", "2026-10-25T01:00", "2026-10-25T04:00") == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
        "2026-10-25T04:00+01:00",
    ]


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_year_of_nights_has_each_night_once(zone: ZoneInfo) -> None:
    """365 runs on 365 days, whatever the clocks do."""
    found = due("30 2 * * *", "2026-01-01T00:00", "2027-01-01T00:00", zone)

    assert len({each[:10] for each in found}) == len(found) == 365


def test_every_counts_from_1970_and_so_survives_restarts() -> None:
    """The same moments whoever asks, and from whenever."""
    schedule = parse("every 1h30m")
    assert schedule == Every(interval=timedelta(minutes=90))
    first = next_after(schedule, datetime(2026, 11, 24, 4, 31, tzinfo=UTC), TOKYO)

    assert (first - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(minutes=90) == timedelta(0)
    assert next_after(schedule, first, TOKYO) - first == timedelta(minutes=90)


def values(low: int, high: int) -> st.SearchStrategy[str]:
    """Return fields of cron."""
    one = st.integers(low, high).map(str)
    ranges = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda p: f"{min(p)}-{max(p)}")
    steps = st.integers(1, high - low).map(lambda n: f"*/{n}")
    return st.one_of(st.just("*"), st.lists(st.one_of(one, ranges), min_size=1, max_size=3).map(",".join), steps)


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@settings(max_examples=300, deadline=None)
@given(minute=values(0, 59), hour=values(0, 23), day=values(1, 28), month=values(1, 12), now=MOMENTS)
def test_it_agrees_with_apscheduler_where_their_rules_are_the_same(
    minute: str, hour: str, day: str, month: str, now: datetime
) -> None:
    """Without a day of the week, and in UTC."""
    text = f"{minute} {hour} {day} {month} *"
    theirs = CronTrigger.from_crontab(text, timezone=UTC)
    moment = now
    for _ in range(5):
        ours = next_after(parse(text), moment, UTC)
        assert ours == theirs.get_next_fire_time(None, moment + timedelta(microseconds=1))
        moment = ours


@settings(max_examples=300, deadline=None)
@given(
    minute=values(0, 59),
    hour=values(0, 23),
    day=values(1, 28),
    weekday=values(0, 7),
    zone=st.sampled_from(ZONES),
    now=MOMENTS,
)
def test_each_step_is_later_matches_and_leaves_nothing_out(
    minute: str, hour: str, day: str, weekday: str, zone: ZoneInfo, now: datetime
) -> None:
    """Against a search minute by minute over two days, for local times that come exactly once."""
    schedule = parse(f"{minute} {hour} {day} * {weekday}")
    assert isinstance(schedule, Cron)
    until = now + timedelta(days=2)
    found = missed_between(schedule, now, until, zone, limit=5000)

    assert list(found) == sorted(set(found))
    assert all(now < each <= until for each in found)
    moment = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    have = set(found)
    while moment <= until:
        local = moment.astimezone(zone)
        twice = local.replace(fold=1).utcoffset() != local.replace(fold=0).utcoffset()
        if not twice and local.minute in schedule.minutes and local.hour in schedule.hours:
            assert not schedule.allows(local.date()) or moment in have
        moment += timedelta(minutes=1)


@given(text=st.text(alphabet="0123456789*/-, abcdefjlmnprstuvwy@", max_size=30))
def test_no_text_is_a_crash(text: str) -> None:
    """Whatever is written, the answer is a schedule or an error with its place."""
    try:
        schedule = parse(text)
    except ScheduleError as error:
        assert 1 <= error.column <= len(text) + 1
    else:
        assert next_after(schedule, datetime(2026, 1, 1, tzinfo=UTC), BERLIN) > datetime(2026, 1, 1, tzinfo=UTC)
