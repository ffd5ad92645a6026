"""What decodes but cannot work as written: limits that never fire, deadlines that clash, checks no engine runs."""

from __future__ import annotations

from collections.abc import Iterator

from agent.model.check import Check, CheckType
from agent.model.service import RestartMode, Service
from agent.model.settings import EngineName, Settings
from agent.model.units import format_duration

_NATIVE_TO_NOMAD = frozenset({CheckType.HTTP, CheckType.TCP})
_NOMAD_MAX_KILL_SECONDS = 30.0
"""A Nomad client cuts a longer kill_timeout to its max_kill_timeout, by default this (Nomad's client options)."""


def lint(settings: Settings) -> tuple[str, ...]:
    """Return one sentence for each, `services.api.restart: …`, in the order of the file."""
    return tuple(
        f"services.{service.name}.{sentence}"
        for service in settings.services.values()
        if not service.external
        for sentence in (*_restart(service), *_deadlines(service), *_checks(service), *_engine(service, settings))
    )


def _restart(service: Service) -> Iterator[str]:
    policy = service.restart
    if policy.delay is not None and policy.delay * policy.attempts > policy.interval:
        whole = format_duration(policy.delay * policy.attempts)
        yield (
            f"restart: {policy.attempts} restarts {format_duration(policy.delay)} apart take {whole}, longer than the "
            f"interval of {format_duration(policy.interval)}: it never gives up"
        )
    if service.is_oneshot and policy.mode is RestartMode.DELAY and policy != Service().restart:
        yield "restart: a oneshot is never restarted"
    limit, threshold = service.resources.memory, service.resources.memory_restart
    if limit is not None and threshold is not None and threshold >= limit:
        yield "resources.memory_restart: not below `memory`, so the kernel kills it before it is restarted gracefully"


def _deadlines(service: Service) -> Iterator[str]:
    update = service.update
    if update.min_healthy_time >= update.healthy_deadline:
        yield (
            f"update: min_healthy_time {format_duration(update.min_healthy_time)} is not shorter than healthy_deadline "
            f"{format_duration(update.healthy_deadline)}: no deploy can succeed"
        )
    if service.checks and service.check_restart.limit and service.restart.delay is not None:
        slowest = max(check.interval for check in service.checks) * max(service.check_restart.limit - 1, 0)
        per_restart = max(service.check_restart.grace + slowest, service.restart.delay)
        if per_restart * service.restart.attempts > service.restart.interval:
            yield (
                f"check_restart: each restart for a failed check takes at least {format_duration(per_restart)}, so "
                f"{service.restart.attempts} of them never fall into {format_duration(service.restart.interval)}"
            )


def _checks(service: Service) -> Iterator[str]:
    titles = [check.title for check in service.checks]
    for title in sorted({title for title in titles if titles.count(title) > 1}):
        yield f"checks: two are called {title!r}; give them names, or one hides the other"
    for index, check in enumerate(service.checks):
        yield from (f"checks.{index}{sentence}" for sentence in _check(check))


def _check(check: Check) -> Iterator[str]:
    if check.flapping.bad > check.flapping.of:
        yield f".flapping: {check.flapping.bad} of {check.flapping.of} results can never be bad"
    before_warning, before_critical = check.failures_before_warning, check.failures_before_critical
    if before_warning is not None and before_warning > before_critical:
        yield (
            f": failures_before_warning {before_warning} is above failures_before_critical {before_critical}: "
            "it is never a warning"
        )
    policy = check.check_restart
    if policy is not None and policy.limit == 1 and before_critical == 0:
        yield ".check_restart: limit 1 restarts at the first failure, a lost packet is enough"
    if check.type is CheckType.TTL and check.ttl is None:
        yield ": a ttl check without `ttl` never expires"


def _engine(service: Service, settings: Settings) -> Iterator[str]:
    if settings.engine is not EngineName.NOMAD:
        return
    for check in service.checks:
        if check.type not in _NATIVE_TO_NOMAD:
            yield f"checks: Nomad cannot run {check.title!r} ({check.type}); the daemon does"
    if service.kill_timeout.total_seconds() > _NOMAD_MAX_KILL_SECONDS:
        yield (
            f"kill_timeout: a Nomad client cuts {format_duration(service.kill_timeout)} to its max_kill_timeout, "
            f"{_NOMAD_MAX_KILL_SECONDS:g}s unless its configuration says more"
        )
