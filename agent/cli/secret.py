"""`secret set|list`: secrets go in by standard input or a prompt and never come out."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Mapping

from agent.cli.output import print_json, print_table
from agent.cli.session import add_file_arguments, file_path, home_of, read_file, seconds
from agent.errors import UsageError
from agent.operations.releases import latest
from agent.operations.secret_names import secret_users
from agent.security.secret import Secret
from agent.system.lock import hold
from agent.system.secret_store import SecretStore, read_secrets, write_secrets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_file_arguments(parser)
    parser.add_argument("action", choices=("set", "list"))
    parser.add_argument("name", nargs="?", help="the secret; its value comes from standard input or is asked for")
    parser.add_argument("--lock-wait", default="0s", metavar="DURATION", help="wait this long for another command")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(arguments: argparse.Namespace) -> int:
    """Store a value, or print names with their digests and users."""
    if arguments.action == "list":
        return _list(arguments)
    name = arguments.name
    if not name or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        # Whoever wrote NAME=VALUE must not read the value again on the screen.
        raise UsageError("name the secret: letters, digits and _", hint="refnet-agent secret set NAME < file")
    home = home_of(arguments)
    _require_known(arguments, name)
    value = _value(name)
    if not value:
        raise UsageError("the value is empty; nothing was changed")
    with hold(home.lock, message="secret set", wait=seconds(arguments.lock_wait)):
        store = read_secrets(home.secrets)
        write_secrets(home.secrets, SecretStore(key=store.key, values={**store.values, name: Secret(value)}))
    if arguments.json:
        print_json({"name": name, "digest": Secret(value).digest(store.key)})
    else:
        print(f"{name} is set; it takes effect with the next apply.")
    return 0


def _value(name: str) -> str:
    if sys.stdin.isatty():
        import getpass  # noqa: PLC0415 - only a person at a terminal is asked

        return getpass.getpass(f"{name}: ")
    return sys.stdin.read().removesuffix("\n")


def _list(arguments: argparse.Namespace) -> int:
    store = read_secrets(home_of(arguments).secrets)
    users = _users(arguments, release_first=True) or {}
    found = [
        {
            "name": name,
            "digest": store.values[name].digest(store.key) if name in store.values else None,
            "services": list(users.get(name, ())),
        }
        for name in sorted(store.values.keys() | users.keys())
    ]
    if arguments.json:
        print_json({"secrets": found})
        return 0
    rows = [(str(each["name"]), str(each["digest"] or "-"), ", ".join(each["services"] or ())) for each in found]
    print_table(("SECRET", "DIGEST", "USED BY"), rows, spare=("DIGEST",))
    return 0


def _require_known(arguments: argparse.Namespace, name: str) -> None:
    """Raise UsageError when neither the newest release nor the file knows the name; a bare home knows any."""
    for release_first in (True, False):
        users = _users(arguments, release_first=release_first)
        if users is None or name in users:
            return
    near = difflib.get_close_matches(name, users or (), n=1)
    known = f"did you mean {near[0]}?" if near else "write it into the file first, and name that with -f"
    raise UsageError(f"nothing uses a secret {name}", hint=known)


def _users(arguments: argparse.Namespace, *, release_first: bool) -> Mapping[str, tuple[str, ...]] | None:
    """Return who uses which secret by the release or by the file, None when there is neither."""
    release = latest(home_of(arguments))
    if release is not None and release_first and not arguments.file:
        return secret_users(release.desired.settings)
    if file_path(arguments) is not None:
        return secret_users(read_file(arguments).settings)
    return secret_users(release.desired.settings) if release else None
