"""What the systemd engine keeps beyond the contract, on the service manager of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.engine.keeper import processes
from agent.engine.systemd import SystemdEngine
from agent.errors import EngineFailed
from agent.model.instance import InstanceState, LaunchLimits, LaunchRestart, User
from tests.contract.conftest import Bench, until


def engine_of(bench: Bench) -> SystemdEngine:
    """Return the bench's engine as what it is."""
    assert isinstance(bench.engine, SystemdEngine)
    return bench.engine


def unit_of(bench: Bench) -> Path:
    """Return the unit of web-1."""
    return engine_of(bench).units.path("web-1")


def test_output_before_a_crash_and_after_it_is_one_log(units: Bench) -> None:
    """The journal keeps what earlier starts said, and nothing of systemd's own words is mixed in."""
    units.engine.start(units.launch("echo from $$; exec sleep 300"))
    before = units.pid()
    units.kill()
    until(lambda: units.seen().pid not in (None, before))
    until(lambda: len(units.texts()) == 2)

    assert units.texts() == [f"from {before}", f"from {units.pid()}"]


def test_a_program_may_open_its_output_by_name(units: Bench) -> None:
    """nginx does; the journal's socket alone would refuse it."""
    script = "echo by name > /dev/stdout; echo and error > /dev/stderr; exec sleep 300"
    units.engine.start(units.launch(script, reopens_output=True))
    until(lambda: len(units.texts()) == 2)
    before = units.pid()
    assert units.texts() == ["by name", "and error"]
    units.kill()

    until(lambda: units.seen().pid not in (None, before))
    until(lambda: len(units.texts()) == 4)


def test_an_update_in_place_keeps_the_process_and_takes_the_new_policy(units: Bench) -> None:
    """Ends are treated by the policy that came with the update; systemd begins to count starts anew."""
    launch = units.launch()
    units.engine.start(launch)
    before = units.pid()
    policy = LaunchRestart(attempts=0, interval=600, mode="fail")
    units.engine.update(replace(launch, digest="two", restart=policy), reload=False)
    assert (units.pid(), units.seen().digest) == (before, "two")
    units.kill()
    until(lambda: units.seen().pid not in (None, before))
    units.kill()

    until(lambda: units.seen().state is InstanceState.FAILED)


def test_reload_sends_the_signal_to_the_same_process(units: Bench) -> None:
    """An update with a reload sends the reload signal and keeps the pid."""
    script = "trap 'echo reloaded' HUP; echo up; while :; do sleep 0.02; done"
    launch = units.launch(script, reload_signal="SIGHUP", ready_line="up")
    units.engine.start(launch)
    until(lambda: units.seen().ready)
    before = units.pid()
    units.engine.update(replace(launch, digest="two"), reload=True)

    until(lambda: "reloaded" in units.texts())
    assert (units.pid(), units.seen().digest) == (before, "two")


def test_ready_line(units: Bench) -> None:
    """An instance with a ready line is ready only once this start of it said so."""
    go = units.home / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.02; done; echo ready now; exec sleep 300"
    units.engine.start(units.launch(script, ready_line="ready"))
    assert not units.seen().ready
    go.touch()
    until(lambda: units.seen().ready)
    go.unlink()
    units.engine.restart("web-1", cause="test")

    assert not units.seen().ready


def test_a_failed_check_counts_as_a_failed_exit(units: Bench) -> None:
    """`fail` uses up attempts: beyond them the instance is failed."""
    policy = LaunchRestart(attempts=1, interval=600, delay=0.0, mode="fail")
    units.engine.start(units.launch(restart=policy))
    before = units.pid()
    units.engine.fail("web-1", cause="test")
    until(lambda: units.seen().pid not in (None, before))
    assert units.seen().restarts == 1
    units.engine.fail("web-1", cause="test")

    until(lambda: units.seen().state is InstanceState.FAILED)


