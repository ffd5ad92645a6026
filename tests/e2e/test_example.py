"""The whole example system, as an operator meets it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PROGRAM, ROOT, Agent

# Below the ephemeral ports, and another one in each run, so that several may go side by side.
OFFSET = 11000 + os.getpid() % 40 * 200


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """The example, copied so that tests may change its code; destroy then leaves no process and keeps the database."""
    folder = tmp_path_factory.mktemp("example")
    for each in (folder, *list(folder.parents)[:2]):
        each.chmod(0o711)
    shutil.copytree(ROOT / "examples" / "refnet", folder / "refnet", ignore=shutil.ignore_patterns("__pycache__"))
    agent = Agent(home=folder / "home", file=folder / "refnet" / "refnet.yaml")
    text = agent.file.read_text()
    agent.write(text.replace("name: refnet\n", f"name: refnet\nport_offset: {OFFSET}\n", 1))
    agent.apply()
    yield agent
    agent.run("destroy", "-y")
    assert processes_of(agent) == []
    assert (agent.home / "data/postgres/data/cluster/PG_VERSION").exists()


def ask(system: Agent, path: str, *options: str) -> str:
    """Return what the gateway answers, its certificate checked."""
    command = ("curl", "-s", "--cacert", str(system.home / "certs/ca.pem"), "--max-time", "10")
    port = 8443 + OFFSET
    address = ("--resolve", f"refnet.localhost:{port}:127.0.0.1", f"https://refnet.localhost:{port}{path}")
    return subprocess.run((*command, *options, *address), capture_output=True, text=True, timeout=20, check=True).stdout


def wait_until(true: Callable[[], bool], *, seconds: float = 40) -> bool:
    """Return whether it became true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.3)
    return False


def test_the_whole_system_is_healthy_and_a_second_plan_is_empty(system: Agent) -> None:
    """Every service that this host can run is healthy; the plan exits 0."""
    assert system.status()["verdict"] == "healthy"
    assert "Nothing to do" in system.run("plan", "-f", str(system.file))


def test_the_gateway_leads_to_the_api_and_the_queue_view(system: Agent) -> None:
    """The API answers over verified TLS; flower wants its password, and a sub-resource loads under its prefix."""
    assert '"total"' in ask(system, "/api/papers")
    assert ask(system, "/flower/workers") == "Access denied"
    password = (system.home / "services/flower/secrets/FLOWER_BASIC_AUTH").read_text()
    assert "crawler-1@" in ask(system, "/flower/workers", "--user", password)
    assert "bootstrap" in ask(system, "/flower/static/css/bootstrap.min.css", "--user", password)[:200].lower()


def test_the_end_to_end_check_leaves_nothing_behind(system: Agent) -> None:
    """verify ran during apply; no paper and no page is left of it."""
    assert '"total":0' in ask(system, "/api/papers")
    assert list((system.home / "data/generator/output").iterdir()) == []


def test_any_killed_process_heals(system: Agent) -> None:
    """kill -9 of one process of every service: all are passing again, with the restart counted."""
    pids = {name: pid for name, pid in system.pids().items() if pid}

    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)

    def healed() -> bool:
        now = {each["name"]: each for one in system_status(system) for each in one["instances"]}
        return all(now[name]["status"] == "passing" and now[name]["restarts"] >= 1 for name in pids)

    assert wait_until(healed)


def system_status(system: Agent) -> list[dict[str, object]]:
    """Return the services, whatever the verdict."""
    environment = os.environ | {"REFNET_HOME": str(system.home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        (*PROGRAM, "status", "--json"), capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    found: list[dict[str, object]] = json.loads(done.stdout)["services"]
    return found


def test_rollback_serves_the_old_code_even_when_the_source_tree_is_gone(system: Agent) -> None:
    """Change a line of the API, apply, delete the source, roll back: the old line is served."""
    api = system.file.parent / "refnet_app" / "api.py"
    newest = max(map(int, (each.name for each in (system.home / "releases").iterdir())))
    good = api.read_text()
    api.write_text(good.replace('"total": total', '"total": total, "edition": "second"'))
    system.apply()
    assert '"edition":"second"' in ask(system, "/api/papers")

    source = api.parent
    shutil.move(source, source.with_name("gone"))
    system.run("rollback", str(newest), "-y")
    shutil.move(source.with_name("gone"), source)
    api.write_text(good)

    assert "edition" not in ask(system, "/api/papers")


def test_a_release_that_fails_its_check_is_rolled_back(system: Agent) -> None:
    """The API that never becomes healthy costs exit 3, its error is shown, and the old one serves on."""
    api = system.file.parent / "refnet_app" / "api.py"
    good = api.read_text()
    before = {name: pid for name, pid in system.pids().items() if name.startswith("api-")}
    api.write_text(good + "\nraise RuntimeError('broken on purpose')\n")

    said = system.apply("api", code=3)
    api.write_text(good)

    assert "broken on purpose" in said
    assert {name: pid for name, pid in system.pids().items() if name.startswith("api-")} == before


def test_the_applications_own_tests_pass_on_the_running_database(system: Agent, tmp_path: Path) -> None:
    """In the environment the release built, with pytest beside it; tables go into a schema of their own."""
    python = next((system.home / "environments").glob("*/bin/python"))
    install = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(tmp_path))
    subprocess.run((*install, "pytest"), check=True, timeout=100)
    secrets = system.home / "services/api/secrets"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DATABASE_URL": (secrets / "DATABASE_URL").read_text(),
        "REDIS_URL": (secrets / "REDIS_URL").read_text().removesuffix("/0") + "/1",
    }
    done = subprocess.run(
        (str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        cwd=ROOT / "examples/refnet",
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def processes_of(system: Agent) -> list[str]:
    """Return every process that mentions the home."""
    commands = Path("/proc").glob("[0-9]*/cmdline")
    return [path.parent.name for path in commands if str(system.home).encode() in read_quietly(path)]


def read_quietly(path: Path) -> bytes:
    """Return a file of a process that may be gone."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
