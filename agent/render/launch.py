"""Turn a decoded service into its launches: names, ports, environment and fingerprint."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.model.desired import DesiredService, RenderedFile
from agent.model.home import Home
from agent.model.instance import Launch, LaunchLimits, LaunchRestart, User
from agent.model.service import Service
from agent.model.settings import Settings
from agent.model.units import format_duration
from agent.render.substitute import substitute, substitute_all
from agent.security.secret import Secret, placeholders

HOST = "127.0.0.1"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeVersion:
    """One version of a service's code: digests of the tree and of its Python environment."""

    digest: str
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a service's launches are built from besides its own definition."""

    settings: Settings
    home: Home
    users: Mapping[str, User | None] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    key: bytes = b""


def volume_owner(settings: Settings, service: Service, volume: str) -> str:
    """Return the service whose volume it is: the service itself, or the one that shares it."""
    if volume in service.volumes:
        return service.name
    return next((each.name for each in settings.services.values() if volume in each.volumes), service.name)


def variables(service: Service, around: Surroundings, *, number: int, code: CodeVersion | None) -> dict[str, str]:
    """Return every `${NAME}` a definition may use, for one instance."""
    home, offset = around.home, around.settings.port_offset
    values = {
        "HOST": HOST,
        "INSTANCE": f"{service.name}-{number}",
        "NUMBER": str(number),
        "SERVICE": service.name,
        "CONFIG": str(home.config(service.name)),
        "DYNAMIC": str(home.dynamic(service.name)),
        "SECRETS": str(home.secret_files(service.name)),
        "RUN": str(home.run(service.name)),
        "CHECK_FILES": str(home.check_files(service.name)),
        "GATEWAY_CA": str(home.certificates / "ca.pem"),
    }
    if gateway := around.settings.gateway:
        values["GATEWAY_URL"] = f"https://{gateway.host}:{gateway.https + offset}"
        values["GATEWAY_ADDRESS"] = f"{gateway.listen}:{gateway.https + offset}"
    if code is not None:
        values["CODE"] = str(home.code(code.digest))
    for position, (name, port) in enumerate(service.ports.items()):
        value = str(port + offset + number - 1)
        values[f"PORT_{name}"] = value
        if position == 0:
            values["PORT"] = value
    for volume in (*service.volumes, *service.mounts):
        owner = volume_owner(around.settings, service, volume)
        values[f"VOLUME_{volume}"] = str(home.volume(owner, volume))
    for other in around.settings.services.values():
        if other.ports:
            values[f"SERVICE_PORT:{other.name}"] = str(next(iter(other.ports.values())) + offset)
    return values


def environment(
    service: Service, around: Surroundings, values: Mapping[str, str], code: CodeVersion | None
) -> dict[str, str]:
    """Return the variables in clear that an instance, or a command run beside it, gets."""
    path = SYSTEM_PATH
    result = {"LANG": "C.UTF-8", "HOME": values["RUN"], "INSTANCE": values["INSTANCE"]}
    if around.settings.timezone:
        result["TZ"] = around.settings.timezone
    if code is not None:
        result["PYTHONPATH"] = values["CODE"]
        result["PYTHONDONTWRITEBYTECODE"] = "1"
        if code.environment:
            virtual = around.home.environment(code.environment)
            path = f"{virtual}/bin:{path}"
            result["VIRTUAL_ENV"] = str(virtual)
    result["PATH"] = path
    if service.takes_pushes:
        result["CHECK_FILES"] = values["CHECK_FILES"]
    for name in service.secret_files:
        result[f"{name}_FILE"] = f"{values['SECRETS']}/{name}"
    where = f"services.{service.name}.env"
    result |= {name: substitute(text, values, where=where) for name, text in service.env.clear.items()}
    return result


def build_launch(
    service: Service,
    around: Surroundings,
    *,
    number: int,
    code: CodeVersion | None,
    files: tuple[RenderedFile, ...],
    image: str = "",
) -> Launch:
    """Return one instance's launch; `command[0]` stays a bare name until it is started. `image` is an id."""
    values = variables(service, around, number=number, code=code)
    fields = fingerprint(service, around, code, image=image)
    file_digests = {file.path: _file_digest(file, around) for file in files}
    restart, limits = service.restart, service.resources
    directory = service.directory or (values["CODE"] if code else values["RUN"])
    return Launch(
        instance=values["INSTANCE"],
        image=image,
        service=service.name,
        command=substitute_all(service.command, values, where=f"services.{service.name}.command"),
        directory=substitute(directory, values, where=f"services.{service.name}.directory"),
        environment=environment(service, around, values, code),
        secret_environment={name: f"{values['SECRETS']}/{name}" for name in service.env.secret},
        user=around.users.get(service.user or ""),
        oneshot=service.is_oneshot,
        writable=_writable(service, values),
        reopens_output=_reopens_output(service, files),
        success_exit_codes=service.success_exit_codes,
        stop_signal=service.kill_signal,
        stop_timeout=service.kill_timeout.total_seconds(),
        reload_signal=service.reload_signal,
        restart=LaunchRestart(
            attempts=restart.attempts,
            interval=restart.interval.total_seconds(),
            delay=None if restart.delay is None else restart.delay.total_seconds(),
            mode=restart.mode.value,
        ),
        limits=LaunchLimits(
            memory_bytes=limits.memory,
            cpu_shares=limits.cpu,
            processes=limits.processes,
            open_files=limits.open_files,
        ),
        log_path=str(around.home.logs / f"{values['INSTANCE']}.log"),
        ready_line=service.ready_line,
        address=f"{HOST}:{values['PORT']}" if "PORT" in values else None,
        digest=_digest({**fields, **{f"file:{path}": value for path, value in file_digests.items()}}),
        fields=fields,
        files=file_digests,
    )


