"""Every error a user can meet, each with its exit code and a hint.

AgentError                     1   something was tried and failed
├── UsageError                64   wrong words on the command line
├── ConfigurationError        64   the file is wrong: carries every problem found
├── Busy                      75   another apply holds the lock
├── RolledBack                 3   apply failed and the old release serves on
├── StoppedBeforeMigration     3   apply stopped at a migration's point of no return
├── CommandFailed              1   an external command said no
│   └── CommandTimedOut        1   … or nothing in time
├── CommandMissing             1   an external command is not installed
├── EngineFailed               1   the engine could not do what it was asked
├── StateUnreadable            1   a file of the agent's own is corrupt
├── DeliveryFailed             1   a notice did not reach its receiver
├── DeployFailed               1   a service did not become healthy; nothing to roll back to
└── Interrupted              130   Ctrl-C
"""

from __future__ import annotations


class AgentError(Exception):
    """Say what happened, where and why; the hint says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AgentError):
    """The command line asks for something that does not exist."""

    exit_code = 64


class ConfigurationError(AgentError):
    """The configuration is wrong; `problems` lists every one, as `file:line:col: key.path: text`."""

    exit_code = 64

    def __init__(self, problems: tuple[str, ...], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class Busy(AgentError):
    """Another process holds the lock of this home."""

    exit_code = 75


class RolledBack(AgentError):
    """The new release failed and the old one was put back."""

    exit_code = 3


class StoppedBeforeMigration(AgentError):
    """A release that migrated failed and may not be reverted by itself."""

    exit_code = 3


class CommandFailed(AgentError):
    """An external command ended with a bad exit code, by a signal or at its deadline."""


class CommandTimedOut(CommandFailed):
    """An external command was ended at its deadline; `said` is all it had printed by then."""

    def __init__(self, message: str, *, said: str) -> None:
        super().__init__(message)
        self.said = said


class CommandMissing(AgentError):
    """An external command is not on this machine."""


class EngineFailed(AgentError):
    """The engine could not start, stop or see an instance."""


class StateUnreadable(AgentError):
    """A file the agent wrote itself cannot be read back."""


class DeployFailed(AgentError):
    """A service did not become healthy and there is no earlier release to return to."""


class Interrupted(AgentError):
    """The operator pressed Ctrl-C."""

    exit_code = 130


class DeliveryFailed(AgentError):
    """A notice did not reach its receiver."""
