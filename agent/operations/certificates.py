"""The authority of this home and the gateway's certificate."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from agent.operations.prepare import owner_of
from agent.operations.stack import Stack
from agent.security.authority import KeyPair, create_authority, issue, renewal_due
from agent.system.accounts import ensure_user
from agent.system.files import ensure_directory, write_atomic


def ensure_certificates(stack: Stack) -> bool:
    """Make what is missing or due for renewal; returns whether the gateway's certificate changed."""
    gateway = stack.desired.settings.gateway
    service = stack.desired.find("gateway")
    if gateway is None or service is None:
        return False
    folder, now = stack.home.certificates, datetime.now(UTC)
    ensure_directory(folder, mode=0o711)
    authority = _authority(stack, now)
    hosts = tuple(dict.fromkeys((gateway.host, "localhost", "127.0.0.1")))
    certificate = folder / "gateway.pem"
    key = folder / "gateway-key.pem"
    if certificate.exists() and key.exists() and not renewal_due(certificate.read_bytes(), hosts, now=now):
        return False
    pair = issue(authority, hosts, now=now)
    write_atomic(key, pair.key, mode=0o400, owner=owner_of(ensure_user(service.service.user)))
    write_atomic(certificate, pair.certificate + authority.certificate, mode=0o444)
    return True


def _authority(stack: Stack, now: datetime) -> KeyPair:
    folder = stack.home.certificates
    key, certificate = folder / "ca-key.pem", folder / "ca.pem"
    if key.exists() and certificate.exists():
        return KeyPair(key=key.read_bytes(), certificate=certificate.read_bytes())
    authority = create_authority(stack.desired.settings.name, now=now)
    write_atomic(key, authority.key, mode=0o400, owner=(os.geteuid(), os.getegid()))
    write_atomic(certificate, authority.certificate, mode=0o444)
    return authority
