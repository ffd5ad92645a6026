"""Migrations on a real PostgreSQL: dumped for, never doubled; old code never meets a new schema unasked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.engine.process import ProcessEngine
from agent.model.instance import ObservedInstance
from tests.e2e.conftest import PROGRAM, ROOT, Agent

GOOD = "exec sleep 1000"
BROKEN = "echo cannot read the new table >&2; exit 5"
FIRST = "create table papers (id int)"


@dataclass(frozen=True, kw_only=True)
class Database:
    """A stack of postgres, its migrations and a web service, written again for each case."""

    agent: Agent
    offset: int

    def write(self, *steps: str, web: str = GOOD, compatible: bool = False) -> None:
        """Write the stack; each step is the SQL of one migration, in order, in a transaction of its own."""
        folder = self.agent.file.parent
        for number, step in enumerate(steps, 1):
            wrapped = f"begin;\n{step};\ninsert into done values ({number}, now());\ncommit;\n"
            (folder / f"{number}.sql").write_text(wrapped)
            (folder / f"{number}.sql").chmod(0o644)
        made = 'psql -X -q "$DATABASE_URL" -v ON_ERROR_STOP=1'
        script = f"set -e\n{made} -c 'create table if not exists done (number int primary key, at timestamptz)'\n"
        count = f'$({made} -At -c "select count(*) from done where number = $number" 2>/dev/null || echo 0)'
        loop = f"for number in {' '.join(str(number + 1) for number in range(len(steps)))}; do\n"
        pending = f'{loop} [ "{count}" = 0 ] && echo "step $number" || true\ndone\n'
        script += f'{loop} [ "{count}" = 0 ] && {made} -f {folder}/$number.sql || [ "{count}" = 1 ]\ndone\n'
        self.agent.write(
            f"""
name: demo
port_offset: {self.offset}
services:
  postgres: {{}}
  migrate:
    command: [sh, -c, {json.dumps(script)}]
    pending: [sh, -c, {json.dumps(pending)}]
    backward_compatible: {str(compatible).lower()}
  web:
    command: [sh, -c, {json.dumps(web)}]
    update: {{order: start-first, healthy_deadline: 10s, min_healthy_time: 300ms}}
    depends_on: {{migrate: {{condition: completed}}}}
