"""Wrap a launch so that the keeper runs it as a container: `docker run` in front, on the host's network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.model.home import Home
from agent.model.instance import Launch, User
from agent.model.service import Service

_OURS = frozenset({"PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"})
# A client that was killed leaves its container behind; it must be gone before the next one starts.
_PROGRAM = 'docker rm --force "$1" >/dev/null 2>&1; shift; exec docker "$@"'


def container_name(home: Home, instance: str) -> str:
    """Return the container's name: unique on the host, the same in every start."""
    return f"refnet-{home.identity}-{instance}"


def in_container(launch: Launch, service: Service, home: Home, *, folders: tuple[str, ...]) -> Launch:
    """Return the launch as a container of its image (an id, so that a moved tag changes nothing by itself).

    `folders` are mounted at their own paths. Secrets go through the client's environment, never its arguments.
    """
    name = container_name(home, launch.instance)
    words = ["run", "--rm", "--init", "--name", name, "--network", "host", "--pull", "never"]
    words += [f"--user={_user(launch.user)}"] if launch.user else []
    words += [f"--workdir={launch.directory}"] if service.directory else []
    words += [f"--env={key}={value}" for key, value in launch.environment.items() if key not in _OURS]
    words += [f"--env={key}" for key in launch.secret_environment]
    words += [f"--volume={folder}:{folder}" for folder in folders]
    words += _limits(launch)
    command = ("sh", "-c", _PROGRAM, "sh", name, *words, launch.image, *launch.command)
    return replace(launch, command=command, container=name, user=None, directory=str(Path("/")))


def _user(user: User) -> str:
    return f"{user.uid}:{user.gid}"


def _limits(launch: Launch) -> list[str]:
    limits = launch.limits
    words = []
    if limits.memory_bytes is not None:
        words.append(f"--memory={limits.memory_bytes}")
    if limits.processes is not None:
        words.append(f"--pids-limit={limits.processes}")
    if limits.open_files is not None:
        words.append(f"--ulimit=nofile={limits.open_files}:{limits.open_files}")
    return words
