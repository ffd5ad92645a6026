"""Which image a tag means on this host now, or why it cannot be run."""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import AgentError
from agent.system.command import find_binary, run

_DOCKER_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image by its id, or the reason why there is none."""

    id: str = ""
    reason: str = ""


def resolve_image(name: str) -> Image:
    """Return the id the name has in this host's Docker; nothing is pulled, so that a plan stays quick and honest."""
    if find_binary("docker") is None:
        return Image(reason=f"needs the image {name} and docker (apt-get install docker.io)")
    command = ("docker", "image", "inspect", "--format", "{{.Id}}", name)
    try:
        done = run(command, timeout=_DOCKER_SECONDS, check=False)
    except AgentError as error:
        return Image(reason=f"needs the image {name}: {error.message.splitlines()[0]}")
    if done.code == 0:
        return Image(id=done.output.strip())
    if "No such image" in done.error:
        return Image(reason=f"the image is not on this host: docker pull {name}")
    return Image(reason=f"needs the image {name} and a running docker: {done.error.strip().splitlines()[-1][:160]}")
