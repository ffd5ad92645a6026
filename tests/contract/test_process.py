"""What the process engine keeps when processes, keepers and files go wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.engine.keeper import processes
from agent.engine.keeper_client import is_alive
from agent.engine.keeper_logs import log_files
from agent.engine.process import ProcessEngine
from agent.errors import EngineFailed
from agent.model.instance import InstanceState, LaunchLimits, LaunchRestart
from tests.contract.conftest import Bench, until

PACKAGE_PARENT = Path(__file__).resolve().parents[2]


def test_service_survives_its_keeper_and_is_adopted_again(real: Bench) -> None:
    """With the keeper killed the service runs on; the next start adopts it, and its later exit heals."""
    launch = real.launch()
    real.engine.start(launch)
    before = real.pid()
    real.kill_keeper()
    assert (real.pid(), real.seen().keeper_alive) == (before, False)
    real.engine.start(launch)
    assert (real.pid(), real.seen().keeper_alive, real.seen().restarts) == (before, True, 0)
    real.kill()
    until(lambda: real.seen().pid not in (None, before))
    assert real.seen().restarts == 1
    last_exit = real.seen().last_exit
    assert last_exit is not None and (last_exit.code, last_exit.signal) == (None, None)


def test_output_without_a_keeper_is_not_lost(real: Bench) -> None:
    """What the service writes while no keeper reads waits in the pipe and does not hurt it."""
    program = (
        "import os, time\nnumber = 0\nwhile True:\n    os.write(1, b'%d\\n' % number); number += 1; time.sleep(0.005)\n"
    )
    launch = real.python(program)
    real.engine.start(launch)
    until(lambda: len(real.texts()) > 5)
    real.kill_keeper()
    time.sleep(0.2)
    real.engine.start(launch)
    until(lambda: len(real.texts()) > 100)
    numbers = [int(text) for text in real.texts()]
    assert numbers == list(range(len(numbers)))
    assert real.seen().restarts == 0


def test_dead_keeper_does_not_hinder_a_stop(real: Bench) -> None:
    """Stopping an instance without a keeper stops its process by its own signal."""
    real.engine.start(real.launch())
    before, ticks = real.pid(), processes.start_ticks(real.pid())
    real.kill_keeper()
    real.engine.stop("web-1", cause="test")
    assert ticks is not None and not processes.is_alive(before, ticks)
    assert real.seen().state is InstanceState.STOPPED


def test_both_dead_is_failed_and_starts_again(real: Bench) -> None:
    """With keeper and service gone the instance is failed, and a start runs it again."""
    launch = real.launch()
    real.engine.start(launch)
    pid = real.pid()
    real.kill_keeper()
    os.kill(pid, signal.SIGKILL)
    until(lambda: real.seen().state is InstanceState.FAILED)
    real.engine.start(launch)
    assert real.seen().state is InstanceState.RUNNING


def test_ignored_stop_signal_ends_in_a_kill(real: Bench) -> None:
    """A process that ignores its stop signal is killed after its stop timeout, and the events say so."""
    launch = real.launch("trap '' TERM; echo up; while :; do sleep 0.05; done", ready_line="up", stop_timeout=0.3)
    real.engine.start(launch)
    until(lambda: real.seen().ready)
    began = time.monotonic()
    real.engine.stop("web-1", cause="test")
    assert 0.3 <= time.monotonic() - began < 3
    last_exit = real.seen().last_exit
    assert last_exit is not None and last_exit.signal == signal.SIGKILL
    kinds = [json.loads(line)["kind"] for line in (real.home / "events.jsonl").read_text().splitlines()]
    assert kinds == ["started", "stopping", "killed", "exited", "stopped"]


@pytest.mark.parametrize("adopted", [False, True])
def test_stop_takes_the_escaped_grandchildren(real: Bench, adopted: bool) -> None:
    """A grandchild in its own session that closed everything dies with the stop, also under a second keeper."""
    note = real.home / "grandchild"
    program = (
        "import os, time\n"
        "if not os.fork():\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.closerange(0, 100)\n"
        f"    open({str(note)!r}, 'w').write(str(os.getpid()) + ' ')\n"
        "    time.sleep(300)\n"
        "time.sleep(300)\n"
    )
    launch = real.python(program)
    real.engine.start(launch)
    until(lambda: note.exists() and note.read_text().endswith(" "))
    grandchild = int(note.read_text())
    if adopted:
        real.kill_keeper()
        real.engine.start(launch)
    assert processes.start_ticks(grandchild) is not None
    real.engine.stop("web-1", cause="test")
    assert processes.start_ticks(grandchild) is None


def test_a_crash_takes_the_old_tree_before_the_next_start(real: Bench) -> None:
    """When the main process dies its children are gone before the next one runs."""
    note = real.home / "children"
    real.engine.start(real.launch(f"sleep 300 & echo $! >> {note}; exec sleep 300"))
    until(note.exists)
    child = int(note.read_text())
    before = real.pid()
    real.kill()
    until(lambda: real.seen().pid not in (None, before))
    assert processes.start_ticks(child) is None


def test_no_command_is_told_in_the_log(real: Bench) -> None:
    """A command that is not there is named in the log with its error, and the exit code is 127."""
    policy = LaunchRestart(attempts=0, mode="fail")
    real.engine.start(real.launch(command=("/nowhere/x",), restart=policy))
    until(lambda: real.seen().state is InstanceState.FAILED)
    last_exit = real.seen().last_exit
    assert last_exit is not None and last_exit.code == 127
    assert real.texts() == ["refnet-agent: cannot run /nowhere/x: No such file or directory"]


def test_crash_loop_backs_off(real: Bench) -> None:
    """A program that exits at once is restarted slower and slower, and can be stopped meanwhile."""
    real.engine.start(real.launch("exit 1"))
    until(lambda: real.seen().state is InstanceState.BACKOFF and real.seen().restarts >= 3)
    real.engine.stop("web-1", cause="test")
    assert real.seen().state is InstanceState.STOPPED
    events = [json.loads(line) for line in (real.home / "events.jsonl").read_text().splitlines()]
    delays = [event["detail"]["delay"] for event in events if event["kind"] == "backoff"]
    assert delays[:3] == pytest.approx([0.1, 0.2, 0.4], abs=0.01)


def test_environment_is_exactly_as_given(real: Bench) -> None:
    """The service sees its own variables, its secrets without the last newline, and its tag; nothing else."""
    secret = real.home / "secret"
    secret.write_bytes(b"s3cret\n")
    launch = real.launch(
        command=("/usr/bin/env",), environment={"A": "1"}, secret_environment={"S": str(secret)}, oneshot=True
    )
    real.engine.start(launch)
    until(lambda: real.seen().state is InstanceState.COMPLETE)
    assert isinstance(real.engine, ProcessEngine)
    assert sorted(real.texts()) == ["A=1", f"REFNET_INSTANCE=web-1@{real.engine.slug}", "S=s3cret"]
    assert "s3cret" not in "".join(path.read_text() for path in real.folder().glob("*.json"))


def test_ready_line(real: Bench) -> None:
    """An instance with a ready line is ready only once it said so, and not before its restart says it again."""
    go = real.home / "go"
    script = f"printf rea; while [ ! -e {go} ]; do sleep 0.02; done; echo dy now; exec sleep 300"
    real.engine.start(real.launch(script, ready_line="ready"))
    time.sleep(0.1)
    assert not real.seen().ready
    go.touch()
    until(lambda: real.seen().ready)
    go.unlink()
    real.engine.restart("web-1", cause="test")
    assert not real.seen().ready


def test_reload_sends_the_signal_to_the_same_process(real: Bench) -> None:
    """An update with a reload sends the reload signal and keeps the pid."""
    script = "trap 'echo reloaded' HUP; echo up; while :; do sleep 0.02; done"
    launch = real.launch(script, reload_signal="SIGHUP", ready_line="up")
    real.engine.start(launch)
    until(lambda: real.seen().ready)
    before = real.pid()
    real.engine.update(replace(launch, digest="two"), reload=True)
    until(lambda: "reloaded" in real.texts())
    assert (real.pid(), real.seen().digest) == (before, "two")
    real.engine.start(replace(launch, digest="two"))
    assert real.pid() == before


def test_update_reaches_an_instance_whose_keeper_died(real: Bench) -> None:
    """The service is adopted first, then the new fingerprint is taken over."""
    launch = real.launch()
    real.engine.start(launch)
    before = real.pid()
    real.kill_keeper()
    real.engine.update(replace(launch, digest="two"), reload=False)
    assert (real.pid(), real.seen().digest, real.seen().keeper_alive) == (before, "two", True)


@pytest.mark.parametrize("content", [b"", b'{"version": 1, "pid', b"[]", b'{"version": 1}', b"\xff\xfe"])
def test_corrupt_record_is_put_aside(real: Bench, content: bytes) -> None:
    """An unreadable record is quarantined, and the running service is found and adopted all the same."""
    launch = real.launch()
    real.engine.start(launch)
    before = real.pid()
    real.kill_keeper()
    (real.folder() / "record.json").write_bytes(content)
    assert (real.pid(), real.seen().state) == (before, InstanceState.RUNNING)
    assert (real.folder() / "record.json.corrupt-1").read_bytes() == content
    real.engine.start(launch)
    assert (real.pid(), real.seen().keeper_alive) == (before, True)


def test_record_of_an_earlier_boot_means_nothing_runs(real: Bench) -> None:
    """After a reboot a record's pid belongs to a stranger: it is neither shown nor killed."""
    launch = real.launch()
    real.engine.start(launch)
    real.engine.stop("web-1", cause="test")
    record = json.loads((real.folder() / "record.json").read_bytes())
    with subprocess.Popen(["sleep", "300"]) as stranger:
        ticks = processes.start_ticks(stranger.pid)
        record |= {"boot_id": "another", "state": "running", "pid": stranger.pid, "ticks": ticks}
        (real.folder() / "record.json").write_text(json.dumps(record))
        assert (real.seen().state, real.seen().pid) == (InstanceState.STOPPED, None)
        real.engine.start(launch)
        assert real.pid() != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


