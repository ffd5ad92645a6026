"""How much a service may print: what reaches the log a second, what it costs, and whether the service waits."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench import supervisord as peer
from bench.agent import Failed, agent
from bench.figures import Judged, Measure, Role, Sample
from bench.room import Room, end_processes

SECONDS = 120
_CHATTY = Path(__file__).parent / "services" / "chatty.py"
_PYTHON = "/usr/bin/python3"
_MEGA = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What one run wrote: megabytes a second, the longest write (ms), the supervisor's CPU seconds a gigabyte."""

    speed: float
    longest: float
    cost: float


def measure(room: Room) -> Iterator[Measure]:
    """Let the same service print for two seconds under each subject, in turns."""
    turns, seconds = room.few(3, quick=1), room.few(2, quick=1)
    subjects: list[tuple[str, Role, Callable[[Room, str, int], Talk]]] = [("refnet-agent keeper", Role.OURS, _ours)]
    if peer.is_there():
        subjects.append(("supervisord, default", Role.DEFAULT, _supervisord("")))
        # No rotation: the fastest it can write to a file.
        subjects.append(("supervisord, no rotation", Role.FASTEST, _supervisord("stdout_logfile_maxbytes=0\n")))
    subjects.append(("straight to a file", Role.FLOOR, _file))
    talks: dict[str, list[Talk]] = {subject: [] for subject, _, _ in subjects}
    for turn in range(turns):
        for number, (subject, _, run) in enumerate(subjects):
            talks[subject].append(run(room, f"turn-{turn}-{number}", seconds))

    def samples(value: Callable[[Talk], float]) -> tuple[Sample, ...]:
        return tuple(
            Sample(subject=subject, role=role, values=tuple(map(value, talks[subject])))
            for subject, role, _ in subjects
        )

    note = f"lines of 108 bytes, written 80 at a time for {seconds} s; more is better; every retained line is checked"
    speeds = samples(lambda talk: talk.speed)
    yield Measure(name="log throughput", unit="MB/s", samples=speeds, more_is_better=True, note=note)
    yield Measure(
        name="longest single write", unit="ms", samples=samples(lambda talk: talk.longest), judged=Judged.WORST
    )
    yield Measure(name="supervisor's CPU for 1 GB of log", unit="s", samples=samples(lambda talk: talk.cost))


def _ours(room: Room, name: str, seconds: int) -> Talk:
    result = room.folder / f"{name}.result"
    words = f"{_PYTHON}, -I, -S, {_CHATTY}, '{seconds}', {result}"
    made = agent(room, f"name: bench\nengine: process\nservices:\n  chatty: {{command: [{words}]}}\n", name=name)
    made.apply()
    keeper = made.keepers()[0]
    said = _wait(result, seconds)
    spent = processes.cpu_seconds(keeper)
    files = sorted((made.home / "logs").glob("chatty-1.log*"), key=lambda path: path.name, reverse=True)
    _check_lines(files, said, first_word=True)
    made.destroy()
    return _talk(said, spent)


def _supervisord(options: str) -> Callable[[Room, str, int], Talk]:
    def run(room: Room, name: str, seconds: int) -> Talk:
        result = room.folder / f"{name}.result"
        log = room.folder / f"{name}.log"
        command = f"{_PYTHON} -I -S {_CHATTY} {seconds} {result}"
        program = f"[program:chatty]\ncommand={command}\nstdout_logfile={log}\n{options}"
        running = peer.supervisord(room, program, name=name, count=1)
        said = _wait(result, seconds)
        time.sleep(0.3)
        spent = processes.cpu_seconds(running.pid)
        running.stop()
        backups = sorted(room.folder.glob(f"{name}.log.*"), key=lambda path: int(path.suffix[1:]), reverse=True)
        _check_lines([*backups, log], said, first_word=False)
        return _talk(said, spent)

    return run


def _file(room: Room, name: str, seconds: int) -> Talk:
    result = room.folder / f"{name}.result"
    with (room.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen((_PYTHON, "-I", "-S", str(_CHATTY), str(seconds), str(result)), stdout=log)
    room.leaving.callback(end_processes, [process.pid])
    said = _wait(result, seconds)
    process.kill()
    process.wait()
    return _talk(said, 0.0)


def _wait(result: Path, seconds: int) -> list[float]:
    deadline = time.monotonic() + seconds + 20
    while not result.exists():
        if time.monotonic() > deadline:
            raise Failed(f"the service was still writing {seconds + 20} s after its start")
        time.sleep(0.05)
    return [float(word) for word in result.read_text().split()]


def _talk(said: list[float], spent: float) -> Talk:
    written, seconds, longest, _ = said
    return Talk(speed=written / seconds / _MEGA, longest=longest * 1000, cost=spent / written * 1e9)


def _check_lines(files: list[Path], said: list[float], *, first_word: bool) -> None:
    """What rotation has kept must be without a gap and reach the last line; `first_word` is a time stamp."""
    deadline = time.monotonic() + 5
    while (last := _last_number(files[-1], first_word=first_word)) != said[3] and time.monotonic() < deadline:
        time.sleep(0.1)
    if last != said[3]:
        raise Failed(f"{files[-1]}: ends with line {last}, {said[3]:.0f} was printed")
    expected: int | None = None
    for line in _lines(files):
        number = _number(line, first_word=first_word)
        if number is None or (expected is not None and number != expected):
            raise Failed(f"{files[-1]}: line {expected} is missing, found {line[:80]!r}")
        expected = number + 1


def _lines(files: list[Path]) -> Iterator[bytes]:
    """Yield whole lines; supervisord cuts its files anywhere, so the first may begin in the middle of one."""
    begun = b""
    for position, path in enumerate(files):
        with path.open("rb") as stream:
            if position == 0 and len(files) > 1:
                stream.readline()
            for line in stream:
                if line.endswith(b"\n"):
                    yield begun + line
                    begun = b""
                else:
                    begun += line


def _last_number(path: Path, *, first_word: bool) -> int | None:
    lines = path.read_bytes()[-4096:].splitlines()
    return _number(lines[-1], first_word=first_word) if lines else None


def _number(line: bytes, *, first_word: bool) -> int | None:
    word = line.split(maxsplit=2)[1 if first_word else 0]
    return int(word) if word.isdigit() else None
