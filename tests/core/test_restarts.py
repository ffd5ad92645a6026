"""Claims about the restart decision."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.core import restarts

NOW = 1_000_000.0
moments = st.lists(st.floats(min_value=NOW - 2000, max_value=NOW), max_size=30)
runs = st.floats(min_value=0, max_value=1e6)


def decide(**changes: object) -> tuple[str, float, str]:
    """Decide with the default policy and a healthy past, changed as given."""
    past: dict[str, object] = {
        "attempts": 10, "interval": 600.0, "delay": None, "mode": "delay",
        "failures": [], "ran": 60.0, "quick_exits": 0, "by_signal": False, "now": NOW,
    }  # fmt: skip
    return restarts.decide(**{**past, **changes})  # type: ignore[arg-type]


def test_exit_after_a_stable_run_restarts_at_once() -> None:
    """Ten seconds of running are enough for a restart without delay."""
    assert decide(ran=10.0, quick_exits=5)[:2] == ("restart", 0.0)


def test_first_kill_of_a_fresh_instance_restarts_at_once() -> None:
    """One kill -9 is no crash loop."""
    assert decide(ran=0.2, by_signal=True)[:2] == ("restart", 0.0)


def test_first_quick_exit_by_code_waits_a_tenth_of_a_second() -> None:
    """A program that exits by itself right away gets the first delay."""
    assert decide(ran=0.2)[:2] == ("restart", 0.1)


@given(quick_exits=st.integers(min_value=1, max_value=10**6), by_signal=st.booleans())
def test_quick_exits_double_up_to_half_a_minute(quick_exits: int, by_signal: bool) -> None:
    """The delay doubles with each quick exit in a row and never passes 30 s."""
    _, delay, _ = decide(ran=1.0, quick_exits=quick_exits, by_signal=by_signal)
    _, longer, _ = decide(ran=1.0, quick_exits=quick_exits + 1, by_signal=by_signal)
    assert 0.2 <= delay <= 30.0
    assert longer == min(delay * 2, 30.0)


@given(failures=moments, ran=runs, quick_exits=st.integers(0, 50), delay=st.floats(0, 3600), by_signal=st.booleans())
def test_a_written_delay_is_always_honoured(
    failures: list[float], ran: float, quick_exits: int, delay: float, by_signal: bool
) -> None:
    """Whatever happened, a restart comes after exactly the written delay, and never before it."""
    verdict, seconds, _ = decide(failures=failures, ran=ran, quick_exits=quick_exits, delay=delay, by_signal=by_signal)
    assert seconds == delay if verdict == "restart" else seconds >= NOW + delay


@given(failures=moments, attempts=st.integers(0, 20), interval=st.floats(1, 3600))
def test_mode_fail_gives_up_exactly_beyond_the_attempts(failures: list[float], attempts: int, interval: float) -> None:
    """Within one window there are `attempts` restarts and not one more."""
    verdict, _, _ = decide(failures=failures, attempts=attempts, interval=interval, mode="fail")
    in_window = len([moment for moment in failures if moment > NOW - interval])
    assert verdict == ("restart" if in_window < attempts else "give-up")


@given(failures=moments, attempts=st.integers(0, 20), interval=st.floats(1, 3600))
def test_mode_delay_waits_until_the_window_has_room(failures: list[float], attempts: int, interval: float) -> None:
    """At the moment it waits for, the exits that still count are within the attempts, and it never gives up."""
    verdict, until, _ = decide(failures=failures, attempts=attempts, interval=interval)
    assert verdict in ("restart", "wait")
    if verdict == "wait":
        later = restarts.recent_failures([*failures, NOW], interval=interval, now=until + 1e-6)
        assert NOW < until <= NOW + interval
        assert len(later) <= attempts


@given(quick_exits=st.integers(0, 50), ran=runs)
def test_a_stable_run_resets_the_back_off(quick_exits: int, ran: float) -> None:
    """After ten stable seconds the doubling starts from the beginning."""
    expected = 0 if ran >= 10 else quick_exits + 1
    assert restarts.quick_exits_after(quick_exits, ran=ran) == expected
