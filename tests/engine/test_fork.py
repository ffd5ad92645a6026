"""A service is born in its cgroup where the kernel can do that, and by an ordinary fork everywhere else."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.engine.keeper import cgroups

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import os, sys
from agent.engine.keeper.fork import fork_into
pid, is_in_group = fork_into(sys.argv[1] or None)
if pid == 0:
    print(open("/proc/self/cgroup").read().splitlines()[-1], flush=True)
    os._exit(7)
print(is_in_group, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def fork_in(folder: str) -> list[str]:
    """Return what the child says about its cgroup, and then its parent about it (a process of its own)."""
    command = (sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(ROOT)!r}){PROGRAM}", folder)
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.splitlines()


@pytest.fixture
def group() -> Iterator[Path]:
    """An empty cgroup of version 2."""
    base = cgroups.hierarchies().get("unified")
    folder = Path(base or "/nowhere") / f"refnet-test-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup of version 2 can be made here: {error}")
    yield folder
    folder.rmdir()


@pytest.mark.parametrize("folder", ["", "/nowhere", "/tmp"], ids=["no group", "no folder", "no cgroup"])
def test_without_a_group_it_is_an_ordinary_fork(folder: str) -> None:
    """The child runs to its end, and nobody thinks it is in a group."""
    assert fork_in(folder)[-1] == "False 7"


def test_a_child_is_born_in_the_group(group: Path) -> None:
    """It says so itself, before it did anything."""
    where, end = fork_in(str(group))

    assert end == "True 7"
    assert where.endswith(group.name)


def test_a_group_that_was_told_to_kill_takes_no_child_with_it(group: Path) -> None:
    """Some kernels kill everybody born there from then on: the child lives all the same."""
    (group / "cgroup.kill").write_text("1")

    assert fork_in(str(group))[-1].endswith(" 7")
