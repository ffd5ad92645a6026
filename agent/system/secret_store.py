"""The secret store of one home: a 0600 file of names and values, with the key of their digests."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import StateUnreadable
from agent.security.secret import Secret
from agent.system.files import write_atomic


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretStore:
    """What the file held when it was read."""

    key: bytes
    values: Mapping[str, Secret] = field(default_factory=dict)


def read_secrets(path: Path) -> SecretStore:
    """Return the store, an empty one with a new key when there is no file; raise StateUnreadable for a corrupt one."""
    try:
        document = json.loads(path.read_text())
        values = {name: Secret(value) for name, value in document["values"].items()}
        return SecretStore(key=bytes.fromhex(document["key"]), values=values)
    except FileNotFoundError:
        return SecretStore(key=secrets.token_bytes(32))
    except (ValueError, KeyError, AttributeError) as error:
        hint = "restore it from a backup: without it no service can reach its database"
        raise StateUnreadable(f"the secret store {path} cannot be read: {error}", hint=hint) from error


def write_secrets(path: Path, store: SecretStore) -> None:
    """Replace the file, atomically, readable by its owner alone."""
    values = {name: secret.reveal() for name, secret in sorted(store.values.items())}
    write_atomic(path, json.dumps({"key": store.key.hex(), "values": values}, indent=1), mode=0o600)
