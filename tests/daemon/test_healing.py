"""The daemon restarts what fails its checks and nothing else, and neither it nor its keeper can be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.daemon.conftest import Watched, wait_until
from tests.e2e.conftest import PROGRAM, ROOT


def parent_of(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_hung_service_is_restarted_and_the_restart_is_counted(watched: Watched) -> None:
    """SIGSTOP looks alive to any supervisor that only waits for exits."""
    watched.apply(watched.service("web", 0))
    pid = watched.instances()["web-1"]["pid"]

    os.kill(pid, signal.SIGSTOP)

    assert wait_until(lambda: watched.instances()["web-1"]["pid"] not in {pid, None})
    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "passing")
    assert watched.instances()["web-1"]["restarts"] == 1
    assert "check health failed" in watched.events("unhealthy")[0]["cause"]


def test_a_service_that_suffers_from_another_is_left_alone(watched: Watched) -> None:
    """Both answer 500; only the one below is restarted, and it is said why the other was not."""
    web = watched.service("web", 1, depends_on={"base": {"condition": "healthy"}})
    watched.apply(watched.service("base", 0), web)
    before = watched.instances()
    watched.answer("base-1", 500)
    watched.answer("web-1", 500)

    assert wait_until(lambda: watched.instances()["base-1"]["restarts"] >= 2)

    now = watched.instances()
    assert now["web-1"]["pid"] == before["web-1"]["pid"]
    assert now["web-1"]["restarts"] == 0
    assert watched.events("left-alone")[0]["cause"] == "suffers from base"


def test_a_dependent_is_restarted_after_the_other_came_back_when_its_edge_says_so(watched: Watched) -> None:
    """`on_failure: restart` waits for the recovery."""
    edge = {"base": {"condition": "healthy", "on_failure": "restart"}}
    watched.apply(watched.service("base", 0), watched.service("web", 1, depends_on=edge))
    pid = watched.instances()["web-1"]["pid"]

    os.kill(watched.instances()["base-1"]["pid"], signal.SIGSTOP)

    assert wait_until(lambda: watched.instances()["web-1"]["pid"] not in {pid, None})
    assert watched.instances()["base-1"]["restarts"] == 1


def test_the_hosts_budget_ends_a_storm(watched: Watched) -> None:
    """Three services fail for ever; after the budget nobody is restarted, and the daemon says so once."""
    services = [watched.service(f"web{number}", number) for number in range(3)]
    watched.apply(*services, daemon={"restart_budget": {"limit": 2, "interval": "10m"}})
    for number in range(3):
        watched.answer(f"web{number}-1", 500)

    assert wait_until(lambda: bool(watched.events("left-alone")))
    time.sleep(3)

    assert sum(each["restarts"] for each in watched.instances().values()) == 2
    assert "2 restarts on this host" in watched.events("left-alone")[0]["cause"]


def test_a_service_above_its_memory_limit_is_restarted_gracefully(watched: Watched) -> None:
    """The limit is far below what Python needs, so each life ends by SIGTERM after three looks."""
    watched.apply(watched.service("web", 0, resources={"memory_restart": 4}))

    assert wait_until(lambda: bool(watched.events("unhealthy")))

    assert "allowed are 4" in watched.events("unhealthy")[0]["cause"]
    assert watched.events("exited")[0]["detail"]["signal"] == signal.SIGTERM


def test_a_warning_does_not_restart(watched: Watched) -> None:
    """429 is a warning: status shows it, the process stays."""
    watched.apply(watched.service("web", 0))
    pid = watched.instances()["web-1"]["pid"]
    watched.answer("web-1", 429)

    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "warning")
    time.sleep(3)
    assert watched.instances()["web-1"]["pid"] == pid


def test_killing_the_daemon_or_its_keeper_touches_no_service_and_both_come_back(watched: Watched) -> None:
    """Each replaces the other within five seconds."""
    watched.apply(watched.service("web", 0))
    assert wait_until(lambda: watched.daemon_pid() is not None)
    service, first = watched.instances()["web-1"]["pid"], watched.daemon_pid()
    assert first is not None

    os.kill(first, signal.SIGKILL)
    assert wait_until(lambda: watched.daemon_pid() not in {first, None}, seconds=5)
    second = watched.daemon_pid()
    assert second is not None

    keeper = parent_of(second)
    os.kill(keeper, signal.SIGKILL)
    assert wait_until(lambda: any(e["service"] == "daemon" for e in watched.events("re-adopted")), seconds=5)
    os.kill(second, signal.SIGKILL)
    assert wait_until(lambda: watched.daemon_pid() not in {first, second, None}, seconds=5)
    assert watched.instances()["web-1"]["pid"] == service


def test_a_services_keeper_that_died_is_replaced_without_an_apply(watched: Watched) -> None:
    """The process stays, and is healed again afterwards."""
    watched.apply(watched.service("web", 0))
    pid = watched.instances()["web-1"]["pid"]
    os.kill(parent_of(pid), signal.SIGKILL)

    assert wait_until(lambda: any(e["instance"] == "web-1" for e in watched.events("re-adopted")))
    assert watched.instances()["web-1"]["pid"] == pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: watched.instances()["web-1"]["pid"] not in {pid, None})


def test_a_restart_for_a_check_during_an_apply_leaves_one_owner_and_no_third_instance(watched: Watched) -> None:
    """The old one fails its check while apply replaces it: in the end there is one process, the new one."""
    slow = {"order": "stop-first", "min_healthy_time": "3s", "healthy_deadline": "30s"}
    watched.apply(watched.service("web", 0, update=slow))
    watched.agent.file.write_text(watched.agent.file.read_text().replace('"FOLDER"', '"MORE": "1", "FOLDER"'))
    environment = os.environ | {"REFNET_HOME": str(watched.agent.home), "PYTHONPATH": str(ROOT)}
    watched.answer("web-1", 500)
    words = (*PROGRAM, "apply", "-f", str(watched.agent.file), "-y")
    applying = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(4)
    watched.answer("web-1", 200)

    assert applying.wait(60) == 0
    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "passing")
    assert len(servers(watched)) == 1


def servers(watched: Watched) -> list[str]:
    """Return the processes that run this test's server."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(watched.server).encode() in words:
            found.append(path.parent.name)
    return found
