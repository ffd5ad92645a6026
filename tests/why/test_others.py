"""What redis, nginx and Prometheus say of themselves when something is really wrong with them."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.security.authority import create_authority, issue
from tests.why.conftest import Bench, answers, causes_of, free_port

USER = "nobody"


SILENT = "import socket,sys,time; s=socket.socket(); s.bind(('127.0.0.1',int(sys.argv[1]))); s.listen(); time.sleep(60)"
"""Accepts and never answers."""


def listen(bench: Bench, port: int) -> None:
    """Let somebody else listen on the port."""
    bench.start("python3", "-m", "http.server", str(port), "--bind", "127.0.0.1")
    bench.until(lambda: answers(port))


# -- redis ------------------------------------------------------------------------------------


def redis(bench: Bench, port: int, *more: str) -> subprocess.Popen[str]:
    """Run redis and wait until it answers."""
    folder = bench.folder / "redis"
    folder.mkdir(exist_ok=True)
    bench.own(folder)
    process = bench.start("redis-server", "--port", str(port), "--dir", str(folder), *more)
    bench.until(lambda: answers(port))
    return process


def ask_redis(port: int, *words: str, password: str = "") -> str:
    """Return all that redis-cli says."""
    environment = {"PATH": "/usr/bin:/bin"} | ({"REDISCLI_AUTH": password} if password else {})
    command = ("redis-cli", "-h", "127.0.0.1", "-p", str(port), *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, env=environment, check=False)
    return done.stdout + done.stderr


def test_redis_on_a_taken_port(bench: Bench) -> None:
    """It names the address."""
    port = free_port()
    listen(bench, port)
    assert "another process listens" in causes_of("redis", *bench.say("redis-server", "--port", str(port)))


def test_redis_with_a_wrong_line(bench: Bench) -> None:
    """It names the line."""
    (bench.folder / "redis.conf").write_text("no-such-directive yes\n")
    (bench.folder / "redis.conf").chmod(0o644)
    said = bench.say("redis-server", str(bench.folder / "redis.conf"))
    assert "a wrong line" in causes_of("redis", *said)


def test_redis_without_its_folder(bench: Bench) -> None:
    """It cannot enter it."""
    said = bench.say("redis-server", "--port", str(free_port()), "--dir", str(bench.folder / "missing"))
    assert "the data folder is not there" in causes_of("redis", *said)


def test_redis_with_a_damaged_append_only_file(bench: Bench) -> None:
    """Garbage in the middle of its commands."""
    port, on = free_port(), ("--appendonly", "yes", "--aof-use-rdb-preamble", "no")
    process = redis(bench, port, *on)
    ask_redis(port, "set", "key", "value")
    bench.stop(process)
    for path in (bench.folder / "redis").rglob("*.aof"):
        if path.stat().st_size:
            path.write_bytes(path.read_bytes() + b"garbage\r\n" * 3 + path.read_bytes())
    said = bench.say("redis-server", "--port", str(port), "--dir", str(bench.folder / "redis"), *on)
    assert "append-only file is damaged" in causes_of("redis", *said), said


def test_redis_that_cannot_write_its_snapshot(bench: Bench) -> None:
    """The folder vanishes under it: a save fails, and then writes are refused."""
    port = free_port()
    process = redis(bench, port, "--save", "3600 1")
    ask_redis(port, "set", "key", "value")
    (bench.folder / "redis").rename(bench.folder / "moved")
    (bench.folder / "moved").chmod(0o500)
    ask_redis(port, "config", "set", "dbfilename", "other.rdb")
    subprocess.run(("rm", "-rf", str(bench.folder / "moved")), check=True)
    ask_redis(port, "bgsave")
    bench.until(lambda: "cannot write its snapshot" in causes_of("redis", *bench.lines(process)))
    bench.until(lambda: "cannot write its snapshot" in causes_of("redis", ask_redis(port, "set", "key", "again")))


def test_redis_that_is_full(bench: Bench) -> None:
    """A worker's words: the limit is reached and nothing may be evicted."""
    port = free_port()
    redis(bench, port, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction")
    said = [ask_redis(port, "set", f"key{number}", "x" * 100_000) for number in range(20)]
    assert "as much as maxmemory allows" in causes_of("redis", *said)


def test_redis_refuses_who_has_no_or_a_wrong_password(bench: Bench) -> None:
    """Two different causes."""
    port = free_port()
    redis(bench, port, "--requirepass", "right")
    assert "without a password" in causes_of("redis", ask_redis(port, "ping"))
    assert "with a wrong password" in causes_of("redis", ask_redis(port, "ping", password="wrong"))


# -- nginx ------------------------------------------------------------------------------------


def nginx(bench: Bench, server: str, *, events: str = "worker_connections 64;") -> tuple[str, ...]:
    """Write a configuration and return the command that runs it."""
    paths = "".join(
        f"{name}_temp_path {bench.folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (
        f"daemon off; pid {bench.folder}/nginx.pid; error_log stderr warn;\nevents {{ {events} }}\n"
        f"http {{ access_log off; {paths}\n{server}\n}}\n"
    )
    path = bench.folder / "nginx.conf"
    path.write_text(text)
    path.chmod(0o644)
    return ("nginx", "-e", "stderr", "-p", str(bench.folder), "-c", str(path))


def serve(bench: Bench, port: int, server: str, **options: str) -> subprocess.Popen[str]:
    """Run nginx and wait until it answers."""
    process = bench.start(*nginx(bench, server, **options))
    bench.until(lambda: answers(port))
    return process


def ask(port: int, path: str = "/") -> int:
    """Return the status of one request, 0 without one."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("server { listen 127.0.0.1:1; }", "needs root"),
        ("server { lissten 80; }", "syntax error"),
        ("server { listen 127.0.0.1:PORT; ", "syntax error"),
        ("server { listen 127.0.0.1:PORT ssl; ssl_certificate /no/cert; ssl_certificate_key /no/key; }", "be read"),
        ("server { listen 127.0.0.1:PORT; location / { proxy_pass http://nowhere.invalid; } }", "cannot be resolved"),
    ],
)
def test_nginx_that_cannot_start(bench: Bench, server: str, words: str) -> None:
    """Its own words name the cause."""
    low = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if "needs root" in words and low.exists() and int(low.read_text()) <= 1:
        pytest.skip("every user may bind low ports here")
    said = bench.say(*nginx(bench, server.replace("PORT", str(free_port()))))
    assert words in causes_of("gateway", *said), said


def test_nginx_on_a_taken_port(bench: Bench) -> None:
    """It tries a few times, then gives up."""
    port = free_port()
    listen(bench, port)
    said = bench.say(*nginx(bench, f"server {{ listen 127.0.0.1:{port}; }}"))
    assert "another process listens" in causes_of("gateway", *said)


def test_nginx_with_a_key_of_another_certificate(bench: Bench) -> None:
    """Both can be read, but they are no pair."""
    now = datetime.now(UTC)
    authority = create_authority("test", now=now)
    one, other = (issue(authority, ("localhost",), now=now) for _ in range(2))
    (bench.folder / "cert.pem").write_bytes(one.certificate)
    (bench.folder / "key.pem").write_bytes(other.key)
    bench.own(bench.folder)
    pair = f"ssl_certificate {bench.folder}/cert.pem; ssl_certificate_key {bench.folder}/key.pem;"
    said = bench.say(*nginx(bench, f"server {{ listen 127.0.0.1:{free_port()} ssl; {pair} }}"))
    assert "do not belong together" in causes_of("gateway", *said), said


def test_nginx_before_a_service_that_refuses_or_is_silent(bench: Bench) -> None:
    """Refused, too slow, and then nobody left: three causes, none of them nginx's own."""
    port, closed, silent = free_port(), free_port(), free_port()
    bench.start("python3", "-c", SILENT, str(silent))
    bench.until(lambda: answers(silent))
    process = serve(
        bench,
        port,
        f"upstream gone {{ server 127.0.0.1:{closed} max_fails=1; server 127.0.0.1:{closed} backup; }}\n"
        f"server {{ listen 127.0.0.1:{port}; proxy_read_timeout 1s;\n"
        f"location /closed {{ proxy_pass http://gone; }}\n"
        f"location /silent {{ proxy_pass http://127.0.0.1:{silent}; }} }}",
    )
    assert [ask(port, path) for path in ("/closed", "/closed", "/silent")] == [502, 502, 504]

    found = causes_of("gateway", *bench.lines(process))

    assert "refuses connections" in found
    assert "answers too slowly" in found
    assert "no instance behind a route answers" in found


def test_nginx_that_may_not_read_a_file(bench: Bench) -> None:
    """The file is there and belongs to somebody else."""
    if os.geteuid() != 0:
        pytest.skip("making a file another user's needs root")
    port = free_port()
    root = bench.folder / "pages"
    root.mkdir()
    (root / "secret.html").write_text("x")
    (root / "secret.html").chmod(0o600)
    process = serve(bench, port, f"server {{ listen 127.0.0.1:{port}; root {root}; }}")
    assert ask(port, "/secret.html") == 403
    assert "may not be read by it" in causes_of("gateway", *bench.lines(process))


def test_nginx_with_too_few_connections(bench: Bench) -> None:
    """Four are used up by one proxied request and its neighbours."""
    port, silent = free_port(), free_port()
    bench.start("python3", "-c", SILENT, str(silent))
    bench.until(lambda: answers(silent))
    proxy = f"location / {{ proxy_pass http://127.0.0.1:{silent}; proxy_read_timeout 2s; }}"
    server = f"server {{ listen 127.0.0.1:{port}; {proxy} }}"
    process = serve(bench, port, server, events="worker_connections 4;")
    for _ in range(6):
        bench.start("curl", "-s", "-m", "3", f"http://127.0.0.1:{port}/")
    bench.until(lambda: "more connections than worker_connections" in causes_of("gateway", *bench.lines(process)))


# -- Prometheus -------------------------------------------------------------------------------


def prometheus(bench: Bench, port: int, text: str = "global: {}\n", folder: str = "tsdb") -> tuple[str, ...]:
    """Write a configuration and return the command that runs it."""
    path = bench.folder / "prometheus.yml"
    path.write_text(text)
    path.chmod(0o644)
    storage = f"--storage.tsdb.path={bench.folder / folder}"
    return ("prometheus", f"--config.file={path}", f"--web.listen-address=127.0.0.1:{port}", storage)


def taken(bench: Bench, port: int) -> tuple[str, ...]:
    """Let somebody else listen on its port."""
    listen(bench, port)
    return prometheus(bench, port)


def wrong_configuration(bench: Bench, port: int) -> tuple[str, ...]:
    """Write what is not YAML of its kind."""
    return prometheus(bench, port, "scrape_configs: [{no_such_key: 1}]\n")


def wrong_rule(bench: Bench, port: int) -> tuple[str, ...]:
    """Write an expression that cannot be parsed."""
    rules = bench.folder / "rules.yml"
    rules.write_text("groups: [{name: g, rules: [{alert: A, expr: 'up ==== 1'}]}]\n")
    rules.chmod(0o644)
    return prometheus(bench, port, f"rule_files: ['{rules}']\n")


def foreign_folder(bench: Bench, port: int) -> tuple[str, ...]:
    """Give its data to somebody else."""
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    (bench.folder / "tsdb").mkdir(mode=0o700)
    return prometheus(bench, port)


def no_configuration(bench: Bench, port: int) -> tuple[str, ...]:
    """Name a file that is not there."""
    words = prometheus(bench, port)
    (bench.folder / "prometheus.yml").unlink()
    return words


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (taken, "another process listens on its port"),
        (wrong_configuration, "the configuration has an error"),
        (wrong_rule, "a rule file has an error"),
        (foreign_folder, "belongs to another user"),
        (no_configuration, "is not there"),
    ],
)
def test_prometheus_that_cannot_start(bench: Bench, fault: Callable[[Bench, int], tuple[str, ...]], words: str) -> None:
    """Its own words name the cause."""
    said = bench.say(*fault(bench, free_port()))
    assert words in causes_of("prometheus", *said), said