def test_second_keeper_is_refused(real: Bench) -> None:
    """While one keeper holds the instance another one exits with 75."""
    real.engine.start(real.launch())
    program = (
        f"import sys; sys.path.append({str(PACKAGE_PARENT)!r}); "
        "from agent.engine.keeper.main import main; main(sys.argv[1:])"
    )
    words = [sys.executable, "-I", "-S", "-c", program, str(real.folder())]
    assert subprocess.run(words, check=False, timeout=5).returncode == 75
    assert is_alive(real.folder())


def test_restart_window_survives_the_keeper(real: Bench) -> None:
    """The count of failures goes on under the next keeper."""
    launch = real.launch(restart=LaunchRestart(attempts=2, interval=600, delay=0.0, mode="fail"))
    real.engine.start(launch)
    for count in (1, 2):
        real.kill()
        until(lambda: real.seen().restarts == count and real.seen().pid)  # noqa: B023 (called at once)
    real.kill_keeper()
    real.engine.start(launch)
    real.kill()
    until(lambda: real.seen().state is InstanceState.FAILED)


def test_flood_of_output_neither_blocks_nor_fills_the_disk(real: Bench) -> None:
    """A hundred megabytes pass at over 50 MB/s, and the files stay within their number and size."""
    program = (
        "import os, time\n"
        "block = b'a line of some hundred characters '*3 + b'\\n'\n"
        "block *= 640\n"
        "begin = time.monotonic(); sent = 0\n"
        "while sent < 100_000_000: sent += os.write(1, block)\n"
        "took = time.monotonic() - begin\n"
        "os.write(1, b'\\ntook %f\\n' % took)\n"
        "time.sleep(300)\n"
    )
    real.engine.start(real.python(program, log_max_bytes=1_000_000, log_files=3))
    took: list[float] = []

    def finished() -> bool:
        last = list(real.engine.logs("web-1", lines=1, since=None, follow=False))
        took.extend(float(line.text.split()[1]) for line in last if line.text.startswith("took"))
        return bool(took)

    until(finished)
    assert took[0] < 2.0
    files = list((real.home / "logs").iterdir())
    assert len(files) == 3
    assert all(file.stat().st_size <= 1_000_000 for file in files)


