"""What is wrong with the channels of `notify:` and the policy of incidents."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.document import KeyPath
from agent.model.notify import Channel, ChannelType
from agent.model.settings import Settings


def channel_problems(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Yield what a channel lacks, and two of one name: `alerts test` could not tell them apart."""
    titles: set[str] = set()
    for index, channel in enumerate(settings.notify):
        place: KeyPath = ("notify", index)
        if channel.title in titles:
            yield place, f"another channel is named {channel.title} too; give it a `name`"
        titles.add(channel.title)
        for key, words in _lacking(channel):
            yield (*place, key), words
        if channel.per_hour < 1:
            yield (*place, "per_hour"), f"expected 1 or more, found {channel.per_hour}"
    if settings.daemon.incidents.flapping < 2:
        yield ("daemon", "incidents", "flapping"), "expected 2 or more: one opening is no flapping"


def _lacking(channel: Channel) -> Iterator[tuple[str, str]]:
    match channel.type:
        case ChannelType.WEBHOOK | ChannelType.SLACK:
            if (channel.url is None) == (channel.url_secret is None):
                yield "url", "expected exactly one of `url` and `url_secret`"
            elif channel.url is not None and not channel.url.startswith(("http://", "https://")):
                yield "url", f"expected http://… or https://…, found {channel.url!r}"
        case ChannelType.SMTP:
            if not channel.to or not channel.sender:
                yield "to", "a mail needs a `sender` and at least one address in `to`"
            if (channel.username is None) != (channel.password_secret is None):
                yield "username", "a login needs both `username` and `password_secret`"
        case ChannelType.COMMAND:
            if not channel.command:
                yield "command", "expected a command that reads the notice as JSON on its standard input"
