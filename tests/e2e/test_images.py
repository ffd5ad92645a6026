"""Services from images, on a real Docker where there is one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Agent

NAME = "refnet-test-image"


def docker(*words: str) -> str:
    """Return what docker says."""
    done = subprocess.run(("docker", *words), capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def reason() -> str:
    """Return why no container can run here, or nothing."""
    if shutil.which("docker") is None:
        return "no docker"
    done = subprocess.run(("docker", "info"), capture_output=True, timeout=60, check=False)
    return "" if done.returncode == 0 else "no docker daemon answers"


pytestmark = pytest.mark.skipif(bool(reason()), reason=reason() or "docker is there")


def make_image(folder: Path, tag: str, line: str) -> str:
    """Make an image of this host's own Python and a server that answers with the line; return its id."""
    python = Path("/usr/bin/python3").resolve()
    needed = {str(python), str(python.parent / "python3")}
    for binary in (python, "/bin/sh"):
        said = subprocess.run(("ldd", binary), capture_output=True, text=True, check=True).stdout
        needed |= {word for word in said.split() if word.startswith("/")}
    server = folder / f"server-{tag}.py"
    server.write_text(
        "import http.server, os, signal\n"
        "class Answer(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        f"        self.send_response(200); self.end_headers(); self.wfile.write({line!r}.encode())\n"
        "if os.environ.get('STUBBORN'): signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "secret = open(os.environ['TOKEN_FILE']).read() if 'TOKEN_FILE' in os.environ else ''\n"
        "print('secret of', len(secret), 'as', os.getuid(), flush=True)\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Answer).serve_forever()\n"
    )
    archive = folder / f"{tag}.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(needed):
            tar.add(Path(path).resolve(), arcname=path)
        tar.add("/bin/sh", arcname="/bin/sh", recursive=False)
        tar.add(Path("/bin/sh").resolve(), arcname=str(Path("/bin/sh").resolve()))
        library = Path(f"/usr/lib/{python.name}")
        tar.add(library, filter=lambda each: None if "__pycache__" in each.name or "/test/" in each.name else each)
        tar.add(server, arcname="/server.py")
    return docker("import", str(archive), f"{NAME}:{tag}")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two images, one and two; `{NAME}:now` is moved between them by the tests."""
    folder = tmp_path_factory.mktemp("images")
    for tag in ("one", "two"):
        make_image(folder, tag, f"this is {tag}")
    yield
    docker("rmi", "--force", f"{NAME}:one", f"{NAME}:two", f"{NAME}:now")


@pytest.fixture(autouse=True)
def first(images: None) -> None:
    """Each test begins with the first image under the moving tag."""
    docker("tag", f"{NAME}:one", f"{NAME}:now")


def stack(port: int, environment: str = "") -> str:
    """Return a stack with one service from the image."""
    return (
        f"name: demo\nservices:\n  web:\n    image: {NAME}:now\n    command: [/usr/bin/python3, /server.py]\n"
        f"    ports: {{http: {port}}}\n    kill_timeout: 2s\n    env: {{clear: {{PORT: '${{PORT}}'{environment}}}}}\n"
        "    secret_files: [TOKEN]\n    generated_secrets: [TOKEN]\n    user: nobody\n"
        "    checks: [{type: http, path: /, interval: 1s}]\n"
    )


def fetch(port: int) -> str:
    """Return what the service answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return str(answer.read().decode())


def containers() -> list[str]:
    """Return the names of our containers."""
    return docker("ps", "--all", "--filter", "name=refnet-", "--format", "{{.Names}}").split()


def test_an_image_runs_as_its_user_with_its_secret_and_heals(agent: Agent, free_offset: Callable[[int], int]) -> None:
    """Healthy over the host's network; kill -9 of the client leaves no second container; destroy leaves none."""
    port = free_offset(0)
    agent.write(stack(port))
    agent.apply()
    assert fetch(port) == "this is one"
    said = agent.run("logs", "web")
    assert "secret of 0" not in said
    assert "as 0" not in said

    os.kill(agent.pids()["web-1"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if fetch(port) == "this is one" and agent.status()["services"][0]["instances"][0]["restarts"] == 1:
                break
        except (OSError, AssertionError):
            time.sleep(0.3)
    assert fetch(port) == "this is one"
    assert len(containers()) == 1
    agent.run("destroy", "-y")
    assert containers() == []


def test_a_moved_tag_is_a_change_and_rollback_runs_the_old_image(
    agent: Agent, free_offset: Callable[[int], int]
) -> None:
    """plan names both ids; the old one serves again though its tag means another image now."""
    port = free_offset(0)
    agent.write(stack(port))
    agent.apply()
    assert "othing to do" in agent.apply()
    docker("tag", f"{NAME}:two", f"{NAME}:now")

    assert "image: " in agent.run("plan", "-f", str(agent.file), code=2)
    agent.apply()
    assert fetch(port) == "this is two"
    agent.run("rollback", "-y")
    assert fetch(port) == "this is one"


def test_a_container_that_ignores_its_stop_signal_is_gone_after_its_grace(
    agent: Agent, free_offset: Callable[[int], int]
) -> None:
    """The client has to be killed; its container is removed with it."""
    port = free_offset(0)
    agent.write(stack(port, ", STUBBORN: '1'"))
    agent.apply()

    agent.run("stop", "web")

    assert containers() == []


def test_an_image_that_is_not_here_is_unavailable_with_the_command_that_brings_it(agent: Agent) -> None:
    """It never degrades the rest."""
    agent.write("name: demo\nservices:\n  web: {image: 'refnet-test-nowhere:1'}\n  other: {command: [sleep, '1000']}\n")

    assert "docker pull refnet-test-nowhere:1" in agent.apply()
    assert agent.status()["verdict"] == "healthy"
