"""Send one notice through one channel; raise DeliveryFailed with words that hold no secret."""

from __future__ import annotations

import json
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import assert_never

from agent.errors import CommandFailed, CommandMissing, DeliveryFailed
from agent.model.incident import Notice, NoticeKind
from agent.model.notify import Channel, ChannelType
from agent.security.secret import Secret
from agent.system.command import run
from agent.system.post import post_json

_SIGNS = {NoticeKind.RESOLVED: "resolved", NoticeKind.MAINTENANCE: "maintenance", NoticeKind.DEPLOY: "deploy"}


def deliver(channel: Channel, notice: Notice, secrets: Mapping[str, Secret]) -> str:
    """Send it and return what the receiver said. Blocks for a few timeouts of the channel at most.

    The key travels as `Idempotency-Key`, in the body, or as the mail's Message-ID: a receiver may get one twice.
    """
    match channel.type:
        case ChannelType.WEBHOOK:
            return _post(channel, {**asdict(notice), "headline": headline(notice)}, notice, secrets)
        case ChannelType.SLACK:
            return _post(channel, {"text": f"*{headline(notice)}*\n```{notice.text}```"}, notice, secrets)
        case ChannelType.SMTP:
            return _mail(channel, notice, secrets)
        case ChannelType.COMMAND:
            return _command(channel, notice)
        case _ as never:
            assert_never(never)


def headline(notice: Notice) -> str:
    """Return the first line people see: the stack, how grave it is, and what it is about."""
    return f"[{notice.stack}] {_SIGNS.get(notice.kind, str(notice.severity))}: {notice.title}"


def _post(channel: Channel, body: dict[str, object], notice: Notice, secrets: Mapping[str, Secret]) -> str:
    url = channel.url or _secret(channel.url_secret or "", secrets)
    headers = {**channel.headers, "Idempotency-Key": _digest(notice)}
    return post_json(url, body, headers=headers, timeout=channel.timeout.total_seconds())


def _digest(notice: Notice) -> str:
    """The key as a token that fits in any header."""
    return sha256(f"{notice.stack}/{notice.key}".encode()).hexdigest()[:32]


def _mail(channel: Channel, notice: Notice, secrets: Mapping[str, Secret]) -> str:
    mail = EmailMessage()
    mail["Subject"] = headline(notice).replace("\n", " ").replace("\r", " ")
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.to)
    mail["Message-ID"] = f"<{_digest(notice)}@refnet-agent>"
    mail["Date"] = format_datetime(datetime.fromisoformat(notice.at))
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(notice.text)
    password = _secret(channel.password_secret, secrets) if channel.password_secret else None
    try:
        with smtplib.SMTP(channel.host, channel.port, timeout=channel.timeout.total_seconds()) as client:
            if channel.starttls:
                client.starttls(context=ssl.create_default_context())
            if channel.username and password:
                client.login(channel.username, password)
            refused = client.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        said = _smtp_words(error)
        raise DeliveryFailed(f"{channel.host}:{channel.port}: {said}", hint="is the mail server right?") from error
    if refused:
        raise DeliveryFailed(f"{channel.host}: refused for {', '.join(refused)}")
    return f"{channel.host} took it for {', '.join(channel.to)}"


def _smtp_words(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _command(channel: Channel, notice: Notice) -> str:
    words = json.dumps({**asdict(notice), "headline": headline(notice)}, ensure_ascii=False)
    try:
        done = run(channel.command, timeout=channel.timeout.total_seconds(), words=words)
    except (CommandFailed, CommandMissing) as error:
        raise DeliveryFailed(error.message, hint="run it by hand: it reads JSON on its standard input") from error
    return done.said or "the command ended well"


def _secret(name: str, secrets: Mapping[str, Secret]) -> str:
    if name not in secrets:
        raise DeliveryFailed(f"the secret {name} is not set", hint=f"refnet-agent secret set {name}")
    return secrets[name].reveal().strip()
