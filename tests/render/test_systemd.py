"""Claims about the rendered systemd units."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config.read import read_settings
from agent.model.desired import RenderedFile
from agent.model.home import Home
from agent.model.instance import Launch, LaunchLimits, LaunchRestart, User
from agent.render.container import in_container
from agent.render.files import render_files
from agent.render.launch import CodeVersion, Surroundings, build_launch
from agent.render.systemd import UnitHost, render_unit, unit_name
from agent.render.templates import Templates
from agent.system.assets import asset_directory, catalogue

ROOT = Path(__file__).parent.parent.parent
TEMPLATES = Templates({"jobs": asset_directory("jobs"), "templates": asset_directory("templates")})
GOLDEN = ROOT / "tests" / "golden" / "systemd"
SETTINGS = read_settings(ROOT / "examples/refnet/refnet.yaml", catalogue=catalogue()).settings
HOME = Home(root=Path("/var/lib/refnet-agent"))
HOST = UnitHost(home=HOME, version=252)


def launch_of(name: str) -> Launch:
    """Return the first instance of a service of the example, the same on every host."""
    service = SETTINGS.services[name]
    users = {each.user: User(uid=990, gid=990) for each in SETTINGS.services.values() if each.user}
    around = Surroundings(settings=SETTINGS, home=HOME, users=users)
    code = CodeVersion(digest="c0de", environment="e417") if service.source else None
    files = render_files(service, SETTINGS, HOME, TEMPLATES)
    launch = build_launch(
        service, around, number=1, code=code, files=files, image="sha256:1a6e" if service.image else ""
    )
    if launch.image:
        return in_container(launch, service, HOME, folders=(str(HOME.service(name)),))
    return launch


@pytest.mark.parametrize("name", sorted(SETTINGS.services))
def test_every_service_has_a_unit_equal_to_its_golden_file(name: str, request: pytest.FixtureRequest) -> None:
    """A change of the rendering shows as a change of these files: --update-golden rewrites them."""
    launch = launch_of(name)
    text = render_unit(replace(launch, command=(f"/usr/bin/{launch.command[0]}", *launch.command[1:])), HOST)
    golden = GOLDEN / f"{name}.service"
    if request.config.getoption("--update-golden"):
        golden.write_text(text)

    assert text == golden.read_text()


@pytest.mark.parametrize("name", sorted(SETTINGS.services))
def test_systemd_itself_has_nothing_to_say_against_a_unit(name: str, tmp_path: Path) -> None:
    """`systemd-analyze verify` names unknown keys, bad values and what it would ignore."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on PATH")
    launch = launch_of(name)
    path = tmp_path / unit_name(HOME, launch.instance)
    path.write_text(render_unit(replace(launch, command=("/bin/true", *launch.command[1:])), HOST))
    command = (analyze, "verify", "--man=no", str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert [line for line in done.stderr.splitlines() if path.name in line] == []


def simple(**changes: object) -> Launch:
    """Return a small launch."""
    launch = Launch(instance="web-1", service="web", command=("/bin/web",), directory="/", log_path="/l", digest="d")
    return replace(launch, **changes)  # type: ignore[arg-type]


def test_words_arrive_as_they_were_written() -> None:
    """Nothing in a command or a variable is taken for a specifier, a variable, a quote or a next command."""
    text = render_unit(
        simple(
            command=("/bin/web", "50%", "$HOME", 'say "hi"', "a\\b", ";", "", "two\nlines"), environment={"A": "1 %i"}
        ),
        HOST,
    )

    assert 'ExecStart=:/bin/web "50%%" "$HOME" "say \\"hi\\"" "a\\\\b" ";" "" "two\\nlines"\n' in text
    assert 'Environment="A=1 %%i"\n' in text


def test_a_service_whose_files_name_its_output_gets_a_pipe() -> None:
    """nginx opens /dev/stdout, which a socket to the journal refuses."""
    files = (RenderedFile(path="nginx.conf", text="access_log /dev/stdout;"),)
    around = Surroundings(settings=SETTINGS, home=HOME)
    launch = build_launch(SETTINGS.services["gateway"], around, number=1, code=None, files=files)

    assert launch.reopens_output
    assert "systemd-cat" in render_unit(launch, HOST)
    assert "systemd-cat" not in render_unit(launch_of("postgres"), HOST)


def test_attempts_become_the_start_limit() -> None:
    """The first start and every allowed restart count; the written delay is honoured."""
    text = render_unit(simple(restart=LaunchRestart(attempts=3, interval=60, delay=0.25)), HOST)

    assert "StartLimitIntervalSec=60s\nStartLimitBurst=4\n" in text
    assert "Restart=always\nRestartSec=250ms\n" in text


def test_back_off_grows_only_where_systemd_knows_how() -> None:
    """RestartSteps came with version 254; an older one would warn at each load."""
    old, new = render_unit(simple(), HOST), render_unit(simple(), replace(HOST, version=254))

    assert "RestartSteps" not in old
    assert "RestartSec=100ms\nRestartSteps=9\nRestartMaxDelaySec=30s\n" in new


def test_a_service_with_a_user_may_write_only_to_its_own_folders() -> None:
    """Everything else is read-only to it."""
    text = render_unit(launch_of("postgres"), HOST)

    assert "ProtectSystem=strict\n" in text
    assert "-/var/lib/refnet-agent/data/postgres" in text
    assert "User=990\n" in text


def test_a_home_in_the_temporary_folder_is_not_hidden_from_its_services() -> None:
    """PrivateTmp would put an empty folder over it."""
    assert "PrivateTmp" not in render_unit(simple(), replace(HOST, home=Home(root=Path("/tmp/x"))))
    assert "PrivateTmp=yes" in render_unit(simple(), HOST)


def test_a_user_manager_gets_only_what_it_can_do() -> None:
    """No user to change to, no mounts, and its own target."""
    text = render_unit(simple(user=User(uid=5, gid=5)), replace(HOST, user_manager=True))

    assert "User=" not in text
    assert "Protect" not in text
    assert "WantedBy=default.target\n" in text


def test_a_container_keeps_its_limits_to_itself() -> None:
    """The unit is only docker's client: a limit on it would hit the wrong process."""
    text = render_unit(simple(container="c", limits=LaunchLimits(memory_bytes=1, processes=1)), HOST)

    assert "MemoryMax" not in text
    assert "TasksMax" not in text


def test_no_secret_is_in_a_unit() -> None:
    """Its manager reads them from a file of mode 0600."""
    text = render_unit(simple(secret_environment={"TOKEN": "/s/TOKEN"}), HOST)

    assert "EnvironmentFile=/var/lib/refnet-agent/instances/web-1/environment\n" in text
    assert "TOKEN" not in text
