"""Results that are pushed, and starts that take their time, on real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.daemon.conftest import Watched, wait_until

TTL = {"name": "beat", "type": "ttl", "ttl": "3s", "interval": "1s"}


def check_of(watched: Watched, instance: str) -> tuple[str, str]:
    """Return the instance's status and what its check says."""
    found = watched.instances()[instance]
    return found["status"], str(found)


def test_a_service_pushes_its_own_status_and_silence_is_critical(watched: Watched) -> None:
    """Through the file its environment names; the words it pushed are shown."""
    words = 'printf "warning\\nqueue is long\\n" > "$CHECK_FILES/$INSTANCE.beat"; sleep 600'
    watched.apply(watched.service("web", 0, command=["sh", "-c", words], checks=[TTL], check_restart={"limit": 0}))

    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "warning")
    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "critical")
    told = [each for each in watched.events("check") if "critical" in each["cause"]]
    assert "TTL expired" in told[-1]["detail"]
    assert "queue is long" in told[-1]["detail"]
    assert watched.instances()["web-1"]["restarts"] == 0


def test_a_push_inside_the_ttl_outlives_the_daemon(watched: Watched) -> None:
    """Killed and started again: still passing, no flap, and the timer goes on."""
    slow = {**TTL, "ttl": "60s"}
    watched.apply(watched.service("web", 0, command=["sleep", "600"], checks=[slow]))
    watched.agent.run("check", "web-1", "beat", "passing", "--output", "fine")
    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "passing" and watched.daemon_pid() is not None)
    before = watched.daemon_pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)

    assert wait_until(lambda: watched.daemon_pid() not in {None, before})
    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "passing")
    assert watched.events("check") == []


def test_a_push_to_nobody_names_what_there_is(watched: Watched) -> None:
    """A wrong instance and a wrong check."""
    watched.apply(watched.service("web", 0, command=["sleep", "600"], checks=[TTL]))

    wrong = watched.agent.look("check", "web-1", "bate", "passing")
    assert (wrong.returncode, "it has: beat" in wrong.stderr) == (64, True)
    wrong = watched.agent.look("check", "wob-1", "beat", "passing")
    assert (wrong.returncode, "wob-1" in wrong.stderr) == (64, True)


def test_a_link_of_the_service_is_not_followed(watched: Watched, tmp_path: Path) -> None:
    """The daemon, which may be root, reads nothing that is not a plain file in the folder."""
    aim = tmp_path / "aim"
    aim.write_text("critical\nnot yours\n")
    link = f'ln -s {aim} "$CHECK_FILES/$INSTANCE.beat"; sleep 600'
    watched.apply(watched.service("web", 0, command=["sh", "-c", link], checks=[TTL], check_restart={"limit": 0}))

    assert wait_until(lambda: bool(watched.events("check")))
    assert "not yours" not in str(watched.events("check"))
    assert "TTL expired" in watched.events("check")[0]["detail"]


def test_checks_wait_for_the_startup_check(watched: Watched) -> None:
    """A start of some seconds restarts nobody, though the check alone would have."""
    flag = watched.folder / "started"
    startup = {"type": "script", "command": ["sh", "-c", f"test -e {flag} || exit 2"], "interval": "1s"}
    health = {
        "name": "health",
        "type": "script",
        "command": ["sh", "-c", f"test -e {flag} || exit 2"],
        "interval": "1s",
    }
    once = f"test -e {flag} || (sleep 5; touch {flag}); sleep 600"
    service = watched.service(
        "web",
        0,
        command=["sh", "-c", once],
        checks=[health],
        startup_check=startup,
        check_restart={"limit": 2, "grace": "0s"},
    )
    watched.apply(service)
    assert watched.instances()["web-1"]["restarts"] == 0

    flag.unlink()
    watched.agent.run("restart", "web")
    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "passing")
    assert watched.instances()["web-1"]["restarts"] == 0
