"""Lay out what a service needs on disk; nothing that runs is touched before every file has passed its check."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from agent.errors import CommandFailed, ConfigurationError
from agent.model.desired import DesiredService
from agent.model.instance import Launch, User
from agent.operations.code import materialise
from agent.operations.stack import Stack
from agent.render.container import in_container
from agent.render.launch import environment, files_digest
from agent.render.substitute import substitute, substitute_all
from agent.security.secret import fill
from agent.system.accounts import ensure_user
from agent.system.command import Completed, find_binary, run
from agent.system.files import ensure_directory, point_link, sync_directory, write_atomic

_CHECK_SECONDS = 30.0


def owner_of(user: User | None) -> tuple[int, int]:
    """Return uid and gid of the service's user, ours when we are not root."""
    return (user.uid, user.gid) if user else (os.geteuid(), os.getegid())


def stage(stack: Stack, service: DesiredService) -> None:
    """Make folders, secrets, code and the new version of the files, and check them; the running one is untouched."""
    user = ensure_user(service.service.user)
    _make_folders(stack, service, owner_of(user))
    _write_secrets(stack, service, owner_of(user))
    if service.service.source is not None and (version := stack.code_version(service)) is not None:
        materialise(service.service.source, version, base=stack.base, home=stack.home)
    if service.files:
        _stage_files(stack, service, user)


def activate(stack: Stack, service: DesiredService) -> None:
    """Put the staged files in force."""
    if service.files:
        target = stack.home.rendered(service.name, _version(service))
        link = stack.home.config(service.name)
        if not link.is_symlink() or link.resolve() != target.resolve():
            point_link(link, target)


