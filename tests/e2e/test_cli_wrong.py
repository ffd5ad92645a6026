"""Whatever is wrong with the words or the file is said before anything is changed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.e2e.command_line import QUIET, STEADY, begin, ended
from tests.e2e.conftest import Agent

WRONG = {
    "not YAML": ("name: demo\nservices: [\n", "stack.yaml:3:1"),
    "not a mapping": ("- one\n- two\n", "stack.yaml:1:1: expected a mapping"),
    "a key nobody knows": ("name: demo\nservcies: {}\n", "did you mean services?"),
    "a cycle": (
        "name: demo\nservices:\n  a: {command: [x], depends_on: {b: {}}}\n  b: {command: [x], depends_on: {a: {}}}\n",
        "→",
    ),
    "a port twice": (
        "name: demo\nservices:\n  a: {command: [x], ports: {http: 9000}}\n  b: {command: [x], ports: {http: 9000}}\n",
        "9000",
    ),
    "an unknown variable": (
        'name: demo\nservices:\n  a: {command: [sleep, "${PROT}"], ports: {http: 9000}}\n',
        "unknown variable ${PROT}, did you mean ${PORT}?",
    ),
    "a variable its template misses": (
        "name: demo\nservices:\n  a: {command: [x], files: [{template: redis/redis.conf.j2, path: a.conf}]}\n",
        "templates/redis/redis.conf.j2:",
    ),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("verb", ["validate", "plan", "apply"])
def test_a_wrong_file_is_refused_with_its_place_and_nothing_is_changed(agent: Agent, what: str, verb: str) -> None:
    """Exit 64, the place on standard error, no traceback, and no secret, release or instance appears."""
    text, place = WRONG[what]
    agent.write(text)

    code, output, error = ended(begin(agent, verb, "-f", str(agent.file)))

    assert (code, output) == (64, "")
    assert place in error
    assert "Traceback" not in error
    left = {path.name for path in agent.home.iterdir()} if agent.home.exists() else set()
    assert left <= {"lock"}


def test_a_file_that_is_not_there_is_named(agent: Agent) -> None:
    """With its path, and 64."""
    assert "nowhere.yaml: there is no such file" in agent.run("plan", "-f", "nowhere.yaml", code=64)


def test_an_unknown_service_is_refused_by_every_verb_that_takes_one(agent: Agent) -> None:
    """The nearest one is named."""
    agent.write(f"name: demo\n{QUIET}services:\n{STEADY}")
    agent.apply()

    file = ("-f", str(agent.file))
    for words in (
        ("apply", *file, "stedy"),
        ("apply", *file, "--allow-restart", "stedy"),
        ("plan", *file, "stedy"),
        ("logs", "stedy"),
        ("restart", "stedy"),
        ("stop", "stedy"),
        ("start", "stedy"),
        ("run", "stedy", "--", "true"),
        ("exec", "stedy", "--", "true"),
    ):
        assert "did you mean steady?" in agent.run(*words, code=64), words


def test_a_missing_program_is_named_with_its_package(agent: Agent) -> None:
    """Nothing is started, and doctor says the same."""
    service = "  odd: {command: [no-such-program], packages: {no-such-program: such-package}}\n"
    agent.write(f"name: demo\n{QUIET}services:\n{service}")

    said = agent.apply(code=1)

    assert "not installed: no-such-program" in said
    assert "apt-get install such-package" in said
    assert not (agent.home / "instances").exists()
    assert "apt-get install such-package" in agent.run("doctor", "-f", str(agent.file), code=1)


def test_a_taken_port_is_named_with_its_owner_and_nothing_starts(agent: Agent) -> None:
    """The process that holds it, and its pid."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        agent.write(
            f"name: demo\n{QUIET}services:\n  web: {{command: [sleep, '9'], ports: {{http: {port}}}}}\n{STEADY}"
        )
        said = agent.apply(code=1)

    assert f"web-1: port {port} is taken by " in said
    assert "(pid " in said
    assert not (agent.home / "instances").exists()


def test_plan_exits_2_while_something_is_to_do_and_0_afterwards(agent: Agent) -> None:
    """And writes nothing."""
    agent.write(f"name: demo\n{QUIET}services:\n{STEADY}")
    agent.run("plan", "-f", str(agent.file), code=2)
    assert not agent.home.exists()

    agent.apply()

    agent.run("plan", "-f", str(agent.file))


def test_wrong_words_are_refused_without_a_traceback(agent: Agent) -> None:
    """Options that do not exist, numbers that are none, durations that are none."""
    for words in (
        (),
        ("--wrong",),
        ("status", "--wrong"),
        ("apply", "--progress", "loud"),
        ("logs", "-n", "many"),
        ("release", "show", "1", "2"),
        ("apply", "--lock-wait", "soon", "-f", "x"),
        ("--completion", "cmd"),
        ("secret", "set", "NAME=value"),
    ):
        assert "Traceback" not in agent.run(*words, code=64), words


def test_a_secret_is_never_taken_from_the_words(agent: Agent) -> None:
    """Who writes it there is told, and does not read it again."""
    said = agent.run("secret", "set", "API_KEY=hunter2", code=64)

    assert "hunter2" not in said


def test_a_home_that_is_a_file_is_said(agent: Agent, tmp_path: Path) -> None:
    """An error of the operating system is a sentence too."""
    agent.write(f"name: demo\n{QUIET}services:\n{STEADY}")
    place = tmp_path / "in-the-way"
    place.write_text("")

    said = agent.run("apply", "-f", str(agent.file), "--home", str(place), code=1)

    assert "Traceback" not in said
    assert str(place) in said
