"""Decide what must change: (desired, observed) → Plan; no file, socket, process or clock is touched here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.model.desired import Desired, DesiredService
from agent.model.instance import InstanceState, Launch, ObservedInstance
from agent.model.plan import Change, Consequence, Plan
from agent.model.service import UpdateOrder

POLICY = "policy."
"""Fields with this prefix are taken over in place: no instance is restarted for them."""

_COST = {consequence: cost for cost, consequence in enumerate(Consequence)}
_ALIVE = frozenset({InstanceState.STARTING, InstanceState.RUNNING, InstanceState.BACKOFF})


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the operator decided besides the file; `completed` holds digests of one-shots that ended well."""

    only: frozenset[str] = frozenset()
    allow_restart: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    completed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How one instance differs from its launch."""

    consequence: Consequence
    causes: tuple[str, ...] = field(default=())


def reconcile(desired: Desired, observed: Iterable[ObservedInstance], choices: Choices = Choices()) -> Plan:
    """Return the changes that bring the host from observed to desired, each with its cause.

    Instances of services that are not desired are removed; nothing else of the host is known here.
    """
    by_service: dict[str, list[ObservedInstance]] = {}
    for instance in observed:
        by_service.setdefault(instance.service, []).append(instance)
    changes = [
        _service_change(service, by_service.get(service.name, []), choices)
        for service in desired.services
        if not choices.only or service.name in choices.only
    ]
    known = {service.name for service in desired.services}
    if not choices.only:
        changes += [
            Change(service=name, consequence=Consequence.REMOVE, causes=("no longer in the file",))
            for name in sorted(by_service.keys() - known)
        ]
    notes = tuple(f"{each.name}: unavailable, {each.unavailable}" for each in desired.services if each.unavailable)
    return Plan(
        changes=tuple(change for change in changes if change.consequence is not Consequence.NOOP),
        unchanged=tuple(change for change in changes if change.consequence is Consequence.NOOP),
        notes=notes,
    )


def compare(launch: Launch, seen: ObservedInstance | None, service: DesiredService) -> Difference:
    """Return what one instance needs to become its launch, fields first, then files, then state."""
    if seen is None:
        return Difference(consequence=Consequence.CREATE, causes=("not there yet",))
    fields = tuple(field_causes(seen.fields, launch.fields))
    forcing = tuple(cause for name, cause in fields if not name.startswith(POLICY))
    if forcing:
        return Difference(consequence=_replacement(service), causes=forcing)
    files = tuple(_file_causes(seen.files, launch.files))
    if files:
        reloads = service.service.reload_signal is not None
        return Difference(consequence=Consequence.RELOAD if reloads else _replacement(service), causes=files)
    if seen.state not in _ALIVE:
        return Difference(consequence=Consequence.START, causes=(f"{seen.instance} is {seen.state}",))
    if not seen.keeper_alive:
        return Difference(consequence=Consequence.START, causes=(f"{seen.instance} runs without its keeper",))
    if fields:
        return Difference(consequence=Consequence.UPDATE, causes=tuple(cause for _, cause in fields))
    return Difference(consequence=Consequence.NOOP, causes=(f"digest {launch.digest[:8]} unchanged",))


def _service_change(service: DesiredService, seen: list[ObservedInstance], choices: Choices) -> Change:
    if service.unavailable or service.service.external:
        reason = service.unavailable or "external: checked, never run"
        return Change(service=service.name, consequence=Consequence.NOOP, causes=(reason,))
    if service.name in choices.held:
        return _change(service, Consequence.NOOP, ("held by stop; start it with: refnet-agent start",))
    if service.service.is_oneshot:
        return _oneshot_change(service, seen, choices)
    by_name = {instance.instance: instance for instance in seen}
    differences = [compare(launch, by_name.get(launch.instance), service) for launch in service.launches]
    wanted = {launch.instance for launch in service.launches}
    extra = [instance for instance in seen if instance.instance not in wanted and instance.state in _ALIVE]
    if extra:
        cause = f"{', '.join(each.instance for each in extra)} no longer wanted"
        differences.append(Difference(consequence=Consequence.SCALE, causes=(cause,)))
    if not differences:
        return _change(service, Consequence.NOOP, ("0 instances wanted",))
    worst = max(differences, key=lambda difference: _COST[difference.consequence])
    if worst.consequence is Consequence.CREATE and len(by_name) > 0 and by_name.keys() & wanted:
        worst = Difference(consequence=Consequence.SCALE, causes=(f"{len(by_name)} → {len(wanted)} instances",))
    return _guard(service, worst, differences, choices)


def _guard(service: DesiredService, worst: Difference, differences: list[Difference], choices: Choices) -> Change:
    interrupts = worst.consequence in {Consequence.RESTART, Consequence.REPLACE}
    causes = tuple(
        dict.fromkeys(
            cause for each in differences if each.consequence is not Consequence.NOOP for cause in each.causes
        )
    )
    if interrupts and service.service.protected and service.name not in choices.allow_restart:
        return _change(service, Consequence.PENDING, (*causes, f"needs --allow-restart {service.name}"))
    return _change(service, worst.consequence, causes or worst.causes)


def _oneshot_change(service: DesiredService, seen: list[ObservedInstance], choices: Choices) -> Change:
    launch = service.launches[0]
    identity = run_identity(launch)
    complete = any(
        each.state is InstanceState.COMPLETE and each.fields == launch.fields and each.files == launch.files
        for each in seen
    )
    if complete or identity in choices.completed:
        return _change(service, Consequence.NOOP, (f"completed, digest {launch.digest[:8]} unchanged",))
    last = next((each for each in seen if each.instance == launch.instance), None)
    if last is None:
        return _change(service, Consequence.RUN, ("has not run for this release",))
    causes = tuple(cause for _, cause in field_causes(last.fields, launch.fields))
    return _change(service, Consequence.RUN, causes or (f"last run is {last.state}",))


def run_identity(launch: Launch) -> str:
    """Return the name under which a completed one-shot is remembered."""
    return f"{launch.instance}:{launch.digest}"


def _change(service: DesiredService, consequence: Consequence, causes: tuple[str, ...]) -> Change:
    return Change(
        service=service.name,
        consequence=consequence,
        causes=causes,
        protected=service.service.protected,
        after=tuple(service.service.depends_on),
    )


def _replacement(service: DesiredService) -> Consequence:
    first = service.service.update.order is UpdateOrder.START_FIRST and not service.service.singleton
    return Consequence.REPLACE if first else Consequence.RESTART


def field_causes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Yield each field that differs with a sentence about it, by name."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if before is None:
            yield name, f"{name}: {after} added"
        elif after is None:
            yield name, f"{name}: {before} removed"
        else:
            yield name, f"{name}: {before} → {after}"


def _file_causes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterable[str]:
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path):
            verb = "added" if path not in old else "removed" if path not in new else "changed"
            yield f"file {path} {verb}"
