"""What is wrong, why, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.model.service import Dependency, Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that was seen of one service when somebody asked.

    `symptom` is empty while the service is well. `process_state` is the letter of /proc/PID/stat of a main process
    that is not simply running or sleeping, `strangers` the holders of ports it needs, `lines` its last output,
    `checks` what each failing check said, `exit` how it last ended, in words.
    """

    service: str
    symptom: str = ""
    depends_on: dict[str, Dependency] = field(default_factory=dict)
    signatures: tuple[Signature, ...] = ()
    process_state: str = ""
    pid: int | None = None
    exit: str = ""
    exit_code: int | None = None
    out_of_memory: bool = False
    strangers: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    restarts: int = 0
    held: bool = False
    missing: tuple[str, ...] = ()
    externals: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that is wrong with `subject`, what shows it, and the next thing to do."""

    subject: str
    what: str
    evidence: tuple[str, ...] = ()
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The causes of one service's trouble, nearest first; `left_alone` are the services that only suffer from it."""

    service: str
    symptom: str
    causes: tuple[Cause, ...] = ()
    done: tuple[str, ...] = ()
    left_alone: tuple[str, ...] = ()
