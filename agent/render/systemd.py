"""A launch as a systemd unit, for the version found on the host; plain text, no secret in it.

Restart and stop follow research of Nomad's policies: attempts become the start limit, the delay RestartSec; what
systemd cannot say (`mode: delay`) is left to the daemon. Options that came after version 248 are asked for by version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.model.home import Home
from agent.model.instance import Launch, LaunchLimits

SLICE = "refnet.slice"
FIRST_VERSION = 248
_RESTART_STEPS_SINCE = 254
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@+")
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
_CPU_SHARES_OF_ONE = 1024

# What no service we know needs, and every version read here can forbid without a mount of its own.
_ALWAYS = ("NoNewPrivileges=yes", "RestrictSUIDSGID=yes", "RestrictRealtime=yes", "LockPersonality=yes")
_SYSTEM = (
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallArchitectures=native",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitHost:
    """Where units are for: the home, the version of systemd, and whether it is a user's own manager."""

    home: Home
    version: int = 252
    user_manager: bool = False


def unit_name(home: Home, instance: str) -> str:
    """Return the unit's name: unique on the host, the same in every start."""
    return f"refnet-{home.identity}-{instance}.service"


def render_unit(launch: Launch, host: UnitHost) -> str:
    """Return the whole unit of one instance, ending with a newline."""
    lines = [
        "[Unit]",
        f"Description=refnet {launch.instance}",
        "After=network.target",
        *_start_limit(launch),
        "",
        "[Service]",
        *_process(launch, host),
        *_environment(launch, host),
        *_life(launch, host),
        *_limits(launch),
        *_output(launch, host),
        *_confinement(launch, host),
        "",
        "[Install]",
        f"WantedBy={'default' if host.user_manager else 'multi-user'}.target",
    ]
    return "\n".join(lines) + "\n"


def _start_limit(launch: Launch) -> Iterator[str]:
    if not launch.oneshot:
        yield f"StartLimitIntervalSec={_seconds(launch.restart.interval)}"
        yield f"StartLimitBurst={launch.restart.attempts + 1}"


def _process(launch: Launch, host: UnitHost) -> Iterator[str]:
    if launch.watchdog is not None:
        yield "Type=notify"
        yield f"WatchdogSec={_seconds(launch.watchdog)}"
    else:
        yield "Type=exec"
    if launch.oneshot:
        # Else systemd forgets at once how it ended.
        yield "RemainAfterExit=yes"
    yield f"Slice={SLICE}"
    # The colon keeps systemd from replacing $WORDS in it.
    yield f"ExecStart=:{' '.join(map(_word, _command(launch, host)))}"
    instances = host.home.instances
    note = (str(instances / "note-exit"), str(instances / launch.instance), launch.instance, launch.service)
    yield f"ExecStopPost=-+/bin/sh {' '.join(map(_word, note))}"
    yield f"WorkingDirectory={_escape(launch.directory)}"
    if launch.user is not None and not host.user_manager:
        yield f"User={launch.user.uid}"
        yield f"Group={launch.user.gid}"
        if launch.user.groups:
            yield f"SupplementaryGroups={' '.join(map(str, launch.user.groups))}"
    yield f"UMask={launch.umask:04o}"


def _command(launch: Launch, host: UnitHost) -> tuple[str, ...]:
    """Return the command; one that opens /dev/stdout gets a pipe, because the journal's socket cannot be opened."""
    if not launch.reopens_output:
        return launch.command
    program = 'name=$1; shift; exec "$@" > >(exec systemd-cat --identifier="$name") 2>&1'
    name = unit_name(host.home, launch.instance).removesuffix(".service")
    return ("/bin/bash", "-c", program, "bash", name, *launch.command)


def _environment(launch: Launch, host: UnitHost) -> Iterator[str]:
    for name, value in launch.environment.items():
        yield f"Environment={_word(f'{name}={value}')}"
    if launch.secret_environment:
        yield f"EnvironmentFile={_escape(str(host.home.instances / launch.instance / 'environment'))}"


def _life(launch: Launch, host: UnitHost) -> Iterator[str]:
    if launch.oneshot:
        yield "Restart=no"
    else:
        yield "Restart=always"
        yield from _delay(launch, host)
    codes = [str(code) for code in launch.success_exit_codes if code]
    if launch.oneshot and codes:
        yield f"SuccessExitStatus={' '.join(codes)}"
    # The whole tree ends with the main process in any case: mixed lets that one say good-bye first.
    yield "KillMode=mixed"
    yield f"KillSignal={launch.stop_signal}"
    yield f"TimeoutStopSec={_seconds(launch.stop_timeout)}"
    yield "OOMPolicy=kill"


def _delay(launch: Launch, host: UnitHost) -> Iterator[str]:
    if launch.restart.delay is not None:
        yield f"RestartSec={_seconds(launch.restart.delay)}"
    elif host.version >= _RESTART_STEPS_SINCE:
        yield "RestartSec=100ms"
        yield "RestartSteps=9"
        yield "RestartMaxDelaySec=30s"
    else:
        # It cannot grow here: long enough that ten attempts outlast a short failure of what the service rests on.
        yield "RestartSec=500ms"


def _limits(launch: Launch) -> Iterator[str]:
    if launch.container is not None:
        return  # docker itself sets them on the container; this unit is only its client
    limits: LaunchLimits = launch.limits
    if limits.memory_bytes is not None:
        yield f"MemoryMax={limits.memory_bytes}"
    if limits.cpu_shares is not None:
        # Shares count only when processors are short, as on the other engines; a quota would waste idle ones.
        yield f"CPUWeight={min(max(limits.cpu_shares * 100 // _CPU_SHARES_OF_ONE, 1), 10000)}"
    if limits.processes is not None:
        yield f"TasksMax={limits.processes}"
    if limits.open_files is not None:
        yield f"LimitNOFILE={limits.open_files}"


def _output(launch: Launch, host: UnitHost) -> Iterator[str]:
    yield "StandardInput=null"
    yield "StandardOutput=journal"
    yield "StandardError=inherit"
    yield f"SyslogIdentifier={unit_name(host.home, launch.instance).removesuffix('.service')}"
    # A line too many is the journal's business (SystemMaxUse=); none may be lost.
    yield "LogRateLimitIntervalSec=0"


def _confinement(launch: Launch, host: UnitHost) -> Iterator[str]:
    if launch.watchdog is not None or launch.container is not None:
        yield "NoNewPrivileges=yes"
        return
    yield from _ALWAYS
    if host.user_manager:
        return  # the rest needs mounts, which a user's manager cannot make everywhere
    yield from _SYSTEM
    if not any(Path(place).is_relative_to(each) for place in (host.home.root, launch.directory) for each in _TEMPORARY):
        yield "PrivateTmp=yes"
    if launch.writable:
        yield "ProtectSystem=strict"
        yield f"ReadWritePaths={' '.join(_word(f'-{path}') for path in launch.writable)}"
    else:
        yield "ProtectSystem=full"


def _seconds(value: float) -> str:
    milliseconds = round(value * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Return the text as one word of a unit: quoted only where it needs to be, one line always."""
    if text and not set(text) - _SAFE:
        return text
    escaped = _escape(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