"""
        )

    def sql(self, query: str) -> str:
        """Return what the database answers to a query, by way of `run`."""
        return self.agent.run("run", "postgres", "--", "psql", "-X", "-At", *self.reach(), "-c", query).strip()

    def reach(self) -> tuple[str, ...]:
        """Return psql's options for this cluster."""
        return ("-h", "127.0.0.1", "-p", str(5433 + self.offset), "-U", "postgres", "-d", "refnet")

    def migration(self) -> ObservedInstance | None:
        """Return the migration's instance while there is one."""
        seen = ProcessEngine(self.agent.home).observe()
        return next((each for each in seen if each.service == "migrate"), None)

    def wait_for_migration(self) -> ObservedInstance:
        """Return the migration once its process runs."""
        for _ in range(300):
            seen = self.migration()
            if seen is not None and seen.pid is not None:
                return seen
            time.sleep(0.1)
        raise AssertionError("the migration never ran")

    def apply_in_background(self) -> subprocess.Popen[str]:
        """Start an apply and return its process."""
        environment = os.environ | {"REFNET_HOME": str(self.agent.home), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        words = (*PROGRAM, "apply", "-f", str(self.agent.file), "-y")
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


@pytest.fixture
def database(agent: Agent, free_offset: Callable[[int], int]) -> Database:
    """A stack with its first migration and a healthy web service applied as release 1."""
    made = Database(agent=agent, offset=free_offset(5433))
    made.write(FIRST)
    agent.apply()
    return made


def test_a_dump_is_taken_before_the_first_pending_step_and_none_without_one(database: Database) -> None:
    """The dump before step 2 holds step 1's table and not step 2's; an apply with nothing pending takes none."""
    agent = database.agent
    dumps = agent.home / "backups" / "postgres"
    assert len(list(dumps.glob("*.dump"))) == 1
    database.write(FIRST, "create table citations (id int)")
    agent.apply()

    newest = max(dumps.glob("*.dump"))
    listed = subprocess.run(("pg_restore", "--list", newest), capture_output=True, text=True, check=True).stdout
    assert "TABLE public papers" in listed
    assert "citations" not in listed
    database.write(FIRST, "create table citations (id int)", web="exec sleep 2000")
    agent.apply()
    assert len(list(dumps.glob("*.dump"))) == 2


def test_a_failing_migration_changes_nothing_and_the_old_release_serves(database: Database) -> None:
    """Exit 3 with psql's own words; the schema, the process and the way ahead are as before."""
    agent = database.agent
    pid = agent.pids()["web-1"]
    database.write(FIRST, "alter table nowhere add column x int", web="exec sleep 2000")

    said = agent.apply(code=3)

    assert 'relation "nowhere" does not exist' in said
    assert "rolled back to release 1" in said
    assert agent.pids()["web-1"] == pid
    assert database.sql("select count(*) from done") == "1"
    database.write(FIRST, "create table citations (id int)", web="exec sleep 2000")
    agent.apply()
    assert database.sql("select count(*) from done") == "2"


def test_a_migration_killed_half_way_is_rolled_back_by_the_database_and_runs_again(database: Database) -> None:
    """The transaction is gone with its process, so the old release is safe; the next apply finishes."""
    agent = database.agent
    database.write(FIRST, "create table citations (id int); select pg_sleep(4)")
    applying = database.apply_in_background()
    seen = database.wait_for_migration()
    time.sleep(1)
    assert seen.pid is not None
    os.kill(seen.pid, signal.SIGKILL)

    said, _ = applying.communicate(timeout=60)

    assert applying.returncode == 3, said
    assert "signal 9" in said
    agent.apply()
    assert database.sql("select count(*) from done") == "2"


def test_a_migration_outlives_a_killed_apply_and_is_not_doubled(database: Database) -> None:
    """The next apply waits for the run that goes on; each step ran once."""
    agent = database.agent
    database.write(FIRST, "create table runs (id serial); insert into runs default values; select pg_sleep(4)")
    applying = database.apply_in_background()
    seen = database.wait_for_migration()
    applying.kill()
    applying.wait()

    said = agent.apply()

    assert "for the run an earlier apply started" in said
    assert database.sql("select count(*) from runs") == "1"
    assert database.migration() is None
    assert seen.pid is not None
    assert not Path(f"/proc/{seen.pid}").exists()


def test_a_second_apply_during_a_migration_is_told_who_holds_the_lock(database: Database) -> None:
    """75 at once, and the first one is not disturbed."""
    agent = database.agent
    database.write(FIRST, "create table citations (id int); select pg_sleep(3)")
    applying = database.apply_in_background()
    database.wait_for_migration()

    said = agent.apply(code=75)

    assert str(applying.pid) in said
    output, _ = applying.communicate(timeout=60)
    assert applying.returncode == 0, output
    assert database.sql("select count(*) from done") == "2"


def test_a_release_that_migrated_and_then_fails_stops_with_both_ways_out(database: Database) -> None:
    """The old instance serves, nothing is reverted unasked, and each way out works."""
    agent = database.agent
    pid = agent.pids()["web-1"]
    database.write(FIRST, "create table citations (id int)", web=BROKEN)

    said = agent.apply(code=3)

    assert "cannot read the new table" in said
    assert "the migration has run; old instances are kept" in said
    assert "fix the code and apply again" in said
    assert "refnet-agent rollback 1" in said
    assert agent.pids()["web-1"] == pid
    assert "the migration has run" in agent.apply(code=3)

    agent.run("rollback", "1", "-y")
    assert agent.pids()["web-1"] == pid
    database.write(FIRST, "create table citations (id int)", web="exec sleep 2000")
    agent.apply()
    assert agent.pids()["web-1"] != pid


def test_a_backward_compatible_migration_lets_the_release_be_reverted(database: Database) -> None:
    """The old code is put back by itself, on the new schema."""
    agent = database.agent
    pid = agent.pids()["web-1"]
    database.write(FIRST, "create table citations (id int)", web=BROKEN, compatible=True)

    assert "rolled back to release 1" in agent.apply(code=3)
    assert agent.pids()["web-1"] == pid
    assert database.sql("select count(*) from done") == "2"


def test_a_changed_migration_with_nothing_pending_does_not_stand_in_the_way_of_going_back(database: Database) -> None:
    """Only a step that really ran keeps a release from being reverted."""
    agent = database.agent
    database.write(FIRST, web=BROKEN, compatible=False)
    agent.file.write_text(agent.file.read_text().replace("set -e", "set -eu"))

    assert "rolled back to release 1" in agent.apply(code=3)


def test_ctrl_c_during_a_migration_leaves_it_running_for_the_next_apply(database: Database) -> None:
    """130, no process ended, and the next apply carries on."""
    agent = database.agent
    database.write(FIRST, "create table runs (id serial); insert into runs default values; select pg_sleep(4)")
    applying = database.apply_in_background()
    database.wait_for_migration()
    applying.send_signal(signal.SIGINT)

    said, _ = applying.communicate(timeout=3)

    assert applying.returncode == 130, said
    assert "the next apply waits for it" in said or "apply again to finish" in said
    agent.apply()
    assert database.sql("select count(*) from runs") == "1"
