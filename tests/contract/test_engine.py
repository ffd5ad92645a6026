"""What every engine keeps, the one in memory as well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.errors import EngineFailed
from agent.model.instance import Exit, InstanceState, LaunchRestart
from tests.contract.conftest import Bench, until


def test_start_runs_the_instance_as_launched(bench: Bench) -> None:
    """A started instance is running, with a pid and its fingerprint."""
    launch = bench.launch(fields={"image": "a"}, files={"/x": "b"}, address="127.0.0.1:1")
    bench.engine.start(launch)
    seen = bench.seen()
    assert (seen.state, seen.digest, seen.fields, seen.files) == (
        InstanceState.RUNNING,
        "one",
        {"image": "a"},
        {"/x": "b"},
    )
    assert seen.pid and seen.keeper_alive and seen.ready and seen.address == "127.0.0.1:1"


def test_second_start_changes_nothing(bench: Bench) -> None:
    """Starting what runs with the same digest keeps its pid."""
    launch = bench.launch()
    bench.engine.start(launch)
    before = bench.pid()
    bench.engine.start(launch)
    assert bench.pid() == before


def test_another_digest_replaces_the_instance(bench: Bench) -> None:
    """Starting with another digest gives a new process and the new fingerprint."""
    bench.engine.start(bench.launch())
    before = bench.pid()
    bench.engine.start(bench.launch(digest="two"))
    assert bench.pid() != before
    assert bench.seen().digest == "two"


def test_stop_keeps_the_record(bench: Bench) -> None:
    """A stopped instance is seen as stopped, without a pid, and can be stopped again and started again."""
    bench.engine.start(bench.launch())
    bench.engine.stop("web-1", cause="test")
    bench.engine.stop("web-1", cause="test")
    assert (bench.seen().state, bench.seen().pid) == (InstanceState.STOPPED, None)
    bench.engine.start(bench.launch())
    assert bench.seen().state is InstanceState.RUNNING


def test_a_killed_process_comes_back(bench: Bench) -> None:
    """After kill -9 there is a new process, counted as a restart."""
    bench.engine.start(bench.launch())
    before = bench.pid()
    bench.kill()
    until(lambda: bench.seen().pid not in (None, before))
    assert bench.seen().restarts == 1
    last_exit = bench.seen().last_exit
    assert last_exit is not None and last_exit.signal == 9


def test_restart_is_not_a_failure(bench: Bench) -> None:
    """An asked-for restart gives a new process and counts nothing."""
    bench.engine.start(bench.launch())
    before = bench.pid()
    bench.engine.restart("web-1", cause="test")
    assert bench.pid() != before
    assert bench.seen().restarts == 0


def test_update_keeps_the_process(bench: Bench) -> None:
    """A new fingerprint is taken over in place."""
    launch = bench.launch()
    bench.engine.start(launch)
    before = bench.pid()
    bench.engine.update(replace(launch, digest="two", files={"/x": "c"}), reload=False)
    assert (bench.pid(), bench.seen().digest, bench.seen().files) == (before, "two", {"/x": "c"})


def test_reload_needs_a_signal(bench: Bench) -> None:
    """Reloading what has no reload signal is refused."""
    bench.engine.start(bench.launch())
    with pytest.raises(EngineFailed):
        bench.engine.update(bench.launch(), reload=True)


def test_remove_forgets(bench: Bench) -> None:
    """A removed instance is seen no more, and removing it again is fine."""
    bench.engine.start(bench.launch())
    bench.engine.remove("web-1")
    bench.engine.remove("web-1")
    assert bench.engine.observe() == ()


def test_one_service_is_seen_alone(bench: Bench) -> None:
    """Only the instances of the service asked for come back, not those of one whose name begins like it."""
    bench.engine.start(bench.launch())
    log = str(bench.home / "logs" / "web-page-1.log")
    bench.engine.start(bench.launch(instance="web-page-1", service="web-page", log_path=log))

    assert [seen.instance for seen in bench.engine.observe("web")] == ["web-1"]
    assert [seen.instance for seen in bench.engine.observe("web-page")] == ["web-page-1"]
    assert bench.engine.observe("page") == ()


def test_unknown_instance(bench: Bench) -> None:
    """Stopping the unknown is done already; restarting it cannot be."""
    bench.engine.stop("web-1", cause="test")
    with pytest.raises(EngineFailed):
        bench.engine.restart("web-1", cause="test")


@pytest.mark.parametrize(("code", "state"), [(0, InstanceState.COMPLETE), (3, InstanceState.FAILED)])
def test_one_shot_ends(bench: Bench, code: int, state: InstanceState) -> None:
    """A one-shot is complete or failed by its exit code and not run again."""
    bench.engine.start(bench.launch(f"exit {code}", exit=Exit(code=code), oneshot=True))
    until(lambda: bench.seen().state is state)
    last_exit = bench.seen().last_exit
    assert last_exit is not None and last_exit.code == code


def test_run_once_returns_the_end_and_forgets(bench: Bench) -> None:
    """Running once blocks until the end and leaves no instance behind."""
    assert bench.engine.run_once(bench.launch("exit 4", exit=Exit(code=4), oneshot=True), timeout=5).code == 4
    assert bench.engine.observe() == ()


def test_run_once_kills_at_the_timeout(bench: Bench) -> None:
    """A one-shot that does not end is killed."""
    assert bench.engine.run_once(bench.launch(oneshot=True), timeout=0.2).signal is not None


def test_exit_at_once_gives_up_and_keeps_the_last_words(bench: Bench) -> None:
    """Beyond its attempts in mode fail the instance is failed, and the logs say why."""
    policy = LaunchRestart(attempts=1, interval=60, delay=0.0, mode="fail")
    bench.engine.start(
        bench.launch("echo last words; exit 1", lines=("last words",), exit=Exit(code=1), restart=policy)
    )
    until(lambda: bench.seen().state is InstanceState.FAILED)
    assert bench.seen().restarts == 1
    assert bench.texts() == ["last words", "last words"]


def test_logs_give_the_last_lines(bench: Bench) -> None:
    """The number of lines asked for is taken from the end."""
    bench.engine.start(bench.launch("echo a; echo b; echo c; exec sleep 300", lines=("a", "b", "c")))
    until(lambda: len(bench.texts()) == 3)
    lines = bench.engine.logs("web-1", lines=2, since=None, follow=False)
    assert [line.text for line in lines] == ["b", "c"]
