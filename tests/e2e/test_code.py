"""Code is part of the release: counted in the plan, resolved to a digest, and served again after its source is gone."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Agent

SERVER = "import http.server, os, pathlib\nanswer = %r\n" + (
    "class Answer(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.end_headers(); self.wfile.write(answer)\n"
    "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Answer).serve_forever()\n"
)


def git(folder: Path, *words: str) -> str:
    """Run git with a name of its own."""
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ("git", "-C", str(folder), *who, *words)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def fetch(port: int) -> bytes:
    """Return what the service answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        found: bytes = answer.read()
        return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a small server and a file beside it."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "server.py").write_text(SERVER % b"one")
    (folder / "notes.txt").write_text("kept\n")
    return folder


def stack(source: str, port: int) -> str:
    """Return a stack file that serves the source on the port."""
    return (
        "name: demo\nservices:\n  web:\n"
        f"    source: {source}\n    command: [/usr/bin/python3, server.py]\n    ports: {{http: {port}}}\n"
        "    env: {clear: {PORT: '${PORT}'}}\n    update: {order: start-first}\n"
        "    checks: [{type: http, path: /}]\n"
    )


def test_the_plan_counts_changed_files_and_rollback_serves_code_whose_source_is_gone(
    agent: Agent, source: Path, free_offset: Callable[[int], int]
) -> None:
    """One line changed, one file added: 2 files; after the roll-back the first line is served."""
    port = free_offset(0)
    agent.write(stack(f"{{path: {source}}}", port))
    agent.apply()
    (source / "server.py").write_text(SERVER % b"two")
    (source / "more.txt").write_text("new\n")

    assert "2 files changed" in agent.run("plan", "-f", str(agent.file), code=2)

    agent.apply()
    assert fetch(port) == b"two"
    shutil.rmtree(source)
    agent.run("rollback", "-y")
    assert fetch(port) == b"one"


def test_a_git_ref_is_resolved_to_a_commit_and_a_moved_one_is_a_change(
    agent: Agent, source: Path, free_offset: Callable[[int], int]
) -> None:
    """What runs is the commit; the branch moves, plan says so; the repository vanishes, rollback still serves."""
    port = free_offset(0)
    git(source, "init", "-q", "-b", "main")
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "one")
    git(source, "tag", "v1")
    agent.write(stack(f"{{git: {source}, ref: main}}", port))
    agent.apply()
    (source / "server.py").write_text(SERVER % b"not committed")
    assert "othing to do" in agent.apply()

    (source / "server.py").write_text(SERVER % b"two")
    git(source, "commit", "-q", "-a", "-m", "two")
    assert "1 file changed" in agent.run("plan", "-f", str(agent.file), code=2)
    agent.apply()
    assert fetch(port) == b"two"

    agent.write(stack(f"{{git: {source}, ref: v1}}", port))
    agent.apply()
    assert fetch(port) == b"one"
    shutil.rmtree(source)
    agent.run("rollback", "2", "-y")
    assert fetch(port) == b"two"


def test_an_unknown_ref_and_an_unreachable_repository_are_said_and_change_nothing(
    agent: Agent, source: Path, free_offset: Callable[[int], int]
) -> None:
    """The refs there are come as the hint; nothing runs."""
    port = free_offset(0)
    git(source, "init", "-q", "-b", "main")
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "one")
    agent.write(stack(f"{{git: {source}, ref: nowhere}}", port))

    said = agent.apply(code=64)
    assert "has no 'nowhere'" in said
    assert "main" in said

    agent.write(stack(f"{{git: {source}/missing, ref: main}}", port))
    said = agent.apply(code=1)
    assert "does not exist" in said
    assert not (agent.home / "instances").exists()
