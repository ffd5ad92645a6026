"""Users of this host, by name."""

from __future__ import annotations

import grp
import os
import pwd

from agent.model.instance import User
from agent.system.command import run


def find_user(name: str | None) -> User | None:
    """Return whom to run as: None when not root (everything runs as the operator) or when no user is named."""
    if name is None or os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = tuple(group.gr_gid for group in grp.getgrall() if name in group.gr_mem)
    return User(uid=found.pw_uid, gid=found.pw_gid, groups=groups)


def ensure_user(name: str | None) -> User | None:
    """Return the user, created as a system user without login when root and missing."""
    user = find_user(name)
    if user is None and name is not None and os.geteuid() == 0:
        run(
            (
                "useradd",
                "--system",
                "--user-group",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                "/usr/sbin/nologin",
                name,
            ),
            timeout=20,
        )
        user = find_user(name)
    return user


def operator_name() -> str:
    """Return who gave the command: the user behind sudo, else the one we run as."""
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
