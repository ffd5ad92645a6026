"""What is wrong with scheduled work as it is written: schedules, time zone, services and commands."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.config.document import KeyPath
from agent.core.schedule import ScheduleError, parse
from agent.model.periodic import Task
from agent.model.settings import Settings

Problem = tuple[KeyPath, str]


def periodic_problems(settings: Settings) -> Iterator[Problem]:
    """Yield every problem with its key path; one of a schedule names the column in its text."""
    if settings.timezone is not None:
        try:
            ZoneInfo(settings.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield ("timezone",), f"expected a time zone such as Asia/Tokyo, found {settings.timezone!r}"
    for name, periodic in settings.periodic.items():
        place: KeyPath = ("periodic", name)
        try:
            parse(periodic.schedule)
        except ScheduleError as error:
            yield (*place, "schedule"), str(error)
        if periodic.service and periodic.service not in settings.services:
            yield (*place, "service"), f"there is no service {periodic.service!r}"
        if periodic.retries < 0:
            yield (*place, "retries"), f"expected 0 or more, found {periodic.retries}"
        if periodic.timeout.total_seconds() <= 0:
            yield (*place, "timeout"), "expected more than 0s"
        for external in periodic.needs:
            if external not in settings.externals:
                yield (*place, "needs"), f"there is no external {external!r}"
        has_command = bool(periodic.command)
        crawls = any("crawl" in each.tasks for each in settings.services.values())
        match periodic.task:
            case Task.COMMAND if not has_command or not periodic.service:
                yield place, "a command task needs `service` and `command`"
            case Task.CRAWL if not crawls and not (has_command and periodic.service):
                yield place, "no service has a task `crawl`: name `service` and `command`"
            case Task.BACKUP if has_command:
                yield (*place, "command"), "a backup task has no command: services say how with `dump`"
            case _:
                pass
