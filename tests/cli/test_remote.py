"""`--on` runs a verb on another machine, by the ssh of this one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent.cli.remote import remote_command, split_destination
from agent.errors import UsageError
from tests.e2e.conftest import PROGRAM, ROOT


def test_the_option_is_taken_from_anywhere_before_the_dashes() -> None:
    """What follows `--` belongs to the command that `run` runs."""
    assert split_destination(["status", "--on", "ssh://a", "--json"]) == ("ssh://a", ["status", "--json"])
    assert split_destination(["--on=ssh://a", "status"]) == ("ssh://a", ["status"])
    assert split_destination(["run", "api", "--", "x", "--on", "y"])[0] is None


def test_words_arrive_as_they_were_typed() -> None:
    """The remote shell splits one word into words again, so it is quoted."""
    command = remote_command("ssh://ops@host:2222", ["run", "api", "--", "echo", "a b; c"], terminal=False)

    assert command == ("ssh", "-T", "-p", "2222", "ops@host", "refnet-agent run api -- echo 'a b; c'")


@pytest.mark.parametrize("address", ["host", "http://host", "ssh://", "ssh://-oProxyCommand=x"])
def test_another_kind_of_address_is_refused(address: str) -> None:
    """An option of ssh cannot be smuggled in as a host."""
    with pytest.raises(UsageError, match="expected ssh://"):
        remote_command(address, ["status"], terminal=False)


def test_the_exit_code_and_the_words_come_back(tmp_path: Path) -> None:
    """A stand-in for ssh shows what it was given and ends as the verb over there would."""
    fake = tmp_path / "ssh"
    fake.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    fake.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = (*PROGRAM, "status", "--json", "--on", "ssh://host")

    done = subprocess.run(words, capture_output=True, text=True, timeout=30, env=environment, check=False)

    if "ssh is not on this machine" in done.stderr:
        pytest.skip("no ssh on this machine")
    assert (done.returncode, done.stdout) == (3, "-T host refnet-agent status --json\n")
