"""Claims about secrets and certificates."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from agent.errors import ConfigurationError
from agent.security.authority import create_authority, issue, renewal_due
from agent.security.secret import Secret, fill

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_a_secret_never_prints() -> None:
    """Neither str, repr nor a format shows the value."""
    secret = Secret("hunter2")

    assert {str(secret), repr(secret), f"{secret}"} == {"***"}


def test_placeholders_are_filled_and_encoded_for_addresses() -> None:
    """The url form escapes what an address cannot hold."""
    text = "a @{secret:P} b://u:@{secret:P:url}@h"

    assert fill(text, {"P": Secret("x/y@z")}).reveal() == "a x/y@z b://u:x%2Fy%40z@h"


def test_a_missing_secret_is_named_with_the_command_that_sets_it() -> None:
    """The hint can be pasted."""
    with pytest.raises(ConfigurationError) as caught:
        fill("@{secret:ALERT_WEBHOOK}", {})

    assert caught.value.hint == "set it with: refnet-agent secret set ALERT_WEBHOOK"


def test_digests_of_secrets_are_keyed() -> None:
    """Two homes cannot compare their secrets."""
    assert Secret("x").digest(b"1" * 32) != Secret("x").digest(b"2" * 32)


def test_a_leaf_is_trusted_through_its_authority_and_renewed_after_two_thirds(tmp_path: Path) -> None:
    """OpenSSL accepts the chain; renewal is due at two thirds of its life or for other hosts."""
    authority = create_authority("demo", now=NOW)
    hosts = ("refnet.localhost", "127.0.0.1")
    leaf = issue(authority, hosts, now=NOW)
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "leaf.pem").write_bytes(leaf.certificate + leaf.key)
    ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "leaf.pem")

    found = x509.load_pem_x509_certificate(leaf.certificate)
    found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    assert not renewal_due(leaf.certificate, hosts, now=NOW + timedelta(days=19))
    assert renewal_due(leaf.certificate, hosts, now=NOW + timedelta(days=21))
    assert renewal_due(leaf.certificate, ("other.localhost",), now=NOW)
