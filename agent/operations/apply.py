"""Bring the host from observed to desired, or put back what was there."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from graphlib import TopologicalSorter

from agent.core.lint import lint
from agent.core.reconcile import Choices, reconcile
from agent.errors import AgentError, DeployFailed, Interrupted, RolledBack, StoppedBeforeMigration
from agent.model.instance import ObservedInstance
from agent.model.plan import Change, Plan
from agent.operations.certificates import ensure_certificates
from agent.operations.code import count_changed_files
from agent.operations.desire import redesire
from agent.operations.discovery import publish
from agent.operations.events import record
from agent.operations.health import APPLY_AGAIN
from agent.operations.held import held_services
from agent.operations.migrate import forget_migration, has_migrated
from agent.operations.oneshots import completed_runs
from agent.operations.preflight import check_host
from agent.operations.prepare import run_beside, stage
from agent.operations.releases import Release, latest, numbers, store_release
from agent.operations.rollout import carry_out
from agent.operations.stack import Progress, Stack
from agent.system.command import end_running_commands

_WORKERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What apply did: the plan it carried out, what is left, and the release stored (None when nothing changed)."""

    plan: Plan
    left: Plan
    release: int | None = None


def make_plan(stack: Stack, choices: Choices = Choices()) -> Plan:
    """Return what apply would do now; writes nothing."""
    known = replace(choices, held=held_services(stack.home), completed=completed_runs(stack))
    observed = stack.engine.observe()
    plan = reconcile(stack.desired, observed, known)
    changes = tuple(_count_files(stack, change, observed) for change in plan.changes)
    return replace(plan, changes=changes, notes=(*plan.notes, *lint(stack.desired.settings)))


def _count_files(stack: Stack, change: Change, observed: tuple[ObservedInstance, ...]) -> Change:
    """Say how much of the code differs, where both versions can be read."""
    service = stack.desired.find(change.service)
    if service is None or service.code is None or service.service.source is None:
        return change
    old = {each.fields.get("code") for each in observed if each.service == change.service} - {None, service.code}
    if len(old) != 1:
        return change
    source, before = service.service.source, str(old.pop())
    count = count_changed_files(source, before, service.code, base=stack.base, home=stack.home)
    if count is None:
        return change
    said = f", {count} file{'' if count == 1 else 's'} changed"
    return replace(change, causes=tuple(each + said * each.startswith("code: ") for each in change.causes))


def apply(stack: Stack, *, choices: Choices = Choices(), cause: str = "apply", revert: bool = True) -> Applied:
    """Carry out the plan; raise RolledBack when the old release serves again, DeployFailed when there is none."""
    plan = make_plan(stack, choices)
    before = latest(stack.home)
    if not plan.actionable:
        release = _store(stack, before, cause) if _definition_changed(stack, before) else None
        return Applied(plan=plan, left=plan, release=release)
    services = [change.service for change in plan.actionable]
    record(stack.home.events, kind="apply", cause=cause, detail=_summary(plan), services=services)
    try:
        check_host(stack, plan)
    except AgentError as error:
        # Nothing was touched yet: there is nothing to put back.
        record(stack.home.events, kind="apply-failed", cause=error.message.splitlines()[0], detail=error.hint)
        raise
    try:
        prepare_all(stack, plan)
        execute(stack, plan)
        verify(stack)
    except (AgentError, OSError) as error:
        if not revert or isinstance(error, Interrupted):
            raise
        _put_back(stack, before, error)
    left = make_plan(stack, choices)
    return Applied(plan=plan, left=left, release=_store(stack, before, cause))


def prepare_all(stack: Stack, plan: Plan) -> None:
    """Stage every changed service and check its files; nothing that runs has been touched when this fails."""
    ensure_certificates(stack)
    publish(stack)
    for change in plan.actionable:
        service = stack.desired.find(change.service)
        if service is not None and service.launches:
            if service.service.source is not None:
                stack.tell(Progress(service=service.name, state="preparing code"))
            stage(stack, service)


