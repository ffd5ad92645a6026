"""Open the stack of a stored release, for every verb but plan and apply, and for the daemon."""

from __future__ import annotations

from pathlib import Path

from agent.errors import AgentError
from agent.model.home import Home
from agent.operations.engines import open_engine
from agent.operations.releases import Release, latest
from agent.operations.stack import Stack, secret_values
from agent.render.launch import Surroundings
from agent.system.accounts import find_user
from agent.system.secret_store import read_secrets


def open_release(home: Home, release: Release | None = None) -> Stack:
    """Return the stack of a stored release, the newest by default; raise AgentError when nothing was applied."""
    release = release or latest(home)
    if release is None:
        raise AgentError(f"nothing has been applied in {home.root}", hint="refnet-agent apply -f refnet.yaml")
    store = read_secrets(home.secrets)
    desired = release.desired
    names = {each.service.user for each in desired.services if each.service.user}
    around = Surroundings(
        settings=desired.settings,
        home=home,
        users={name: find_user(name) for name in names},
        secrets=secret_values(desired.settings, home, store),
        key=store.key,
    )
    base = Path(release.base or ".")
    return Stack(
        home=home, engine=open_engine(home, desired.settings.engine), desired=desired, around=around, base=base
    )
