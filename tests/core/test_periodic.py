"""What becomes of the moments at which scheduled work was due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.periodic import PeriodicState, RunState, again_after_interruption, decide, state_of
from agent.core.schedule import missed_between, parse
from agent.model.periodic import CatchUp

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTLY = parse("30 2 * * *")
START = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_year_with_outages_decides_each_night_exactly_once(seed: int, catch_up: CatchUp) -> None:
    """Looks at odd moments, sometimes days apart, over both changes of the clock: no night missing, none twice."""
    chance = Random(seed)
    since = now = datetime(2026, 1, 1, tzinfo=UTC)
    end = now + timedelta(days=365)
    made: list[datetime] = []
    given_up: list[datetime] = []
    stood_for = 0
    while now < end:
        away = timedelta(hours=chance.uniform(1, 90)) if chance.random() < 0.02 else timedelta(seconds=20)
        now += away + timedelta(minutes=7)
        decision = decide(NIGHTLY, since, now, BERLIN, catch_up)
        assert since <= decision.since <= now
        since = decision.since
        made += [run.due for run in decision.runs]
        given_up += decision.missed
        stood_for += sum(run.stands_for for run in decision.runs)

    nights = missed_between(NIGHTLY, datetime(2026, 1, 1, tzinfo=UTC), since, BERLIN)
    assert sorted(set(made) | set(given_up)) == sorted(made + given_up)
    assert len(made) + len(given_up) + stood_for == len(nights)
    if catch_up is CatchUp.ALL:
        assert made == list(nights)


def test_a_clock_set_forward_by_a_day_and_back_runs_the_night_and_goes_on() -> None:
    """Forward: the night that seems missed is made up for once. Back: the new time counts at once, no day is lost."""
    ahead = decide(NIGHTLY, START, START + DAY, BERLIN, CatchUp.ONCE)
    assert [(run.due.day, run.is_catch_up) for run in ahead.runs] == [(2, True)]

    back = decide(NIGHTLY, ahead.since, START + timedelta(minutes=1), BERLIN, CatchUp.ONCE)
    assert back.runs == ()
    assert back.since == START + timedelta(minutes=1)
    night = decide(NIGHTLY, back.since, datetime(2026, 6, 2, 0, 30, 5, tzinfo=UTC), BERLIN, CatchUp.ONCE)
    assert [run.is_catch_up for run in night.runs] == [False]


def test_a_clock_set_back_by_a_little_makes_no_moment_come_twice() -> None:
    """An hour's correction just after the backup: it is not made again."""
    at = datetime(2026, 6, 2, 0, 30, tzinfo=UTC)
    done = decide(NIGHTLY, START, at, BERLIN, CatchUp.ONCE)
    assert len(done.runs) == 1

    again = decide(NIGHTLY, done.since, at - timedelta(hours=1), BERLIN, CatchUp.ONCE)
    assert (again.runs, again.since) == ((), done.since)
    assert decide(NIGHTLY, again.since, at + timedelta(minutes=1), BERLIN, CatchUp.ONCE).runs == ()


@given(away=st.integers(0, 400), catch_up=st.sampled_from(CatchUp))
def test_once_is_one_run_however_long_nobody_looked(away: int, catch_up: CatchUp) -> None:
    """And `all` is bounded: more than a hundred are given up, and said."""
    decision = decide(NIGHTLY, START, START + away * DAY, BERLIN, catch_up)

    match catch_up:
        case CatchUp.ONCE:
            assert sum(1 + run.stands_for for run in decision.runs) == away
            assert len(decision.runs) == min(away, 1)
        case CatchUp.SKIP:
            assert (len(decision.runs), len(decision.missed)) == (0, away)
        case CatchUp.ALL:
            assert (len(decision.runs), len(decision.missed)) == (min(away, 100), max(away - 100, 0))


def test_an_interrupted_run_does_not_go_in_circles() -> None:
    """Again once more than the retries, never with `skip`, never one that somebody asked for by hand."""
    asked = [again_after_interruption(catch_up=CatchUp.ONCE, attempt=n, retries=1, by_schedule=True) for n in (1, 2, 3)]
    assert asked == [True, True, False]
    assert not again_after_interruption(catch_up=CatchUp.SKIP, attempt=1, retries=5, by_schedule=True)
    assert not again_after_interruption(catch_up=CatchUp.ONCE, attempt=1, retries=5, by_schedule=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"is_running": True, "is_paused": True}, PeriodicState.RUNNING),
        ({"is_paused": True, "last": RunState.FAILED}, PeriodicState.PAUSED),
        ({"last": RunState.TIMED_OUT, "is_late": True}, PeriodicState.DOWN),
        ({"last": RunState.OK, "is_late": True, "last_good": True}, PeriodicState.LATE),
        ({"last": RunState.OK, "last_good": True}, PeriodicState.UP),
        ({}, PeriodicState.NEW),
    ],
)
def test_one_word_says_how_it_is(words: dict[str, object], expected: PeriodicState) -> None:
    """Running before paused, down before late."""
    usual = {"is_paused": False, "is_running": False, "is_late": False, "last": None, "last_good": False}

    assert state_of(**(usual | words)) is expected  # type: ignore[arg-type]