def test_binary_output_passes(real: Bench) -> None:
    """Any byte is kept as it is, a line without end too."""
    program = "import os, time; os.write(1, bytes(range(256)) + b'x' * 5000); time.sleep(300)"
    real.engine.start(real.python(program, log_max_bytes=2000, log_files=9))
    until(lambda: real.texts() and real.texts()[-1].endswith("x" * 5000))
    raw = b"".join(path.read_bytes() for path in log_files(real.home / "logs" / "web-1.log"))
    assert bytes(range(11, 256)) in raw


def test_full_disk_does_not_stop_the_service(real: Bench) -> None:
    """Where nothing can be written the output is dropped, and the service runs on."""
    real.engine.start(real.launch("while :; do echo some words; sleep 0.01; done", log_path="/dev/full"))
    time.sleep(0.2)
    assert (real.seen().state, real.seen().restarts) == (InstanceState.RUNNING, 0)


def test_follow_passes_rotations(real: Bench) -> None:
    """A follower sees every line once, over rotated files."""
    script = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); sleep 0.002; done; exec sleep 300"
    real.engine.start(real.launch(script, log_max_bytes=2048, log_files=9))
    until(lambda: (real.home / "logs" / "web-1.log").exists())
    got = []
    for line in real.engine.logs("web-1", lines=None, since=None, follow=True):
        got.append(line.text)
        if len(got) == 200:
            break
    assert got == [f"line {number}" for number in range(200)]


