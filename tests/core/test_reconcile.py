"""Claims about the plan."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.core.reconcile import Choices, reconcile
from agent.model.desired import Desired, DesiredService
from agent.model.instance import InstanceState, Launch, ObservedInstance
from agent.model.plan import Consequence
from agent.model.service import Service, ServiceType, UpdateOrder, UpdatePolicy
from agent.model.settings import Settings


def launch(name: str, number: int = 1, **fields: str) -> Launch:
    return Launch(
        instance=f"{name}-{number}",
        service=name,
        command=("x",),
        directory="/",
        log_path="/x",
        digest=repr(fields),
        fields=fields or {"command": "x"},
    )


def running(wanted: Launch, **changes: object) -> ObservedInstance:
    seen = ObservedInstance(
        instance=wanted.instance,
        service=wanted.service,
        state=InstanceState.RUNNING,
        pid=1,
        digest=wanted.digest,
        fields=wanted.fields,
        files=wanted.files,
    )
    return replace(seen, **changes)  # type: ignore[arg-type]


def system(*launches: Launch, **service: object) -> Desired:
    name = launches[0].service if launches else "api"
    declared = Service(name=name, command=("x",), replicas=len(launches), **service)  # type: ignore[arg-type]
    return Desired(settings=Settings(name="t"), services=(DesiredService(service=declared, launches=launches),))


def consequence(desired: Desired, *observed: ObservedInstance, choices: Choices | None = None) -> Consequence:
    plan = reconcile(desired, observed, choices or Choices())
    return (*plan.changes, *plan.unchanged)[0].consequence


def test_what_runs_as_desired_is_left_alone() -> None:
    """An equal instance is a no-op that says why."""
    wanted = launch("api")

    plan = reconcile(system(wanted), [running(wanted)])

    assert plan.is_empty
    assert plan.unchanged[0].causes == (f"digest {wanted.digest[:8]} unchanged",)


def test_a_changed_field_is_named_with_both_values() -> None:
    """The cause of a restart names the field, the old value and the new one."""
    old, new = launch("api", env="a"), launch("api", env="b")

    plan = reconcile(system(new), [running(old)])

    assert plan.changes[0].consequence is Consequence.RESTART
    assert plan.changes[0].causes == ("env: a → b",)


def test_a_start_first_service_is_replaced_rather_than_restarted() -> None:
    """The update order decides the word."""
    old, new = launch("api", env="a"), launch("api", env="b")
    rolling = UpdatePolicy(order=UpdateOrder.START_FIRST)

    assert consequence(system(new, update=rolling), running(old)) is Consequence.REPLACE


def test_a_protected_service_waits_for_permission() -> None:
    """A plain apply leaves it pending; naming it lets it restart."""
    old, new = launch("redis", env="a"), launch("redis", env="b")
    desired = system(new, protected=True)

    assert consequence(desired, running(old)) is Consequence.PENDING
    allowed = Choices(allow_restart=frozenset({"redis"}))
    assert consequence(desired, running(old), choices=allowed) is Consequence.RESTART


def test_a_changed_file_is_reloaded_where_the_service_can() -> None:
    """Only a service with a reload signal is spared the restart."""
    old = replace(launch("gateway"), files={"nginx.conf": "1"})
    new = replace(old, files={"nginx.conf": "2"})

    assert consequence(system(new, reload_signal="SIGHUP"), running(old)) is Consequence.RELOAD
    assert consequence(system(new), running(old)) is Consequence.RESTART


def test_policies_are_taken_over_in_place() -> None:
    """A field under `policy.` never restarts anything."""
    old = launch("api", **{"policy.kill": "SIGTERM 10s"})
    new = launch("api", **{"policy.kill": "SIGTERM 30s"})

    assert consequence(system(new), running(old)) is Consequence.UPDATE


def test_a_stopped_instance_and_one_without_keeper_are_started() -> None:
    """Both come back by the same word."""
    wanted = launch("api")

    assert consequence(system(wanted), running(wanted, state=InstanceState.FAILED, pid=None)) is Consequence.START
    assert consequence(system(wanted), running(wanted, keeper_alive=False)) is Consequence.START


def test_a_oneshot_runs_once_per_digest() -> None:
    """Completed with the same digest means nothing to do; another digest runs it again."""
    wanted = launch("migrate", code="1")
    desired = system(wanted, type=ServiceType.ONESHOT)

    assert consequence(desired) is Consequence.RUN
    assert consequence(desired, running(wanted, state=InstanceState.COMPLETE)) is Consequence.NOOP
    assert consequence(desired, running(launch("migrate", code="0"), state=InstanceState.COMPLETE)) is Consequence.RUN


def test_a_held_service_is_left_down() -> None:
    """What the operator stopped stays stopped."""
    assert consequence(system(launch("api")), choices=Choices(held=frozenset({"api"}))) is Consequence.NOOP


@given(wanted=st.integers(0, 4), present=st.sets(st.integers(1, 6)), stale=st.sets(st.integers(1, 6)))
def test_carrying_out_a_plan_from_any_point_converges(wanted: int, present: set[int], stale: set[int]) -> None:
    """Whatever subset of instances an interrupted apply left, the desired set makes the plan empty."""
    launches = tuple(launch("api", number, env="new") for number in range(1, wanted + 1))
    desired = system(*launches)
    left = [running(launch("api", number, env="old" if number in stale else "new")) for number in sorted(present)]

    first = reconcile(desired, left)
    after = reconcile(desired, [running(each) for each in launches])

    assert after.is_empty
    already = {each.instance for each in left} == {each.instance for each in launches} and not (stale & present)
    assert first.is_empty == already


@given(strangers=st.sets(st.sampled_from(["alpha", "beta"]), min_size=1))
def test_only_what_the_engine_owns_and_nobody_wants_is_removed(strangers: set[str]) -> None:
    """Services that left the file are removed, and named."""
    plan = reconcile(system(launch("api")), [running(launch(name)) for name in strangers])

    assert {change.service for change in plan.changes if change.consequence is Consequence.REMOVE} == strangers