def test_a_deaf_process_that_fails_is_killed_after_its_grace(units: Bench) -> None:
    """`fail` does not wait for it, and the next start comes all the same."""
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    units.engine.start(units.launch(script, ready_line="up", stop_timeout=1.5))
    until(lambda: units.seen().ready)
    before = units.pid()
    units.engine.fail("web-1", cause="test")
    assert units.pid() == before

    until(lambda: units.seen().pid not in (None, before))
    last_exit = units.seen().last_exit
    assert last_exit is not None and last_exit.signal == signal.SIGKILL


def test_ignored_stop_signal_ends_in_a_kill_and_is_stopped_not_failed(units: Bench) -> None:
    """systemd calls it a failure; whoever asked for the stop knows better."""
    launch = units.launch("trap '' TERM; echo up; while :; do sleep 0.05; done", ready_line="up", stop_timeout=0.3)
    units.engine.start(launch)
    until(lambda: units.seen().ready)
    units.engine.stop("web-1", cause="test")

    assert (units.seen().state, units.seen().pid) == (InstanceState.STOPPED, None)


def test_beyond_its_attempts_in_mode_delay_it_waits_and_a_start_after_the_interval_goes_on(units: Bench) -> None:
    """systemd gives up for good; nobody keeps it then, and so the daemon's next look starts it."""
    launch = units.launch("exit 1", restart=LaunchRestart(attempts=1, interval=1.5, delay=0.0, mode="delay"))
    units.engine.start(launch)
    until(lambda: units.seen().state is InstanceState.BACKOFF and units.seen().pid is None)
    until(lambda: not units.seen().keeper_alive)
    units.engine.start(replace(launch, command=("/bin/sh", "-c", "exec sleep 300")))

    assert (units.seen().state, units.seen().keeper_alive) == (InstanceState.RUNNING, True)


def test_a_stopped_instance_stays_down_at_the_next_boot_and_a_running_one_does_not(units: Bench) -> None:
    """The link in the target says which."""
    link = unit_of(units).parent / f"{engine_of(units).units.target}.wants" / unit_of(units).name
    units.engine.start(units.launch())
    assert link.is_symlink()
    units.engine.stop("web-1", cause="test")

    assert not link.is_symlink()


def test_nothing_is_left_of_a_removed_instance(units: Bench) -> None:
    """No unit, no link, no file, nothing systemd still shows; only what it said."""
    units.engine.start(units.launch("echo words; exec sleep 300"))
    until(lambda: units.texts() == ["words"])
    name = unit_of(units).name
    units.engine.remove("web-1")

    shown = subprocess.run(("systemctl", "list-units", "--all", name), capture_output=True, text=True, check=False)
    assert name not in shown.stdout
    assert not unit_of(units).exists()
    assert not units.folder().exists()
    assert units.texts() == ["words"]


@pytest.mark.parametrize("edit", ["UMask=0000", "no longer a unit of ours"])
def test_an_edit_by_hand_is_seen_and_the_next_start_undoes_it(units: Bench, edit: str) -> None:
    """An edited unit equals no desired one."""
    launch = units.launch()
    units.engine.start(launch)
    text = unit_of(units).read_text()
    edited = text.replace("UMask=0077", edit) if edit.startswith("UMask") else text.partition("[X-Refnet]")[0]
    unit_of(units).write_text(edited)
    assert units.seen().digest != "one"
    assert "unit" in units.seen().fields
    units.engine.start(launch)

    assert (units.seen().digest, unit_of(units).read_text()) == ("one", text)


def test_a_secret_reaches_the_process_and_no_file_others_can_read(units: Bench) -> None:
    """Whatever is in it, it arrives as it is, without the last newline."""
    secret = units.home / "secret"
    value = 'a "quoted" $HOME `x` back\\slash %n #5'
    secret.write_text(f"{value}\n")
    launch = units.launch('printf "%s\\n" "$S"', secret_environment={"S": str(secret)}, oneshot=True)
    units.engine.start(launch)
    until(lambda: units.seen().state is InstanceState.COMPLETE)

    assert units.texts() == [value]
    assert "quoted" not in unit_of(units).read_text()
    assert (units.folder() / "environment").stat().st_mode & 0o077 == 0


