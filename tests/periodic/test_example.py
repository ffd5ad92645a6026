"""The example's scheduled work: a backup that can be read, and a crawl that collected something."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import ROOT, Agent

OFFSET = 3000 + os.getpid() % 40 * 200


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """The part of the example that the scheduled work is about."""
    folder = tmp_path_factory.mktemp("periodic")
    for each in (folder, *list(folder.parents)[:2]):
        each.chmod(0o711)
    shutil.copytree(ROOT / "examples" / "refnet", folder / "refnet", ignore=shutil.ignore_patterns("__pycache__"))
    agent = Agent(home=folder / "home", file=folder / "refnet" / "refnet.yaml")
    text = agent.file.read_text().replace("name: refnet\n", f"name: refnet\nport_offset: {OFFSET}\n", 1)
    for name in ("beat", "flower", "alertmanager", "grafana"):
        text = "\n".join(line for line in text.split("\n") if not line.startswith(f"  {name}:"))
    agent.write(text.replace("    - {path: /flower/, to: flower}\n", ""))
    agent.apply()
    yield agent
    agent.run("destroy", "-y")


def test_a_backup_run_leaves_a_dump_that_can_be_listed_and_keeps_seven(system: Agent) -> None:
    """pg_restore reads the newest; of nine, the newest seven are kept."""
    said = system.run("periodic", "run", "backup")
    assert "verified" in said
    newest = max((system.home / "backups/postgres").glob("*.dump"))
    listed = subprocess.run(("pg_restore", "--list", newest), capture_output=True, text=True, timeout=60, check=True)
    assert "TABLE DATA public papers" in listed.stdout

    for _ in range(8):
        system.run("periodic", "run", "backup")

    assert len(list((system.home / "backups/postgres").glob("*"))) == 7
    found = json.loads(system.run("periodic", "list", "--json"))["periodic"]
    assert {each["name"]: each["state"] for each in found}["backup"] == "up"


def test_a_crawl_collects_something_and_fails_when_it_does_not(system: Agent) -> None:
    """First the first paper of the corpus, then what it cites; with the crawler stopped it is no success."""
    assert "collected 1 of 1, 1 of them for the first time" in system.run("periodic", "run", "crawl")
    assert "for the first time" in system.run("periodic", "run", "crawl")

    system.run("stop", "crawler")
    system.write(system.file.read_text().replace("task: crawl,", 'task: crawl, env: {CRAWL_SECONDS: "3"},'))
    system.apply()
    said = system.run("periodic", "run", "crawl", code=1)

    assert "collected 0 of" in said
    assert "not collected" in said
