"""A ttl check expires by its own clock, and belongs to one process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.core.expiry import Armed, arm, expired_result, is_expired
from agent.model.check import Status

SECONDS = st.floats(min_value=0, max_value=1e6)


def armed(**more: object) -> Armed:
    words: dict[str, object] = {"generation": "one", "boot": "b", "identity": "1", "at": 0.0, **more}
    return Armed(**words)  # type: ignore[arg-type]


@given(SECONDS, SECONDS)
def test_every_push_arms_the_timer_anew(at: float, later: float) -> None:
    """It can then not expire before its ttl is over."""
    now = at + later
    after, fresh = arm(armed(at=at, expired=True), generation="one", boot="b", identity="2", own=True, now=now)

    assert fresh
    assert not after.expired
    assert not is_expired(after, ttl=1.0, now=now + 1.0)
    assert is_expired(after, ttl=1.0, now=now + 1.5)


@given(SECONDS)
def test_the_same_push_is_taken_once(now: float) -> None:
    """Looking again changes nothing."""
    assert arm(armed(), generation="one", boot="b", identity="1", own=True, now=now) == (armed(), False)


@given(st.booleans())
def test_a_new_process_owes_nothing_yet_and_inherits_nothing(own: bool) -> None:
    """Only what was written since it started counts for it."""
    after, fresh = arm(armed(expired=True), generation="two", boot="b", identity="1", own=own, now=50.0)

    assert fresh is own
    assert (after.at, after.expired) == (50.0, False)


def test_what_expires_keeps_the_last_output_and_waits_for_no_threshold() -> None:
    """Consul's words."""
    found = expired_result("42 papers")

    assert (found.status, found.decisive) == (Status.CRITICAL, True)
    assert "42 papers" in found.output
