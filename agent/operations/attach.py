"""Run a command for a person: with a service's identity, and our own terminal, pipes and signals."""

from __future__ import annotations

from agent.model.desired import DesiredService
from agent.operations.prepare import resolve_command
from agent.operations.stack import Stack
from agent.render.launch import environment
from agent.system.accounts import ensure_user
from agent.system.foreground import run_in_foreground

_PASSED_ON = ("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES")


def run_attached(
    stack: Stack, service: DesiredService, command: tuple[str, ...], *, number: int, timeout: float | None
) -> int:
    """Run the command and return its exit code, 128 + N when signal N ended it; timeout in seconds, None for none."""
    values = stack.variables(service, number=number)
    variables = environment(service.service, stack.around, values, stack.code_version(service))
    for name in service.service.env.secret:
        variables[name] = (stack.home.secret_files(service.name) / name).read_text()
    return run_in_foreground(
        (resolve_command(stack, service, command[0]), *command[1:]),
        environment=variables,
        passed_on=_PASSED_ON,
        directory=values.get("CODE", values["RUN"]),
        user=ensure_user(service.service.user),
        timeout=timeout,
    )
