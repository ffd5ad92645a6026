"""Ask instances how they are, and wait until they are well."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.core.health import ProbeResult
from agent.errors import DeployFailed, Interrupted
from agent.model.check import Check, Status
from agent.model.desired import DesiredService
from agent.model.instance import InstanceState, Launch, ObservedInstance
from agent.operations.prepare import resolve_command
from agent.operations.stack import Stack
from agent.render.launch import HOST, environment
from agent.render.substitute import substitute_all
from agent.system.accounts import find_user
from agent.system.probe import ProbeTarget, probe

APPLY_AGAIN = "what runs goes on; apply again to finish, or go back: refnet-agent rollback"
_POLL_SECONDS = 0.1
_RESTARTS_TOO_MANY = 3
_LOG_LINES = 20
_JUST_STARTED = timedelta(seconds=2)
"""Lines from before the waiting began still belong to this start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one instance is: the worst of its checks, and that check's words."""

    status: str
    check: str = ""
    output: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the instance may serve."""
        return self.status in {Status.PASSING, Status.WARNING, "complete"}


def judge(stack: Stack, service: DesiredService, seen: ObservedInstance, *, starting: bool = False) -> Verdict:
    """Return the instance's verdict, probing each check once; the startup check only while it is `starting`."""
    match seen.state:
        case InstanceState.RUNNING:
            pass
        case InstanceState.COMPLETE | InstanceState.STOPPED | InstanceState.FAILED:
            return Verdict(status=str(seen.state), output=describe_exit(seen))
        case _:
            return Verdict(status="pending", output=describe_exit(seen) or f"{seen.instance} is {seen.state}")
    if not seen.ready:
        line = service.service.ready_line
        return Verdict(status="pending", output=f"has not yet printed {line!r}")
    worst = Verdict(status=Status.PASSING)
    number = int(seen.instance.rpartition("-")[2])
    startup = (service.service.startup_check,) if starting and service.service.startup_check else ()
    for check in (*startup, *service.service.checks):
        result = _run_check(stack, service, check, number)
        if result.status is Status.CRITICAL:
            return Verdict(status=result.status, check=check.title, output=result.output)
        if result.status is Status.WARNING:
            worst = Verdict(status=result.status, check=check.title, output=result.output)
    return worst


def judge_all(stack: Stack, observed: tuple[ObservedInstance, ...]) -> Mapping[str, Verdict]:
    """Return the verdicts of every instance by name, probed side by side."""
    pairs = [(service, each) for each in observed if (service := stack.desired.find(each.service)) is not None]
    with ThreadPoolExecutor(max_workers=16) as pool:
        verdicts = pool.map(lambda pair: judge(stack, pair[0], pair[1]), pairs)
        return {each.instance: verdict for (_, each), verdict in zip(pairs, verdicts, strict=True)}


def wait_healthy(stack: Stack, service: DesiredService, launch: Launch) -> None:
    """Return once the instance has been well for `min_healthy_time`; raise DeployFailed with the evidence.

    An instance that gave up, or was restarted three times meanwhile, fails at once.
    """
    policy = service.service.update
    began = datetime.now(UTC) - _JUST_STARTED
    deadline = time.monotonic() + policy.healthy_deadline.total_seconds()
    first_restarts: int | None = None
    well_since: float | None = None
    while True:
        if stack.interrupted.is_set():
            raise Interrupted(f"interrupted while {launch.instance} was becoming healthy", hint=APPLY_AGAIN)
        seen = stack.seen(service.name).get(launch.instance)
        now = time.monotonic()
        if seen is None:
            raise DeployFailed(f"{launch.instance} vanished while it was starting", hint="refnet-agent events")
        first_restarts = seen.restarts if first_restarts is None else first_restarts
        verdict = judge(stack, service, seen, starting=True)
        well_since = (well_since or now) if verdict.is_good else None
        if well_since is not None and now - well_since >= policy.min_healthy_time.total_seconds():
            return
        gave_up = seen.state in {InstanceState.FAILED, InstanceState.STOPPED}
        looping = seen.restarts - first_restarts >= _RESTARTS_TOO_MANY
        if gave_up or looping or now > deadline:
            raise failure(stack, launch.instance, seen, verdict, since=began)
        time.sleep(_POLL_SECONDS)


def failure(
    stack: Stack, instance: str, seen: ObservedInstance, verdict: Verdict, *, since: datetime | None = None
) -> DeployFailed:
    """Return the error that names the failing check, its output, how the process ended and its last lines."""
    parts = [f"{instance} did not become healthy: {verdict.status}"]
    if verdict.check:
        parts.append(f"  check   {verdict.check}")
    if verdict.output:
        parts.append(f"  output  {verdict.output.strip()[:600]}")
    if ended := describe_exit(seen):
        parts.append(f"  process {ended}, {seen.restarts} restarts")
    if lines := last_lines(stack, instance, since=since):
        parts += ["  last lines:", *(f"    {line}" for line in lines)]
    service = seen.service
    return DeployFailed("\n".join(parts), hint=f"refnet-agent logs {service} -n 100")


def last_lines(stack: Stack, instance: str, *, since: datetime | None = None) -> tuple[str, ...]:
    """Return the instance's last lines of output, none from before `since`."""
    lines = stack.engine.logs(instance, lines=_LOG_LINES, since=since, follow=False)
    return tuple(line.text for line in lines)


def describe_exit(seen: ObservedInstance) -> str:
    """Return how the process last ended, in words, or nothing."""
    ended = seen.last_exit
    if ended is None:
        return ""
    if ended.out_of_memory:
        return "was killed for exceeding its memory limit"
    if ended.signal is not None:
        return f"was ended by signal {ended.signal}"
    return f"ended with exit code {ended.code}" if ended.code is not None else "ended, nobody saw how"


def _run_check(stack: Stack, service: DesiredService, check: Check, number: int) -> ProbeResult:
    return probe(check, probe_target(stack, service, check, number=number))


def probe_target(stack: Stack, service: DesiredService, check: Check, *, number: int) -> ProbeTarget:
    """Return where and as whom a check of one instance runs; a script gets the service's environment and secrets."""
    values = stack.variables(service, number=number)
    port = values.get(f"PORT_{check.port}" if check.port else "PORT")
    if not check.command:
        return ProbeTarget(host=HOST, port=int(port) if port else None)
    code = stack.code_version(service)
    variables = environment(service.service, stack.around, values, code)
    for name in service.service.env.secret:
        variables[name] = stack.around.secrets[name].reveal()
    words = substitute_all(check.command, values, where=f"services.{service.name}.checks")
    return ProbeTarget(
        host=HOST,
        port=int(port) if port else None,
        command=(resolve_command(stack, service, words[0]), *words[1:]),
        environment=variables,
        user=find_user(service.service.user),
    )