def run_preparations(stack: Stack, service: DesiredService) -> None:
    """Run what must exist before the first start; a command killed half-way leaves nothing that looks finished."""
    values = stack.variables(service)
    user = ensure_user(service.service.user)
    for step in service.service.prepare:
        where = f"services.{service.name}.prepare"
        creates = Path(substitute(step.creates, values, where=where))
        if creates.exists():
            continue
        part = creates.with_name(f"{creates.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        named = {**values, "TARGET": str(part)}
        command = substitute_all(step.command, named, where=where)
        run_beside(stack, service, command, timeout=step.timeout.total_seconds(), user=user)
        part.rename(creates)
        sync_directory(creates.parent)


def run_provisions(stack: Stack, service: DesiredService) -> None:
    """Run the idempotent commands a healthy service needs, such as making roles and databases."""
    values = stack.variables(service)
    for step in service.service.provision:
        command = substitute_all(step.command, values, where=f"services.{service.name}.provision")
        run_beside(stack, service, command, timeout=step.timeout.total_seconds())


def run_beside(
    stack: Stack,
    service: DesiredService,
    command: tuple[str, ...],
    *,
    timeout: float,
    user: User | None = None,
    check: bool = True,
) -> Completed:
    """Run a command with the service's user, folder, environment and secrets; timeout in seconds."""
    found = command_beside(stack, service, command, user=user)
    return run(
        found.command,
        timeout=timeout,
        environment=found.environment,
        directory=found.directory,
        user=found.user,
        check=check,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandBeside:
    """A command as it is run beside a service; the environment holds secrets."""

    command: tuple[str, ...]
    environment: dict[str, str]
    directory: str
    user: User | None


def command_beside(
    stack: Stack, service: DesiredService, command: tuple[str, ...], *, user: User | None = None
) -> CommandBeside:
    """Return what it takes to run a command with the service's user, folder, environment and secrets."""
    values = stack.variables(service)
    variables = environment(service.service, stack.around, values, stack.code_version(service))
    for name in service.service.env.secret:
        variables[name] = (stack.home.secret_files(service.name) / name).read_text()
    return CommandBeside(
        command=(resolve_command(stack, service, command[0]), *command[1:]),
        environment=variables,
        directory=values.get("CODE", values["RUN"]),
        user=user or ensure_user(service.service.user),
    )


def resolve_command(stack: Stack, service: DesiredService, name: str) -> str:
    """Return the absolute path of a command: the source's environment first, then the system's folders."""
    version = stack.code_version(service)
    first = (str(stack.home.environment(version.environment) / "bin"),) if version and version.environment else ()
    found = find_binary(name, first=first)
    if found is None:
        package = service.service.packages.get(name)
        hint = f"apt-get install {package}" if package else "is it installed, or misspelt in `command`?"
        raise CommandFailed(f"{service.name}: the command {name} is not on this machine", hint=hint)
    return found


def finished(stack: Stack, service: DesiredService, launch: Launch) -> Launch:
    """Return the launch as the engine needs it: absolute command, and the user as it exists now."""
    launch = containerised(stack, service, replace(launch, user=ensure_user(service.service.user)))
    return replace(launch, command=(resolve_command(stack, service, launch.command[0]), *launch.command[1:]))


def containerised(stack: Stack, service: DesiredService, launch: Launch) -> Launch:
    """Return the launch of an image as the `docker run` it is, any other as it came."""
    if launch.image:
        values = stack.variables(service)
        volumes = (values[f"VOLUME_{volume}"] for volume in (*service.service.volumes, *service.service.mounts))
        folders = (str(stack.home.service(service.name)), *volumes)
        return in_container(launch, service.service, stack.home, folders=folders)
    return launch


def with_absolute_command(stack: Stack, service: DesiredService, launch: Launch) -> Launch:
    """Return the launch with its command's path where the command is there; changes nothing on the host."""
    with contextlib.suppress(CommandFailed):
        return replace(launch, command=(resolve_command(stack, service, launch.command[0]), *launch.command[1:]))
    return launch


def _version(service: DesiredService) -> str:
    digests = service.launches[0].files if service.launches else {}
    return files_digest(service.files, digests)


def _make_folders(stack: Stack, service: DesiredService, owner: tuple[int, int]) -> None:
    home, name = stack.home, service.name
    own = (os.geteuid(), os.getegid())
    for folder in (home.root, home.root / "services", home.root / "data", home.root / "code"):
        ensure_directory(folder, mode=0o711)
    ensure_directory(home.root / "environments", mode=0o711)
    ensure_directory(home.logs, mode=0o700)
    ensure_directory(home.service(name), mode=0o711, owner=own)
    ensure_directory(home.service(name) / "files", mode=0o711, owner=own)
    ensure_directory(home.dynamic(name), mode=0o755, owner=own)
    ensure_directory(home.run(name), mode=0o700, owner=owner)
    if service.service.takes_pushes:
        ensure_directory(home.check_files(name), mode=0o700, owner=owner)
    ensure_directory(home.secret_files(name), mode=0o500 if os.geteuid() == 0 else 0o700, owner=owner)
    ensure_directory(home.root / "data" / name, mode=0o711, owner=own)
    for volume, declared in service.service.volumes.items():
        ensure_directory(home.volume(name, volume), mode=0o755 if declared.shared else 0o700, owner=owner)


def _write_secrets(stack: Stack, service: DesiredService, owner: tuple[int, int]) -> None:
    names = (*service.service.env.secret, *service.service.secret_files, *service.service.generated_secrets)
    missing = tuple(name for name in dict.fromkeys(names) if name not in stack.around.secrets)
    if missing:
        problems = tuple(f"services.{service.name}: secret {name} is not set" for name in missing)
        raise ConfigurationError(problems, hint=f"set it with: refnet-agent secret set {missing[0]}")
    for name in dict.fromkeys(names):
        path = stack.home.secret_files(service.name) / name
        value = stack.around.secrets[name].reveal()
        if not path.exists() or path.read_text() != value:
            write_atomic(path, value, mode=0o400, owner=owner)


def _stage_files(stack: Stack, service: DesiredService, user: User | None) -> None:
    folder = stack.home.rendered(service.name, _version(service))
    if folder.exists():
        return
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    ensure_directory(part, mode=0o755)
    for file in service.files:
        text = fill(file.text, stack.around.secrets).reveal()
        write_atomic(part / file.path, text, mode=file.mode, owner=owner_of(user))
    try:
        for file in service.files:
            if file.check:
                _check_file(stack, service, part, file.check, user)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.rename(folder)
    sync_directory(folder.parent)


def _check_file(stack: Stack, service: DesiredService, folder: Path, check: tuple[str, ...], user: User | None) -> None:
    values = stack.variables(service) | {"CONFIG": str(folder)}
    command = substitute_all(check, values, where=f"services.{service.name}.files.check")
    try:
        run_beside(stack, service, command, timeout=_CHECK_SECONDS, user=user)
    except CommandFailed as error:
        message = f"{service.name}: the rendered configuration is refused, nothing was changed\n{error.message}"
        raise CommandFailed(message, hint="see it with: refnet-agent render --format files") from error
