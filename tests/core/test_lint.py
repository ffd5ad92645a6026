"""What cannot work as written is said in the plan, and what can is not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.config.read import read_settings
from agent.core.lint import lint
from agent.model.check import Check, CheckRestart, CheckType, Flapping
from agent.model.service import Resources, RestartPolicy, Service, UpdatePolicy
from agent.model.settings import EngineName, Settings
from agent.system.assets import catalogue
from tests.e2e.conftest import ROOT

SECOND = timedelta(seconds=1)
HTTP = Check(type=CheckType.HTTP)


def said(engine: EngineName = EngineName.PROCESS, **keys: object) -> str:
    """Return what is said of one service."""
    service = Service(name="api", command=("x",), **keys)  # type: ignore[arg-type]
    return "\n".join(lint(Settings(name="t", engine=engine, services={"api": service})))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"restart": RestartPolicy(attempts=10, delay=30 * SECOND, interval=60 * SECOND)}, "never gives up"),
        ({"resources": Resources(memory=100, memory_restart=100)}, "the kernel kills it"),
        ({"update": UpdatePolicy(min_healthy_time=60 * SECOND)}, "no deploy can succeed"),
        ({"checks": (HTTP, HTTP)}, "two are called 'http /'"),
        ({"checks": (Check(type=CheckType.TCP, flapping=Flapping(bad=11)),)}, "can never be bad"),
        ({"checks": (Check(type=CheckType.TCP, failures_before_warning=3),)}, "never a warning"),
        ({"checks": (Check(type=CheckType.TCP, check_restart=CheckRestart(limit=1)),)}, "a lost packet is enough"),
        ({"checks": (Check(type=CheckType.TTL),)}, "never expires"),
        (
            {"checks": (HTTP,), "restart": RestartPolicy(delay=SECOND, interval=60 * SECOND, attempts=5)},
            "never fall into",
        ),
    ],
)
def test_each_contradiction_is_said_at_its_key(keys: dict[str, object], words: str) -> None:
    """The sentence starts with the key to change."""
    found = said(**keys)

    assert words in found
    assert all(line.startswith("services.api.") for line in found.splitlines())


def test_what_nomad_cannot_do_itself_is_said_only_there() -> None:
    """Script checks and a long grace."""
    keys = {"checks": (Check(type=CheckType.SCRIPT, command=("x",)),), "kill_timeout": 60 * SECOND}

    assert "the daemon does" in said(EngineName.NOMAD, **keys)
    assert "max_kill_timeout" in said(EngineName.NOMAD, **keys)
    assert said(**keys) == ""


def test_the_example_has_nothing_to_complain_about() -> None:
    """Defaults and catalogue fit together."""
    settings = read_settings(ROOT / "examples/refnet/refnet.yaml", catalogue=catalogue()).settings

    assert lint(settings) == ()
