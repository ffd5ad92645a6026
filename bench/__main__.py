"""`bench/run`: measure, then print a table; exit 1 when a benchmark could not be carried out."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from bench.agent import Failed
from bench.figures import Measure
from bench.nomad import version as nomad_version
from bench.room import OutOfTime, room
from bench.supervisord import version as supervisord_version
from bench.table import as_object, detail, summary

BENCHMARKS = ("start", "restart", "memory", "idle", "metrics", "noop", "rolling", "logs", "demo")


def main() -> int:
    """Run the chosen benchmarks, one after the other."""
    arguments = _arguments()
    measures: list[Measure] = []
    failures: list[str] = []
    machine = describe_machine()
    said = sys.stderr if arguments.json else sys.stdout
    print(*(f"{name}: {value}" for name, value in machine.items()), sep="\n", file=said)
    for name in arguments.only or BENCHMARKS:
        benchmark = importlib.import_module(f"bench.{name}")
        print(f"\n== {name}, load average {os.getloadavg()[0]:.2f}", file=said, flush=True)
        try:
            with room(quick=arguments.quick, seconds=benchmark.SECONDS) as place:
                for measure in benchmark.measure(place):
                    measures.append(measure)
                    print(detail(measure), file=said, flush=True)
        except OutOfTime:
            failures.append(f"{name}: not done within {benchmark.SECONDS} s")
        except Failed as error:
            failures.append(f"{name}: {error}")
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    if arguments.json:
        found: dict[str, Any] = {"machine": machine, "measures": [as_object(each) for each in measures]}
        print(json.dumps(found | {"failures": failures}, indent=1))
    elif measures:
        print(f"\n{summary(measures)}")
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


def describe_machine() -> dict[str, str]:
    """Return what the figures depend on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{model.rpartition(':')[2].strip()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "supervisord": supervisord_version(),
        "nomad": nomad_version(),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description="Measure the agent against its peers.")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="only this benchmark; may be repeated")
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it work, not how fast is it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
