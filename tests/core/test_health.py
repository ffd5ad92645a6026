"""From results to a status: thresholds, the first result, flapping; and when it costs a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.core import restarts
from agent.core.affected import failing_ancestors, root_causes
from agent.core.health import CheckState, ProbeResult, advance
from agent.core.unhealthy import Patience, be_patient, is_exhausted, spend
from agent.model.check import Check, CheckRestart, CheckType, Status
from agent.model.service import Dependency

AT = datetime(2026, 1, 1, tzinfo=UTC)
RESULT = {
    "P": ProbeResult(status=Status.PASSING, output=""),
    "W": ProbeResult(status=Status.WARNING, output=""),
    "F": ProbeResult(status=Status.CRITICAL, output=""),
    "D": ProbeResult(status=Status.CRITICAL, output="", decisive=True),
}
results = st.text(alphabet="PWF", max_size=60)
thresholds = st.integers(min_value=0, max_value=6)


def states(check: Check, letters: str) -> list[CheckState]:
    """Return the state after each of these results."""
    found: list[CheckState] = []
    for number, letter in enumerate(letters):
        before = found[-1] if found else None
        found.append(advance(check, before, RESULT[letter], AT + timedelta(seconds=number)))
    return found


def check_with(**changes: object) -> Check:
    """Return a check with these keys."""
    return Check(type=CheckType.TCP, **changes)  # type: ignore[arg-type]


def test_three_failures_in_a_row_make_it_critical_and_one_pass_forgives() -> None:
    """pass fail fail pass fail fail fail: only the seventh."""
    found = states(check_with(failures_before_critical=3), "PFFPFFF")
    assert [each.status is Status.CRITICAL for each in found] == [False] * 6 + [True]


def test_the_very_first_result_applies_at_once() -> None:
    """Even a failure, with any threshold."""
    assert states(check_with(failures_before_critical=10), "F")[0].status is Status.CRITICAL
    assert states(check_with(success_before_passing=10), "P")[0].status is Status.PASSING


def test_a_timeout_of_a_script_skips_the_thresholds() -> None:
    """So does a command that cannot start."""
    assert states(check_with(failures_before_critical=5), "PD")[-1].status is Status.CRITICAL


@given(results, thresholds)
def test_a_status_turns_critical_only_after_so_many_failures_in_a_row(letters: str, least: int) -> None:
    """After the first result, which applies at once."""
    found = states(check_with(failures_before_critical=least), letters)
    for number in range(1, len(found)):
        if found[number].status is Status.CRITICAL and found[number - 1].status is not Status.CRITICAL:
            assert letters[: number + 1].endswith("F" * max(least, 1))


@given(results, thresholds, thresholds)
def test_a_steady_check_has_a_steady_state(letters: str, successes: int, failures: int) -> None:
    """Ten equal results later nothing but the moment of the look changes: there is nothing to write."""
    check = check_with(success_before_passing=successes, failures_before_critical=failures)
    for last in "PF":
        end = states(check, letters + last * 12)[-2:]
        assert replace(end[0], checked_at=AT) == replace(end[1], checked_at=AT)


@given(results)
def test_history_is_bounded_and_only_a_check_that_keeps_changing_flaps(letters: str) -> None:
    """A check that fails for good is not flapping."""
    found = states(check_with(), letters)
    assert all(len(each.history) <= 10 for each in found)
    assert not any(each.flapping for each in states(check_with(), "P" + "F" * 50))
    assert any(each.flapping for each in states(check_with(), "PF" * 10))


# -- check_restart ----------------------------------------------------------------------------


def restart_moments(policy: CheckRestart, statuses: list[Status], *, interval: float = 2.0) -> list[int]:
    """Return the seconds after the start at which the instance would be restarted, looked at each second."""
    check = check_with(interval=timedelta(seconds=interval))
    patience: Patience | None = None
    found = []
    for second, status in enumerate(statuses):
        patience = be_patient(patience, policy=policy, status=status, generation="1", started=0.0, now=float(second))
        if is_exhausted(patience, check, policy, now=float(second)):
            found.append(second)
    return found


def test_a_check_that_always_fails_restarts_after_grace_and_limit() -> None:
    """limit 3, grace 10 s, interval 2 s: not before 10 s, at 14 s."""
    policy = CheckRestart(limit=3, grace=timedelta(seconds=10))
    assert restart_moments(policy, [Status.CRITICAL] * 30)[0] == 14


def test_warnings_count_unless_ignored() -> None:
    """And limit 0 never restarts."""
    warnings = [Status.WARNING] * 60
    assert restart_moments(CheckRestart(limit=3), warnings)
    assert not restart_moments(CheckRestart(limit=3, ignore_warnings=True), warnings)
    assert not restart_moments(CheckRestart(limit=0), [Status.CRITICAL] * 60)


@given(st.lists(st.sampled_from(list(Status)), max_size=60), st.integers(1, 6), st.integers(0, 20))
def test_never_within_the_grace_and_never_without_so_long_a_failure(
    statuses: list[Status], limit: int, grace: int
) -> None:
    """Every restart has interval x (limit - 1) seconds of nothing but failures behind it, all after the grace."""
    policy = CheckRestart(limit=limit, grace=timedelta(seconds=grace), ignore_warnings=True)
    for moment in restart_moments(policy, statuses):
        began = moment - 2 * (limit - 1)
        assert began >= grace
        assert all(each is Status.CRITICAL for each in statuses[began : moment + 1])


@given(st.lists(st.floats(min_value=0, max_value=30), max_size=60), st.integers(1, 5), st.floats(1, 100))
def test_the_budget_of_the_host_holds_in_every_window(gaps: list[float], limit: int, interval: float) -> None:
    """Whatever asks, at most `limit` restarts in any interval."""
    now, recent, allowed = 0.0, tuple[float, ...](), list[float]()
    for gap in gaps:
        now += gap
        may, recent = spend(recent, limit=limit, interval=interval, now=now)
        allowed += [now] if may else []
    for moment in allowed:
        assert sum(1 for each in allowed if moment - interval < each <= moment) <= limit


# -- who is to blame --------------------------------------------------------------------------

NAMES = "abcdef"


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, dict[str, Dependency]], frozenset[str]]:
    """Draw services that rest on earlier ones, and those that fail."""
    edges = {
        name: {needed: Dependency() for needed in NAMES[:number] if draw(st.booleans())}
        for number, name in enumerate(NAMES)
    }
    return edges, draw(st.frozensets(st.sampled_from(NAMES)))


@given(graphs())
def test_every_failing_service_is_a_root_or_suffers_from_one(
    drawn: tuple[dict[str, dict[str, Dependency]], frozenset[str]],
) -> None:
    """No root has a failing service above it, and nobody who is well is named."""
    edges, failing = drawn
    roots = root_causes(failing, edges)
    named = set(roots) | {name for suffering in roots.values() for name in suffering}
    assert named == failing
    for root, suffering in roots.items():
        assert not failing_ancestors(root, edges, failing)
        assert all(root in failing_ancestors(name, edges, failing) for name in suffering)


# -- the restart machine ----------------------------------------------------------------------


class RestartMachine(RuleBasedStateMachine):
    """A service that ends whenever it likes, kept by the policy: 3 restarts in 60 s, then it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.started = self.now
        self.failures: list[float] = []
        self.starts: list[float] = []
        self.quick = 0

    @rule(ran=st.floats(min_value=0, max_value=120), by_signal=st.booleans())
    def it_ends(self, ran: float, by_signal: bool) -> None:
        """It ran for so long, ended, and is started when the policy says."""
        self.now = self.started + ran
        verdict, seconds, _ = restarts.decide(
            attempts=3,
            interval=60.0,
            delay=None,
            mode="delay",
            failures=self.failures,
            ran=ran,
            quick_exits=self.quick,
            by_signal=by_signal,
            now=self.now,
        )
        assert verdict in {restarts.RESTART, restarts.WAIT}
        self.quick = restarts.quick_exits_after(self.quick, ran=ran)
        self.failures = [*restarts.recent_failures(self.failures, interval=60.0, now=self.now), self.now]
        self.started = self.now + seconds if verdict == restarts.RESTART else seconds
        self.starts.append(self.started)

    @invariant()
    def it_never_starts_with_more_failures_in_the_window_than_allowed(self) -> None:
        """And never before it has ended."""
        assert self.started >= self.now or not self.starts
        if self.starts:
            window = 60.0 - 1e-6  # a sum of floats is off by its last bit
            assert sum(1 for each in self.failures if self.started - window < each <= self.started) <= 3

    @invariant()
    def it_is_never_given_up(self) -> None:
        """The next start is at most one window away."""
        assert self.started - self.now <= 60.0


TestRestartMachine = RestartMachine.TestCase
