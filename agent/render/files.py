"""Render a service's files; secrets stay placeholders."""

from __future__ import annotations

from agent.model.desired import RenderedFile
from agent.model.home import Home
from agent.model.service import Service
from agent.model.settings import Settings
from agent.render.launch import Surroundings, variables, volume_owner
from agent.render.templates import Templates


def render_files(service: Service, settings: Settings, home: Home, templates: Templates) -> tuple[RenderedFile, ...]:
    """Return the service's files; templates see `service`, `settings`, `ports`, `directories`, `volumes`, `secret`."""
    volumes = {name: home.volume(each.name, name) for each in settings.services.values() for name in each.volumes}
    names = variables(service, Surroundings(settings=settings, home=home), number=1, code=None)
    context = {
        "service": service,
        "settings": settings,
        "gateway": settings.gateway,
        "ports": {name: port + settings.port_offset for name, port in service.ports.items()},
        "volumes": {name: str(path) for name, path in volumes.items()},
        "directories": {
            "dynamic": str(home.dynamic(service.name)),
            "run": str(home.run(service.name)),
            "certificates": str(home.certificates),
        },
        "variables": names,
        "secret": _placeholder,
        "owner_of": lambda volume: volume_owner(settings, service, volume),
    }
    return tuple(
        RenderedFile(
            path=file.path,
            text=templates.render(f"templates/{file.template}", context),
            mode=int(file.mode, 8),
            check=file.check,
        )
        for file in service.files
    )


def _placeholder(name: str, encoding: str = "") -> str:
    return f"@{{secret:{name}:{encoding}}}" if encoding else f"@{{secret:{name}}}"