def test_memory_limit_ends_in_an_out_of_memory_exit(real: Bench) -> None:
    """Where the host can limit memory, a process over its limit is killed and its exit says why."""
    if real.engine.capabilities().limits_by == "none":
        pytest.skip("no memory cgroup here")
    policy = LaunchRestart(attempts=0, mode="fail")
    limits = LaunchLimits(memory_bytes=32 * 1024 * 1024)
    launch = real.python("import time; x = bytearray(200_000_000); time.sleep(300)", limits=limits, restart=policy)
    real.engine.start(launch)
    until(lambda: real.seen().state is InstanceState.FAILED)
    last_exit = real.seen().last_exit
    assert last_exit is not None and last_exit.out_of_memory


def test_long_home_has_a_socket_all_the_same(tmp_path: Path) -> None:
    """A home deeper than a socket's address can be still works."""
    home = tmp_path / ("deep" * 20) / ("deeper" * 20)
    home.mkdir(parents=True)
    bench = Bench(ProcessEngine(home), home)
    bench.engine.start(bench.launch())
    assert bench.seen().keeper_alive
    bench.engine.remove("web-1")


def test_bad_name_is_refused(real: Bench) -> None:
    """A name cannot lead out of the folder of instances."""
    with pytest.raises(EngineFailed):
        real.engine.start(real.launch(instance="../web"))


@pytest.mark.parametrize("content", [b"", b'{"version": 1, "lau', b"[]", b'{"launch": {"instance": "web-1"}}'])
@pytest.mark.parametrize("keeper", ["there", "dead"])
def test_a_corrupt_launch_is_put_aside_and_hides_nobody(real: Bench, content: bytes, keeper: str) -> None:
    """The others are seen; the one is seen as not what is wanted, and the next start replaces it with one process."""
    launch, other = real.launch(), replace(real.launch(), instance="other-1", service="other")
    real.engine.start(launch)
    real.engine.start(other)
    before = real.pid()
    if keeper == "dead":
        real.kill_keeper()
    (real.folder() / "launch.json").write_bytes(content)

    assert {each.instance for each in real.engine.observe()} == {"web-1", "other-1"}
    real.engine.start(replace(launch, digest="two"))

    assert real.seen().digest == "two"
    assert real.pid() != before
    assert processes.start_ticks(before) is None
    real.engine.remove("other-1")


def test_a_frozen_keeper_is_seen_soon_and_replaced_without_touching_its_service(real: Bench) -> None:
    """It answers nobody and restarts nothing: start adopts the process under a new keeper."""
    launch = real.launch()
    real.engine.start(launch)
    before, keeper = real.pid(), real.seen().keeper_pid
    assert keeper is not None
    os.kill(keeper, signal.SIGSTOP)

    assert (real.pid(), real.seen().keeper_alive) == (before, False)
    real.engine.start(launch)
    assert (real.pid(), real.seen().keeper_alive) == (before, True)
    real.kill()
    until(lambda: real.seen().pid not in (None, before))


def test_a_frozen_keeper_does_not_hinder_a_stop(real: Bench) -> None:
    """The whole tree is gone afterwards."""
    real.engine.start(real.launch())
    before, keeper = real.pid(), real.seen().keeper_pid
    assert keeper is not None
    os.kill(keeper, signal.SIGSTOP)

    real.engine.stop("web-1", cause="test")

    assert (real.seen().state, processes.start_ticks(before)) == (InstanceState.STOPPED, None)
