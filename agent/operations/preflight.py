"""What would make an apply fail, found before anything is changed."""

from __future__ import annotations

import errno
import shutil
import socket

import psutil

from agent.errors import AgentError
from agent.model.plan import Consequence, Plan
from agent.operations.desire import missing_binaries
from agent.operations.stack import Stack

_LEAST_FREE_BYTES = 200 * 1024 * 1024


def check_host(stack: Stack, plan: Plan) -> None:
    """Raise AgentError naming missing packages, taken ports with their owners, or a full disk."""
    if missing := missing_binaries(stack.desired):
        packages = " ".join(sorted(set(missing.values())))
        raise AgentError(f"not installed: {', '.join(sorted(missing))}", hint=f"apt-get install {packages}")
    stack.home.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(stack.home.root).free
    if free < _LEAST_FREE_BYTES:
        raise AgentError(
            f"the disk of {stack.home.root} has {free // 1024**2} MiB free, {_LEAST_FREE_BYTES // 1024**2} are needed",
            hint="free some space, then apply again: nothing was changed",
        )
    if taken := taken_ports(stack, plan):
        raise AgentError("\n".join(taken), hint="stop its owner, or move ours with: --set port_offset=1000")


def taken_ports(stack: Stack, plan: Plan) -> tuple[str, ...]:
    """Return a sentence for each port that a service to be created needs and a stranger holds."""
    problems = []
    running = {each.instance for each in stack.engine.observe() if each.pid is not None}
    fresh = {change.service for change in plan.changes if change.consequence in {Consequence.CREATE, Consequence.START}}
    for service in stack.desired.services:
        if service.name not in fresh:
            continue
        for launch in service.launches:
            if launch.instance in running:
                continue
            number = int(launch.instance.rpartition("-")[2])
            for port in service.service.ports.values():
                actual = port + stack.desired.settings.port_offset + number - 1
                if is_taken(actual):
                    problems.append(f"{launch.instance}: port {actual} is taken{port_owner(actual)}")
    return tuple(problems)


def is_taken(port: int) -> bool:
    """Return whether something listens on the loopback port."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def port_owner(port: int) -> str:
    """Return who listens there, in words, or nothing when we may not see it."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if local and local.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""
