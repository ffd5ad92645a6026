"""`secret set|list`: secrets go in by standard input and never come out."""

from __future__ import annotations

import argparse
import getpass
import re
import sys

from agent.cli.session import home_of
from agent.errors import UsageError
from agent.security.secret import Secret
from agent.system.lock import hold
from agent.system.secret_store import SecretStore, read_secrets, write_secrets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("action", choices=("set", "list"))
    parser.add_argument("name", nargs="?")


def run(arguments: argparse.Namespace) -> int:
    """Store a value, or print names with their digests."""
    home = home_of(arguments)
    if arguments.action == "list":
        store = read_secrets(home.secrets)
        for name, secret in sorted(store.values.items()):
            print(f"{name}  {secret.digest(store.key)}")
        return 0
    if not arguments.name or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", arguments.name):
        raise UsageError("name the secret: letters, digits and _", hint="refnet-agent secret set NAME < file")
    value = getpass.getpass(f"{arguments.name}: ") if sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")
    if not value:
        raise UsageError("the value is empty; nothing was changed")
    with hold(home.lock, message="secret set"):
        store = read_secrets(home.secrets)
        write_secrets(home.secrets, SecretStore(key=store.key, values={**store.values, arguments.name: Secret(value)}))
    print(f"{arguments.name} is set; it takes effect with the next apply.")
    return 0
