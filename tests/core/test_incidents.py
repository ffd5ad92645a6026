"""When people are told, and when they are left in peace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.core.incidents import Incidents, decide, rebase, severity_of
from agent.model.incident import IncidentPolicy, NoticeKind, Trouble
from agent.model.notify import Severity

POLICY = IncidentPolicy(after=timedelta(seconds=10), calm=timedelta(seconds=30))
AT = datetime(2026, 1, 1, tzinfo=UTC)


def trouble(subject: str, severity: Severity = Severity.P2, *affected: str) -> dict[str, Trouble]:
    """Return the trouble of one subject."""
    return {subject: Trouble(subject=subject, severity=severity, symptom="is down", affected=affected)}


class Story:
    """A second after a second of troubles, and what was told."""

    def __init__(self) -> None:
        self.known: Incidents = {}
        self.now = 1000.0
        self.told: list[tuple[float, NoticeKind, str]] = []

    def go(self, seconds: int, troubles: dict[str, Trouble], *, muted: frozenset[str] = frozenset()) -> None:
        """Let it be so for some seconds."""
        for _ in range(seconds):
            self.now += 1
            at = AT + timedelta(seconds=self.now)
            self.known, drafts = decide(self.known, troubles, policy=POLICY, muted=muted, now=self.now, at=at)
            self.told += [(self.now, each.kind, each.incident.subject) for each in drafts]

    @property
    def kinds(self) -> list[NoticeKind]:
        """What was told, in order."""
        return [kind for _, kind, _ in self.told]


def test_a_restart_that_heals_at_once_is_told_nobody() -> None:
    """Trouble of a few seconds is the keeper's business."""
    story = Story()
    story.go(3, trouble("api"))
    story.go(120, {})
    assert story.told == []
    assert story.known == {}


def test_lasting_trouble_is_told_once_and_its_end_too() -> None:
    """After ten seconds, and when it was well for thirty."""
    story = Story()
    story.go(100, trouble("api"))
    story.go(60, {})
    assert [(moment - 1000, kind) for moment, kind, _ in story.told] == [
        (11, NoticeKind.OPENED),
        (130, NoticeKind.RESOLVED),
    ]


def test_a_crash_loop_is_told_though_it_runs_now_and_then() -> None:
    """Three seconds up, one down."""
    story = Story()
    for _ in range(10):
        story.go(1, trouble("api"))
        story.go(3, {})
    assert story.kinds == [NoticeKind.OPENED]


def test_what_changes_each_twenty_seconds_for_ten_minutes_is_told_at_most_twice() -> None:
    """It never is well for long enough to be over."""
    story = Story()
    for _ in range(15):
        story.go(20, trouble("api"))
        story.go(20, {})
    assert len(story.told) <= 2


def test_the_fourth_opening_in_an_hour_is_flapping_and_then_there_is_silence() -> None:
    """Until it was well for ten minutes."""
    story = Story()
    for _ in range(8):
        story.go(20, trouble("api"))
        story.go(60, {})
    assert story.kinds == [NoticeKind.OPENED, NoticeKind.RESOLVED] * 3 + [NoticeKind.FLAPPING]
    story.go(700, {})
    assert story.kinds[-1] is NoticeKind.RESOLVED
    assert len(story.kinds) == 8


def test_a_graver_state_is_told_a_lighter_one_is_not() -> None:
    """From one instance of two to none."""
    story = Story()
    story.go(20, trouble("api", Severity.P3))
    story.go(20, trouble("api", Severity.P1))
    story.go(20, trouble("api", Severity.P3))
    assert story.kinds == [NoticeKind.OPENED, NoticeKind.WORSE]


def test_a_service_found_to_suffer_is_told_as_part_of_its_root() -> None:
    """The api was told first; then the database is seen to be the root: one more notice, and one end."""
    story = Story()
    story.go(20, trouble("api"))
    story.go(20, trouble("postgres", Severity.P1, "api"))
    story.go(60, {})
    assert [(kind, subject) for _, kind, subject in story.told] == [
        (NoticeKind.OPENED, "api"),
        (NoticeKind.OPENED, "postgres"),
        (NoticeKind.RESOLVED, "postgres"),
    ]


def test_maintenance_opens_nothing_and_trouble_that_outlasts_it_is_told() -> None:
    """Ten seconds after its end."""
    story = Story()
    story.go(60, trouble("api"), muted=frozenset({"api"}))
    assert story.told == []
    story.go(12, trouble("api"))
    assert story.kinds == [NoticeKind.OPENED]


def test_a_clock_that_began_anew_with_the_machine_closes_and_opens_nothing() -> None:
    """After a reboot the monotonic clock has smaller numbers."""
    story = Story()
    story.go(20, trouble("api"))
    known = rebase(story.known, 5.0)
    _, drafts = decide(known, trouble("api"), policy=POLICY, muted=frozenset(), now=6.0, at=AT)
    assert drafts == ()
    assert known["api"].opened == 5.0


def test_severity_says_how_much_is_left() -> None:
    """Some, nothing, nothing of what matters."""
    assert severity_of(healthy=1, desired=2, matters=True) is Severity.P3
    assert severity_of(healthy=0, desired=2, matters=False) is Severity.P2
    assert severity_of(healthy=0, desired=1, matters=True) is Severity.P1


SECOND = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(list(Severity)), max_size=3)


@given(st.lists(st.tuples(SECOND, st.integers(min_value=1, max_value=80)), max_size=12))
def test_every_opening_has_at_most_one_end_and_nothing_is_told_of_the_well(
    story_of: list[tuple[dict[str, Severity], int]],
) -> None:
    """Openings and ends take turns; worse comes only between them; once all is calm nothing is remembered as open."""
    story = Story()
    for severities, seconds in story_of:
        story.go(seconds, {name: trouble(name, severity)[name] for name, severity in severities.items()})
    story.go(800, {})
    assert not [each for each in story.known.values() if each.opened is not None]
    for subject in ("a", "b", "c"):
        is_open = False
        for _, kind, name in story.told:
            if name != subject:
                continue
            if kind in {NoticeKind.OPENED, NoticeKind.FLAPPING}:
                assert not is_open
                is_open = True
            else:
                assert is_open
                is_open = kind is not NoticeKind.RESOLVED
        assert not is_open
