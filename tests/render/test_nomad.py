"""Claims about the rendered Nomad job specs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.config.read import read_settings
from agent.model.home import Home
from agent.render.nomad import render_job_spec
from agent.render.templates import Templates
from agent.system.assets import asset_directory, catalogue

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "golden" / "nomad"
SETTINGS = read_settings(ROOT / "examples/refnet/refnet.yaml", catalogue=catalogue()).settings
TEMPLATES = Templates({"jobs": asset_directory("jobs"), "templates": asset_directory("templates")})


@pytest.mark.parametrize("name", sorted(SETTINGS.services))
def test_every_service_has_a_job_spec_equal_to_its_golden_file(name: str, request: pytest.FixtureRequest) -> None:
    """A change of the template shows as a change of these files: --update-golden rewrites them."""
    text = render_job_spec(SETTINGS.services[name], SETTINGS, TEMPLATES)
    golden = GOLDEN / f"{name}.nomad.hcl"
    if request.config.getoption("--update-golden"):
        golden.write_text(text)

    assert text == golden.read_text()


@pytest.mark.parametrize("name", sorted(SETTINGS.services))
def test_nomad_itself_formats_and_so_parses_every_golden_file(name: str) -> None:
    """`nomad fmt` refuses what is not HCL."""
    nomad = shutil.which("nomad")
    if nomad is None:
        pytest.skip("no nomad on PATH")
    command = (nomad, "fmt", "-list=false", "-write=false", "-recursive=false", str(GOLDEN / f"{name}.nomad.hcl"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr


def test_no_secret_value_can_be_in_a_job_spec() -> None:
    """Secrets are read from Nomad's variables by the task's own identity."""
    text = render_job_spec(SETTINGS.services["api"], SETTINGS, TEMPLATES)

    assert 'nomadVar "nomad/jobs/refnet-api"' in text
    assert "DATABASE_URL={{ .DATABASE_URL }}" in text


def test_homes_do_not_reach_a_job_spec() -> None:
    """A job spec is the same on every host."""
    texts = [render_job_spec(service, SETTINGS, TEMPLATES) for service in SETTINGS.services.values()]

    assert not any(str(Home(root=Path("/var/lib/refnet-agent")).root) in text for text in texts)