def execute(stack: Stack, plan: Plan) -> None:
    """Carry out the changes in dependency order, independent ones side by side; stop at the first failure."""
    names = {change.service for change in plan.actionable}
    changes = {change.service: change for change in plan.actionable}
    sorter = TopologicalSorter({name: [each for each in changes[name].after if each in names] for name in names})
    sorter.prepare()
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        try:
            while sorter.is_active():
                for name in sorted(sorter.get_ready()):
                    running[pool.submit(_one, stack, changes[name])] = name
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    name = running.pop(future)
                    future.result()
                    sorter.done(name)
        except KeyboardInterrupt:
            stack.interrupted.set()
            end_running_commands()
            raise Interrupted("interrupted", hint=APPLY_AGAIN) from None
        except BaseException:
            for future in running:
                future.cancel()
            raise


def verify(stack: Stack) -> None:
    """Run the system's own end-to-end tests; raise DeployFailed with the words of the first that fails."""
    for test in stack.desired.settings.verify:
        service = stack.desired.find(test.service)
        if service is None or not service.launches:
            continue
        stack.tell(Progress(service=test.name, state="verifying"))
        result = run_beside(stack, service, test.command, timeout=test.timeout.total_seconds(), check=False)
        if result.code != 0:
            raise DeployFailed(f"verify {test.name} failed with exit code {result.code}\n{result.said}")
        stack.tell(Progress(service=test.name, state="verified", done=True))


def _one(stack: Stack, change: Change) -> None:
    if stack.interrupted.is_set():
        return
    try:
        carry_out(stack, change)
    except AgentError as error:
        stack.tell(Progress(service=change.service, state="failed", done=True))
        record(stack.home.events, kind="apply-failed", service=change.service, detail=error.message)
        raise
    record(stack.home.events, kind=change.consequence.value, service=change.service, cause="; ".join(change.causes))


def _put_back(stack: Stack, before: Release | None, error: AgentError | OSError) -> None:
    message = error.message if isinstance(error, AgentError) else str(error)
    hint = error.hint if isinstance(error, AgentError) else ""
    if before is None:
        raise DeployFailed(message, hint=hint or "fix it and apply again: what is healthy keeps running") from error
    compatible = all(each.service.backward_compatible for each in stack.desired.services if each.service.migrates)
    if has_migrated(stack) and not compatible:
        ways = (
            "fix the code and apply again; or, if the old code can live with the new schema, "
            f"refnet-agent rollback {before.number}"
        )
        raise StoppedBeforeMigration(f"{message}\nthe migration has run; old instances are kept", hint=ways) from error
    stack.tell(Progress(service="release", state="rolling back", detail=f"to {before.number}"))
    try:
        _return_to(stack, before)
    except (AgentError, OSError) as second:
        both = f"{message}\nand going back to release {before.number} failed: {second}"
        raise DeployFailed(both, hint=f"refnet-agent status, then: refnet-agent rollback {before.number}") from error
    record(stack.home.events, kind="rolled-back", cause=message.splitlines()[0], detail=f"to release {before.number}")
    raise RolledBack(f"{message}\nrolled back to release {before.number}", hint=hint) from error


def _return_to(stack: Stack, before: Release) -> None:
    old = replace(stack, desired=redesire(before.desired, stack.around))
    plan = make_plan(old)
    prepare_all(old, plan)
    execute(old, plan)


def _store(stack: Stack, before: Release | None, cause: str) -> int:
    number = max(numbers(stack.home), default=0) + 1
    store_release(
        stack.home,
        Release(
            number=number,
            at=datetime.now(UTC),
            cause=cause,
            desired=stack.desired,
            base=str(stack.base),
            completed=tuple(sorted(completed_runs(stack))),
            migrated=has_migrated(stack),
        ),
    )
    forget_migration(stack)
    record(stack.home.events, kind="released", cause=cause, detail=f"release {number}", release=number)
    return number


def _definition_changed(stack: Stack, before: Release | None) -> bool:
    return before is None or before.desired.settings != stack.desired.settings


def _summary(plan: Plan) -> str:
    return ", ".join(f"{change.service}: {change.consequence}" for change in plan.changes)
