"""The contract on a real systemd: these tests again, inside a container that was booted with one.

Needs a Docker that answers and REFNET_SYSTEMD_IMAGE, the name of an image of this host's distribution with systemd,
systemd-sysv and dbus (CONTRIBUTING.md says how to make one). The Python of these tests is mounted into it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
IMAGE = os.environ.get("REFNET_SYSTEMD_IMAGE", "")
INSIDE = "REFNET_INSIDE_SYSTEMD"


def docker(*words: str, check: bool = True, timeout: float = 60) -> str:
    """Return what docker says, both streams."""
    done = subprocess.run(("docker", *words), capture_output=True, text=True, timeout=timeout, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).strip()


def reason() -> str:
    """Return why no systemd can be booted here, or nothing."""
    if INSIDE in os.environ:
        return "these tests run inside it already"
    if not IMAGE:
        return "REFNET_SYSTEMD_IMAGE names no image with systemd"
    if shutil.which("docker") is None:
        return "no docker"
    done = subprocess.run(("docker", "image", "inspect", IMAGE), capture_output=True, timeout=60, check=False)
    return "" if done.returncode == 0 else f"no docker daemon answers, or it has no image {IMAGE}"


pytestmark = pytest.mark.skipif(bool(reason()), reason=reason() or "a systemd can be booted")


@pytest.fixture(scope="module")
def machine() -> Iterator[str]:
    """A container with systemd as its first process, this checkout and this Python in it."""
    places = {str(ROOT), sys.prefix}
    mounts = [word for place in sorted(places) for word in ("--volume", f"{place}:{place}:ro")]
    rights = ("--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--security-opt=seccomp=unconfined")
    groups = ("--security-opt=apparmor=unconfined", "--cgroupns=private", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw")
    room = ("--tmpfs=/run", "--tmpfs=/run/lock", "--env=container=docker")
    name = docker("run", "--detach", "--rm", *rights, *groups, *room, *mounts, IMAGE, "/sbin/init")
    try:
        end = time.monotonic() + 60
        while docker("exec", name, "systemctl", "is-system-running", check=False) not in {"running", "degraded"}:
            assert time.monotonic() < end, docker("logs", name, check=False)
            time.sleep(0.2)
        yield name
    finally:
        docker("rm", "--force", name)


@pytest.mark.timeout(600)
def test_the_contract_holds_on_a_booted_systemd(machine: str) -> None:
    """Every test of the contract and of the engine passes there, and none of them is skipped for want of systemd."""
    tests = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract", "-k", "systemd")
    variables = (f"--env={INSIDE}=1", "--env=PYTHONDONTWRITEBYTECODE=1", f"--env=PYTHONPATH={ROOT}")
    said = docker("exec", *variables, "--workdir", str(ROOT), machine, *tests, check=False, timeout=580)

    assert " passed" in said, said
    assert "failed" not in said and "error" not in said, said
    assert "booted with" not in said, said