def test_words_of_a_command_arrive_as_they_are(units: Bench) -> None:
    """Neither systemd nor a shell reads anything into them."""
    words = ("50%", "%n", "$HOME", "${HOME}", 'say "hi"', "it's", "a\\b", ";", "", "two words")
    program = "import sys\nfor word in sys.argv[1:]: print(ascii(word))"
    launch = units.python(program, oneshot=True)
    units.engine.start(replace(launch, command=(*launch.command, *words)))
    until(lambda: units.seen().state is InstanceState.COMPLETE)

    assert units.texts() == [ascii(word) for word in words]


def test_a_crash_and_a_stop_take_the_grandchildren(units: Bench) -> None:
    """A child in a session of its own is gone before the next start."""
    note = units.home / "children"
    units.engine.start(units.launch(f"setsid sleep 300 & echo $! >> {note}; exec sleep 300"))
    until(lambda: note.exists() and note.read_text().endswith("\n"))
    child, before = int(note.read_text()), units.pid()
    units.kill()
    until(lambda: units.seen().pid not in (None, before))

    assert processes.start_ticks(child) is None


def test_memory_limit_ends_in_an_out_of_memory_exit(units: Bench) -> None:
    """A process over its limit is killed by the kernel, and its exit says why."""
    policy = LaunchRestart(attempts=0, mode="fail")
    limits = LaunchLimits(memory_bytes=32 * 1024 * 1024)
    launch = units.python("import time; x = bytearray(200_000_000); time.sleep(300)", limits=limits, restart=policy)
    units.engine.start(launch)
    until(lambda: units.seen().state is InstanceState.FAILED)
    last_exit = units.seen().last_exit

    assert last_exit is not None and last_exit.signal == signal.SIGKILL
    if units.seen().limits_by == "cgroup2":  # the older hierarchy does not tell systemd
        assert last_exit.out_of_memory


def test_a_confined_service_writes_to_its_own_folders_alone(units: Bench) -> None:
    """With folders of its own the rest of the machine is read-only, even to one who would have the right."""
    if os.geteuid() != 0:
        pytest.skip("a user's own service manager cannot confine")
    mine, other = units.home / "mine", units.home / "other"
    mine.mkdir()
    other.mkdir()
    script = f"touch {mine}/x && echo mine; touch {other}/x || echo no"
    units.engine.start(units.launch(script, writable=(str(mine),), user=User(uid=0, gid=0), oneshot=True))
    until(lambda: units.seen().state is InstanceState.COMPLETE)

    assert [text for text in units.texts() if not text.startswith("touch:")] == ["mine", "no"]


def test_follow_gives_old_lines_and_then_new_ones(units: Bench) -> None:
    """Every line once, in order."""
    script = "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); sleep 0.005; done; exec sleep 300"
    units.engine.start(units.launch(script))
    got = []
    for line in units.engine.logs("web-1", lines=None, since=datetime.now(UTC) - timedelta(minutes=1), follow=True):
        got.append(line.text)
        if len(got) == 100:
            break

    assert got == [f"line {number}" for number in range(100)]


def test_a_bad_name_is_refused(units: Bench) -> None:
    """A name cannot lead out of the folder of units."""
    with pytest.raises(EngineFailed):
        units.engine.start(units.launch(instance="../web"))


def test_many_looks_are_cheap(units: Bench) -> None:
    """One look asks systemd once, however many instances there are."""
    for number in range(1, 6):
        units.engine.start(units.launch(instance=f"web-{number}", log_path=str(units.home / "logs" / f"{number}.log")))
    began = time.monotonic()
    for _ in range(10):
        assert len(units.engine.observe()) == 5

    assert time.monotonic() - began < 3
