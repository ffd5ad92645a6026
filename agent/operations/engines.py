"""Which engine runs a home, and why: what runs there already decides, then the file, then what this machine is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from agent.engine.base import Engine
from agent.engine.process import ProcessEngine
from agent.engine.systemctl import Systemctl, find_systemctl
from agent.engine.systemd import SystemdEngine
from agent.engine.unit_files import UnitFiles
from agent.errors import ConfigurationError, EngineFailed
from agent.model.home import Home
from agent.model.settings import EngineName
from agent.render.systemd import UnitHost, render_unit


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """An engine by name, the reason in half a sentence, and the service manager when it needs one."""

    name: EngineName
    why: str
    systemctl: Systemctl | None = None


def choose_engine(home: Home, wanted: EngineName) -> EngineChoice:
    """Return what runs this home; raise EngineFailed when systemd is asked for and cannot be used."""
    used = engine_in_use(home)
    asked = "the file says so"
    if used is EngineName.PROCESS or (used is None and wanted is EngineName.PROCESS):
        return EngineChoice(name=EngineName.PROCESS, why=asked if wanted is used else _WHY.get(used, asked))
    found = find_systemctl()
    if isinstance(found, Systemctl):
        if used is EngineName.SYSTEMD or wanted is EngineName.SYSTEMD:
            return EngineChoice(
                name=EngineName.SYSTEMD, why=asked if wanted is not EngineName.AUTO else _BOOTED, systemctl=found
            )
        if found.lingers:
            return EngineChoice(name=EngineName.SYSTEMD, why=_BOOTED, systemctl=found)
        found = "this user's services would end with the last login (loginctl enable-linger)"
    elif used is EngineName.SYSTEMD or wanted is EngineName.SYSTEMD:
        hint = "use engine: process, or auto" if used is None else "boot this machine with systemd"
        raise EngineFailed(f"engine systemd cannot be used here: {found}", hint=hint)
    return EngineChoice(name=EngineName.PROCESS, why=found)


def open_engine(home: Home, wanted: EngineName = EngineName.AUTO) -> Engine:
    """Return the engine of this home, ready to use."""
    return _engine_at(home, choose_engine(home, wanted))


def open_daemon_engine(home: Home) -> Engine:
    """Return the engine that runs the home's daemon: the one of its services, in a folder of its own."""
    place = Home(root=home.daemon)
    kind = engine_in_use(place) or engine_in_use(home) or EngineName.PROCESS
    return _engine_at(place, choose_engine(place, kind))


def refuse_switch(home: Home, wanted: EngineName) -> None:
    """Raise ConfigurationError when what runs is on another engine than the file asks for."""
    used = engine_in_use(home)
    if used is None or wanted in {EngineName.AUTO, used}:
        return
    problem = f"engine: {wanted}: the services of {home.root} run on {used}, and would run twice"
    raise ConfigurationError((problem,), hint="refnet-agent destroy -y (the data stays), then apply again")


def engine_in_use(home: Home) -> EngineName | None:
    """Return the engine that has instances of this home, None when nothing was started."""
    if next(home.instances.glob("*/launch.json"), None) is not None:
        return EngineName.PROCESS
    for user in (False, True):
        place = Systemctl(version=0, user=user)
        if UnitFiles(home=home, directory=place.directory, target=place.target).instances():
            return EngineName.SYSTEMD
    return None


_BOOTED = "this machine was booted with systemd"
_WHY: dict[EngineName | None, str] = {
    EngineName.PROCESS: "its services already run under keepers; to move them: destroy, then apply",
}


def _engine_at(home: Home, choice: EngineChoice) -> Engine:
    if choice.systemctl is None:
        return ProcessEngine(home.root)
    found = choice.systemctl
    host = UnitHost(home=home, version=found.version, user_manager=found.user)
    return SystemdEngine(home.root, systemctl=found, render=partial(render_unit, host=host))
