"""From settings to Desired: resolve code, users and secrets, then render."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.core.graph import dependency_order
from agent.model.desired import Desired, DesiredService
from agent.model.home import Home
from agent.model.service import Service
from agent.model.settings import Settings
from agent.operations.code import resolve_code
from agent.operations.images import Image, resolve_image
from agent.operations.stack import secret_values
from agent.render.files import render_files
from agent.render.launch import CodeVersion, Surroundings, build_service, restamp
from agent.render.nomad import render_job_spec
from agent.render.templates import Templates
from agent.system.accounts import find_user
from agent.system.assets import asset_directory
from agent.system.command import find_binary
from agent.system.secret_store import SecretStore


def surroundings(settings: Settings, home: Home, store: SecretStore) -> Surroundings:
    """Return what every launch is built from: users by name, secrets with exports, the digest key."""
    names = {service.user for service in settings.services.values() if service.user}
    return Surroundings(
        settings=settings,
        home=home,
        users={name: find_user(name) for name in names},
        secrets=secret_values(settings, home, store),
        key=store.key,
    )


def desire(settings: Settings, around: Surroundings, *, base: Path) -> Desired:
    """Return the whole system rendered, in dependency order; nothing is written but a git source's mirror."""
    templates = Templates({"templates": asset_directory("templates"), "jobs": asset_directory("jobs")})
    versions: dict[str, CodeVersion] = {}
    order = dependency_order({name: service.depends_on for name, service in settings.services.items()})
    services = []
    for name in order:
        service = settings.services[name]
        code = _code(service, versions, base=base, home=around.home)
        services.append(_desire_service(service, around, templates, code))
    specs = {
        name: render_job_spec(settings.services[name], settings, templates)
        for name in order
        if not settings.services[name].external
    }
    return Desired(settings=settings, services=tuple(services), job_specs=specs)


def redesire(stored: Desired, around: Surroundings) -> Desired:
    """Return a stored release's system with today's secrets."""
    services = tuple(restamp(service, around) for service in stored.services)
    return Desired(settings=stored.settings, services=services, job_specs=stored.job_specs)


def _desire_service(
    service: Service, around: Surroundings, templates: Templates, code: CodeVersion | None
) -> DesiredService:
    if service.external:
        return DesiredService(service=service)
    image = resolve_image(service.image) if service.image else Image()
    if image.reason:
        return DesiredService(service=service, unavailable=image.reason)
    files = render_files(service, around.settings, around.home, templates)
    return build_service(service, around, code=code, files=files, image=image.id)


def _code(service: Service, known: dict[str, CodeVersion], *, base: Path, home: Home) -> CodeVersion | None:
    if service.source is None:
        return None
    key = repr(service.source)
    if key not in known:
        known[key] = resolve_code(service.source, base=base, home=home)
    return known[key]


def missing_binaries(desired: Desired) -> Mapping[str, str]:
    """Return the commands that are not installed, each with the Debian package that brings it."""
    missing = {}
    for each in desired.services:
        for binary, package in each.service.packages.items():
            if each.launches and find_binary(binary) is None:
                missing[binary] = package
    return missing
