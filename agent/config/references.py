"""What one key says about another: names, cycles, ports."""

from __future__ import annotations

import difflib
import importlib.util
import re
import signal
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from agent.config.channels import channel_problems
from agent.config.document import KeyPath
from agent.config.periodic import periodic_problems
from agent.model.check import CheckType
from agent.model.service import Condition, Service, UpdateOrder
from agent.model.settings import Settings

Problem = tuple[KeyPath, str]
_NEED_COMMAND = frozenset({CheckType.SCRIPT, CheckType.DOCKER})
_NEED_HTTP2 = frozenset({CheckType.GRPC, CheckType.H2PING})
_NEED_PORT = frozenset({CheckType.HTTP, CheckType.TCP, CheckType.UDP}) | _NEED_HTTP2
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")


def find_problems(settings: Settings) -> tuple[Problem, ...]:
    """Return every contradiction between keys, each with the key path it stands at."""
    return (
        *_names(settings),
        *_cycles(settings),
        *_ports(settings),
        *_routes(settings),
        *periodic_problems(settings),
        *channel_problems(settings),
        *(problem for service in settings.services.values() for problem in _service(service, settings)),
    )


def _names(settings: Settings) -> Iterator[Problem]:
    for name, service in settings.services.items():
        if not _NAME.fullmatch(name):
            yield ("services", name), "expected a name of lower case letters, digits and dashes"
        for needed in service.depends_on:
            if needed not in settings.services:
                yield ("services", name, "depends_on", needed), _unknown(needed, settings)
        if service.migrates and service.migrates not in settings.services:
            yield ("services", name, "migrates"), _unknown(service.migrates, settings)
    for name, external in settings.externals.items():
        if not re.match(r"(https?|tcp)://[^/:]+", external.url):
            yield ("externals", name, "url"), f"expected http://…, https://… or tcp://host:port, found {external.url!r}"
        for user in external.used_by:
            if user not in settings.services:
                yield ("externals", name, "used_by"), _unknown(user, settings)
    for index, test in enumerate(settings.verify):
        if test.service not in settings.services:
            yield ("verify", index, "service"), _unknown(test.service, settings)


def _unknown(name: str, settings: Settings) -> str:
    near = difflib.get_close_matches(name, settings.services, n=1)
    return f"there is no service {name!r}" + (f", did you mean {near[0]}?" if near else "")


def _cycles(settings: Settings) -> Iterator[Problem]:
    try:
        TopologicalSorter({name: tuple(each.depends_on) for name, each in settings.services.items()}).prepare()
    except CycleError as error:
        loop = [str(name) for name in reversed(error.args[1])]
        yield ("services", loop[0], "depends_on"), f"these wait for each other: {' → '.join(loop)}"


def _ports(settings: Settings) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for name, service in settings.services.items():
        if service.external or (service.image and not service.command):
            continue
        for port_name, base in service.ports.items():
            for number in range(max(service.slots, 1)):
                port, owner = base + number, f"{name}.{port_name}"
                if port in taken and taken[port] != owner:
                    yield ("services", name, "ports", port_name), f"port {port} is also used by {taken[port]}"
                taken.setdefault(port, owner)


def _routes(settings: Settings) -> Iterator[Problem]:
    shared = {v for each in settings.services.values() for v, declared in each.volumes.items() if declared.shared}
    for index, route in enumerate(settings.gateway.routes if settings.gateway else ()):
        place: KeyPath = ("gateway", "routes", index)
        if (route.to is None) == (route.files is None):
            yield place, "expected exactly one of `to` and `files`"
        if route.to is not None and route.to not in settings.services:
            yield (*place, "to"), _unknown(route.to, settings)
        if route.files is not None and route.files not in shared:
            known = ", ".join(sorted(shared)) or "none"
            yield (*place, "files"), f"no service shares a volume {route.files!r}; shared: {known}"
        if not route.path.startswith("/"):
            yield (*place, "path"), f"expected a path that starts with /, found {route.path!r}"


def _service(service: Service, settings: Settings) -> Iterator[Problem]:
    place: KeyPath = ("services", service.name)
    if not service.command and not service.image and not service.external:
        yield place, "has no command, image or external address, and is not in the catalogue"
    if service.singleton and service.replicas > 1:
        yield (*place, "replicas"), "a singleton has one instance"
    if service.protected and service.update.order is UpdateOrder.START_FIRST:
        yield (*place, "update", "order"), "a protected service owns its data: two may not run at once"
    if service.replicas < 0:
        yield (*place, "replicas"), f"expected 0 or more, found {service.replicas}"
    if service.restart.attempts < 1:
        yield (*place, "restart", "attempts"), f"expected 1 or more, found {service.restart.attempts}"
    if service.source and (service.source.path is None) == (service.source.git is None):
        yield (*place, "source"), "expected exactly one of `path` and `git`"
    for key in ("kill_signal", "reload_signal"):
        value = getattr(service, key)
        if value is not None and value not in signal.Signals.__members__:
            yield (*place, key), f"there is no signal {value!r}"
    for needed, edge in service.depends_on.items():
        target = settings.services.get(needed)
        if target and edge.condition is Condition.COMPLETED and not target.is_oneshot:
            yield (*place, "depends_on", needed, "condition"), f"{needed} never completes: it is not a oneshot"
    yield from _checks(service, place)


def _checks(service: Service, place: KeyPath) -> Iterator[Problem]:
    named = [((*place, "checks", index), check) for index, check in enumerate(service.checks)]
    if service.startup_check is not None:
        named.append(((*place, "startup_check"), service.startup_check))
    titles = [check.title for check in service.checks]
    for here, check in named:
        if titles.count(check.title) > 1:
            yield here, f"another check is called {check.title!r} too; give it a `name`"
        if check.type in _NEED_COMMAND and not check.command:
            yield here, f"a {check.type} check needs a command"
        if check.type in _NEED_PORT and not service.ports:
            yield here, f"a {check.type} check needs a port, and the service has none"
        for key, kind in (("target", CheckType.ALIAS), ("target", CheckType.DOCKER), ("unit", CheckType.OS_SERVICE)):
            if check.type is kind and not getattr(check, key):
                yield here, f"{'an' if kind is not CheckType.DOCKER else 'a'} {kind} check needs a `{key}`"
        if check.type in _NEED_HTTP2 and importlib.util.find_spec("h2") is None:
            yield (*here, "type"), f"a {check.type} check needs: pip install 'refnet-agent[http2]'"
        if check.type is CheckType.TTL and check.ttl is None:
            yield here, "a ttl check needs a `ttl`, such as 30s"
        if check.interval.total_seconds() < 1:
            yield (*here, "interval"), "expected 1s or more"
        if check.port and check.port not in service.ports:
            yield (*here, "port"), f"the service has no port {check.port!r}; ports: {', '.join(service.ports)}"
