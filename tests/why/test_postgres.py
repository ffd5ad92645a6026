"""What PostgreSQL says of itself when something is really wrong with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.system.command import find_binary
from tests.why.conftest import Bench, answers, causes_of, free_port

USER = "postgres"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh cluster, made once and copied by each test."""
    folder = tmp_path_factory.mktemp("template")
    for each in (folder, *list(folder.parents)[:2]):
        each.chmod(0o711)
    bench = Bench(folder=folder, user=USER)
    bench.own(folder)
    words = (
        "initdb",
        "-D",
        str(folder / "cluster"),
        "-U",
        "postgres",
        "--auth=trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    )
    said = bench.say(*words, seconds=60)
    assert (folder / "cluster" / "PG_VERSION").exists(), said
    yield folder / "cluster"


class Cluster:
    """One cluster under a bench."""

    def __init__(self, bench: Bench, template: Path) -> None:
        self.bench = bench
        self.data = bench.folder / "cluster"
        shutil.copytree(template, self.data)
        bench.own(self.data)
        self.data.chmod(0o700)
        self.port = free_port()

    def words(self, *more: str) -> tuple[str, ...]:
        """Return the command that runs it."""
        options = ("-c", f"port={self.port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
        return ("postgres", "-D", str(self.data), *options, *more)

    def run(self, *more: str) -> subprocess.Popen[str]:
        """Run it and wait until it answers."""
        process = self.bench.start(*self.words(*more))
        self.bench.until(lambda: "ready to accept connections" in "".join(self.bench.lines(process)))
        return process

    def sql(self, query: str, *, user: str = "postgres", database: str = "postgres", **environment: str) -> str:
        """Return all that psql says."""
        reach = ("-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database)
        done = subprocess.run(
            (str(find_binary("psql")), "-X", *reach, "-c", query),
            capture_output=True,
            text=True,
            timeout=20,
            env={"PATH": "/usr/bin:/bin", **environment},
            check=False,
        )
        return done.stdout + done.stderr


@pytest.fixture
def cluster(bench: Bench, template: Path) -> Cluster:
    """A cluster that does not run yet."""
    return Cluster(bench, template)


def break_nothing(cluster: Cluster) -> tuple[str, ...]:
    """Leave the cluster as it is."""
    return ()


def port_taken(cluster: Cluster) -> tuple[str, ...]:
    """Let somebody else listen on its port."""
    cluster.bench.start("python3", "-m", "http.server", str(cluster.port), "--bind", "127.0.0.1")
    cluster.bench.until(lambda: answers(cluster.port))
    return ()


def already_running(cluster: Cluster) -> tuple[str, ...]:
    """Let a postmaster of the same cluster run."""
    cluster.run()
    cluster.port = free_port()
    return ()


def open_folder(cluster: Cluster) -> tuple[str, ...]:
    """Let everybody read the data."""
    cluster.data.chmod(0o755)
    return ()


def another_owner(cluster: Cluster) -> tuple[str, ...]:
    """Give the folder to somebody else."""
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    shutil.chown(cluster.data, "nobody")
    cluster.data.chmod(0o755)
    return ()


def unknown_setting(cluster: Cluster) -> tuple[str, ...]:
    """Name a setting that does not exist."""
    return ("-c", "shared_bufers=1MB")


def broken_file(cluster: Cluster) -> tuple[str, ...]:
    """Write a line that cannot be parsed."""
    with (cluster.data / "postgresql.conf").open("a") as stream:
        stream.write("this is not = = a setting\n")
    return ()


def no_cluster(cluster: Cluster) -> tuple[str, ...]:
    """Take the data away."""
    shutil.rmtree(cluster.data)
    return ()


def another_version(cluster: Cluster) -> tuple[str, ...]:
    """Pretend an older PostgreSQL made it."""
    (cluster.data / "PG_VERSION").write_text("9\n")
    return ()


def damaged_log(cluster: Cluster) -> tuple[str, ...]:
    """Overwrite the write-ahead log."""
    for path in (cluster.data / "pg_wal").glob("0*"):
        path.write_bytes(b"\0" * path.stat().st_size)
    return ()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (port_taken, "another process listens on the database's port"),
        (already_running, "an older postmaster of this cluster"),
        (open_folder, "can be read by others"),
        (another_owner, "belongs to another user"),
        (unknown_setting, "a setting is unknown"),
        (broken_file, "syntax error"),
        (no_cluster, "no cluster in the data folder"),
        (another_version, "another major version"),
        (damaged_log, "write-ahead log is damaged"),
    ],
)
def test_a_cluster_that_cannot_start_says_why(
    cluster: Cluster, fault: Callable[[Cluster], tuple[str, ...]], words: str
) -> None:
    """The fault is made, the program run, and its own words are explained."""
    said = cluster.bench.say(*cluster.words(*fault(cluster)))

    assert words in causes_of("postgres", *said), said


def test_too_many_clients(cluster: Cluster) -> None:
    """Six clients come where three are allowed; reserved connections are kept back."""
    few = ("max_connections=6", "superuser_reserved_connections=3", "max_wal_senders=0")
    process = cluster.run(*(word for setting in few for word in ("-c", setting)))
    cluster.sql("create role app login")
    reach = ("-h", "127.0.0.1", "-p", str(cluster.port), "-U", "app", "-d", "postgres")
    for _ in range(6):
        cluster.bench.start("psql", "-X", *reach, "-c", "select pg_sleep(5)")

    cluster.bench.until(lambda: "all connections are in use" in causes_of("postgres", *cluster.bench.lines(process)))


@pytest.mark.parametrize(
    ("user", "database", "rule", "words"),
    [
        ("app", "postgres", "host all all all scram-sha-256", "came with a wrong password"),
        ("app", "postgres", "host none none 127.0.0.1/32 trust", "pg_hba.conf does not allow"),
        ("nobody_at_all", "postgres", "host all all all trust", "comes as a role that is not there"),
        ("app", "no_such_database", "host all all all trust", "asks for a database that is not there"),
    ],
)
def test_a_client_that_is_refused(cluster: Cluster, user: str, database: str, rule: str, words: str) -> None:
    """The server's log tells what the client did wrong."""
    process = cluster.run()
    cluster.sql("create role app login password 'right'")
    (cluster.data / "pg_hba.conf").write_text(f"{rule}\n")
    cluster.bench.own(cluster.data / "pg_hba.conf")
    process.send_signal(1)
    cluster.bench.until(lambda: "reload" in "".join(cluster.bench.lines(process)))

    cluster.bench.until(
        lambda: bool(
            cluster.sql("select 1", user=user, database=database, PGPASSWORD="wrong")
            and words in causes_of("postgres", *cluster.bench.lines(process))
        )
    )


def test_slow_and_crossed_statements(cluster: Cluster) -> None:
    """A statement over its time, and two transactions that wait for each other."""
    process = cluster.run("-c", "deadlock_timeout=100ms")
    cluster.sql("set statement_timeout = '100ms'; select pg_sleep(5)")
    cluster.sql("create table pair (id int); insert into pair values (1), (2)")
    reach = ("-h", "127.0.0.1", "-p", str(cluster.port), "-U", "postgres", "-d", "postgres")
    for first, second in (("1", "2"), ("2", "1")):
        steps = f"begin; update pair set id = id where id = {first}; select pg_sleep(1);"
        cluster.bench.start("psql", "-X", *reach, "-c", f"{steps} update pair set id = id where id = {second}")

    def explained() -> str:
        return causes_of("postgres", *cluster.bench.lines(process))

    cluster.bench.until(lambda: "two transactions wait for each other" in explained())
    assert "ran longer than its timeout" in explained()


def test_a_full_disk(cluster: Cluster) -> None:
    """A small disk of its own, filled while it runs."""
    disk = cluster.bench.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)), check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        shutil.copytree(cluster.data, disk / "cluster")
        cluster.data = disk / "cluster"
        cluster.bench.own(disk)
        cluster.data.chmod(0o700)
        process = cluster.run()
        cluster.sql("create table big as select repeat('x', 1000) from generate_series(1, 200000)")
        assert "the disk of the data folder is full" in causes_of("postgres", *cluster.bench.stop(process))
    finally:
        subprocess.run(("umount", "-l", str(disk)), check=True)