def build_service(
    service: Service,
    around: Surroundings,
    *,
    code: CodeVersion | None,
    files: tuple[RenderedFile, ...],
    image: str = "",
) -> DesiredService:
    """Return the service with one launch a replica, and the spare one used while it is replaced."""
    launches = tuple(
        build_launch(service, around, number=number, code=code, files=files, image=image)
        for number in range(1, service.slots + 1)
    )
    return DesiredService(
        service=service,
        launches=launches[: service.replicas],
        surge=launches[service.replicas] if service.slots > service.replicas > 0 else None,
        files=files,
        code=code.digest if code else None,
    )


def fingerprint(service: Service, around: Surroundings, code: CodeVersion | None, *, image: str = "") -> dict[str, str]:
    """Return the fields whose change replaces an instance, and, under `policy.`, those taken over in place.

    Dependencies, replicas, checks and schedules are left out: they change without touching an instance.
    """
    fields = {"command": shlex.join(service.command)}
    fields |= {f"env.{name}": text for name, text in service.env.clear.items()}
    for name in dict.fromkeys((*service.env.secret, *service.secret_files)):
        fields[f"secret.{name}"] = _secret_digest(name, around)
    for name, port in service.ports.items():
        fields[f"port.{name}"] = str(port + around.settings.port_offset)
    optional = {
        "code": code.digest if code else None,
        "environment": code.environment if code else None,
        "image": f"{service.image} {image.removeprefix('sha256:')[:12]}".strip() if service.image else None,
        "user": service.user,
        "directory": service.directory,
        "timezone": around.settings.timezone,
        "resources.cpu": service.resources.cpu,
        "resources.memory": service.resources.memory,
        "resources.processes": service.resources.processes,
        "resources.open_files": service.resources.open_files,
        "env.CHECK_FILES": "checks" if service.takes_pushes else None,
        "mounts": " ".join(service.mounts) or None,
        "policy.restart": _restart_text(service),
        "policy.kill": f"{service.kill_signal} {format_duration(service.kill_timeout)}",
        "policy.reload": service.reload_signal,
    }
    return fields | {name: str(value) for name, value in optional.items() if value is not None}


def restamp(desired: DesiredService, around: Surroundings) -> DesiredService:
    """Return a stored service with the digests its secrets have today: a release holds no secret to go back to."""
    names = {*desired.service.env.secret, *desired.service.secret_files}
    digests = {f"secret.{name}": _secret_digest(name, around) for name in names}
    files = {file.path: _file_digest(file, around) for file in desired.files}

    def stamped(launch: Launch) -> Launch:
        fields = launch.fields | digests
        digest = _digest({**fields, **{f"file:{path}": value for path, value in files.items()}})
        return replace(launch, fields=fields, files=files, digest=digest)

    surge = stamped(desired.surge) if desired.surge else None
    return replace(desired, launches=tuple(map(stamped, desired.launches)), surge=surge)


def files_digest(files: tuple[RenderedFile, ...], digests: Mapping[str, str]) -> str:
    """Return the name of the folder that holds this version of the files."""
    return _digest({file.path: f"{digests[file.path]} {file.mode:o}" for file in files})[:16]


def _writable(service: Service, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders the service may write to; one without a user of its own is not held to them."""
    if service.user is None:
        return ()
    volumes = (values[f"VOLUME_{volume}"] for volume in (*service.volumes, *service.mounts))
    pushes = (values["CHECK_FILES"],) if service.takes_pushes else ()
    return (values["RUN"], *pushes, *volumes)


def _reopens_output(service: Service, files: tuple[RenderedFile, ...]) -> bool:
    texts = (*service.command, *service.env.clear.values(), *(file.text for file in files))
    return any(name in text for text in texts for name in ("/dev/stdout", "/dev/stderr"))


def _restart_text(service: Service) -> str:
    policy = service.restart
    delay = "automatic" if policy.delay is None else format_duration(policy.delay)
    return f"{policy.attempts} in {format_duration(policy.interval)}, delay {delay}, then {policy.mode}"


def _secret_digest(name: str, around: Surroundings) -> str:
    secret = around.secrets.get(name)
    return secret.digest(around.key) if secret else "not set"


def _file_digest(file: RenderedFile, around: Surroundings) -> str:
    stamp = "".join(_secret_digest(name, around) for name in placeholders(file.text))
    return hashlib.sha256(f"{file.text}\0{stamp}".encode()).hexdigest()[:16]


def _digest(fields: Mapping[str, str]) -> str:
    text = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()))
    return hashlib.sha256(text.encode()).hexdigest()
