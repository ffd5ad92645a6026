"""A Nomad job spec for any service."""

from __future__ import annotations

from pathlib import Path

from agent.model.check import CheckType
from agent.model.home import Home
from agent.model.service import Service
from agent.model.settings import Settings
from agent.model.units import format_duration
from agent.render.launch import Surroundings, fingerprint
from agent.render.templates import Templates


def render_job_spec(service: Service, settings: Settings, templates: Templates) -> str:
    """Return the HCL; checks Nomad cannot run (scripts) are named in a comment and stay with the agent."""
    native = tuple(check for check in service.checks if check.type in {CheckType.HTTP, CheckType.TCP})
    context = {
        "service": service,
        "settings": settings,
        "native_checks": native,
        "agent_checks": tuple(check for check in service.checks if check not in native),
        "environment": service.env.clear,
        "secrets": tuple(dict.fromkeys((*service.env.secret, *service.secret_files))),
        "duration": format_duration,
        "driver": "docker" if service.image else "raw_exec",
        "quoted": _quoted,
        "fields": fingerprint(service, Surroundings(settings=settings, home=Home(root=Path("/"))), None),
    }
    return templates.render("jobs/service.nomad.hcl.j2", context)


def _quoted(text: str) -> str:
    """Return the text as an HCL string: our own variables stay as text, HCL's interpolation is escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'
