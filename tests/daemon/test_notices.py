"""People are told once of one cause, by receivers that really listen."""

from __future__ import annotations

import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.daemon.conftest import Watched, wait_until
from tests.why.conftest import free_port

QUICK = {"incidents": {"after": "2s", "calm": "3s"}}


class Receiver:
    """A webhook: it keeps what it gets, and answers as the test wants."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.code = 200
        self.release = threading.Event()
        self.release.set()
        receiver = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.keys.append(str(self.headers["Idempotency-Key"]))
                receiver.release.wait(60)
                if receiver.code == 200:
                    receiver.got.append(body)
                self.send_response(receiver.code)
                self.end_headers()

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook/not-for-logs"

    def kinds(self) -> list[tuple[str, str]]:
        """What was told of whom, in order."""
        return [(each["kind"], each["subject"]) for each in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook that listens for the test's time."""
    made = Receiver()
    yield made
    made.release.set()
    made.server.shutdown()
    made.server.server_close()


def webhook(receiver: Receiver, **more: object) -> dict[str, object]:
    """Return a channel to it."""
    return {"type": "webhook", "url": receiver.url, "timeout": "2s", **more}


def test_one_cause_is_one_notice_with_the_services_that_suffer(watched: Watched, receiver: Receiver) -> None:
    """Three services fail, two of them for the third; then all is well, and that is told too."""
    calm = {"check_restart": {"limit": 0}}
    resting = {"depends_on": {"base": {}}, **calm}
    watched.apply(
        watched.service("base", 0, **calm),
        watched.service("left", 1, **resting),
        watched.service("right", 2, **resting),
        daemon=QUICK,
        notify=[webhook(receiver)],
    )
    for name in ("base-1", "left-1", "right-1"):
        watched.answer(name, 500)

    assert wait_until(lambda: bool(receiver.got), seconds=30)
    for name in ("base-1", "left-1", "right-1"):
        watched.answer(name, 200)
    assert wait_until(lambda: len(receiver.got) > 1, seconds=30)

    assert receiver.kinds() == [("opened", "base"), ("resolved", "base")]
    opened = receiver.got[0]
    assert (opened["severity"], opened["affected"]) == ("P1", ["left", "right"])
    assert "left alone: left, right" in opened["text"]
    assert "answer 500" in opened["text"]
    assert len(watched.events("incident-opened")) == 1
    assert "not-for-logs" not in watched.agent.run("events", "--json")


def test_a_receiver_that_hangs_holds_nothing_up_and_gets_the_same_key_again(
    watched: Watched, receiver: Receiver
) -> None:
    """Services go on, `alerts list` says what waits, and one notice arrives in the end."""
    receiver.release.clear()
    watched.apply(
        watched.service("web", 0, check_restart={"limit": 0}), daemon=QUICK, notify=[webhook(receiver, timeout="1s")]
    )
    watched.answer("web-1", 500)
    assert wait_until(lambda: bool(watched.events("notice-undelivered")), seconds=30)
    assert "waiting, 1 tries" in watched.agent.run("alerts", "list")
    watched.answer("web-1", 200)
    assert wait_until(lambda: watched.instances()["web-1"]["status"] == "passing")

    receiver.code = 500  # what hung until now was never taken
    receiver.release.set()
    assert wait_until(lambda: len(receiver.keys) >= 2, seconds=40)
    receiver.code = 200
    assert wait_until(lambda: ("resolved", "web") in receiver.kinds(), seconds=60)
    assert receiver.kinds()[0] == ("opened", "web")
    assert len(set(receiver.keys)) == 2
    assert wait_until(lambda: bool(watched.events("notice-delivered")))


def test_a_daemon_killed_before_it_could_send_loses_and_doubles_nothing(watched: Watched, receiver: Receiver) -> None:
    """What was decided is on disk; the next daemon sends it and does not open it again."""
    receiver.code = 503
    watched.apply(watched.service("web", 0, check_restart={"limit": 0}), daemon=QUICK, notify=[webhook(receiver)])
    watched.answer("web-1", 500)
    assert wait_until(lambda: bool(receiver.keys), seconds=30)
    before = watched.daemon_pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    receiver.code = 200

    assert wait_until(lambda: bool(receiver.got), seconds=40)
    assert wait_until(lambda: watched.daemon_pid() not in {None, before})
    watched.answer("web-1", 200)
    assert wait_until(lambda: len(receiver.got) > 1, seconds=40)
    assert receiver.kinds() == [("opened", "web"), ("resolved", "web")]


def test_maintenance_is_one_notice_and_no_alarm(watched: Watched, receiver: Receiver) -> None:
    """Though the service fails all the while."""
    watched.apply(watched.service("web", 0, check_restart={"limit": 0}), daemon=QUICK, notify=[webhook(receiver)])
    watched.agent.run("maintenance", "on", "web", "--reason", "new disk")
    assert wait_until(lambda: bool(receiver.got))
    watched.answer("web-1", 500)
    assert not wait_until(lambda: len(receiver.got) > 1, seconds=8)
    assert receiver.kinds() == [("maintenance", "web")]
    assert "new disk" in receiver.got[0]["title"]


def test_mail_a_command_and_slack_carry_the_same_words(watched: Watched, receiver: Receiver, tmp_path: Path) -> None:
    """And `alerts test` says of each whether it arrived."""
    mails: list[Any] = []

    class Box:
        async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
            mails.append(envelope)
            return "250 taken"

    port = free_port()
    post = Controller(Box(), hostname="127.0.0.1", port=port)
    post.start()
    try:
        mail = {
            "type": "smtp",
            "port": port,
            "host": "127.0.0.1",
            "sender": "agent@example.org",
            "to": ["a@example.org"],
        }
        program = {"type": "command", "command": ["sh", "-c", f"cat > {tmp_path}/notice.json"]}
        closed = {"name": "closed", "type": "webhook", "url": "http://127.0.0.1:9/x"}
        channels = [mail, program, {"type": "slack", "url": receiver.url}, closed]
        watched.apply(watched.service("web", 0), daemon=QUICK, notify=channels)
        done = watched.agent.look("alerts", "test")
    finally:
        post.stop()

    assert done.returncode == 3
    assert "smtp: delivered" in done.stdout
    assert "command: delivered" in done.stdout
    assert "slack: delivered: 200" in done.stdout
    assert "closed: not delivered: 127.0.0.1: Connection refused" in done.stdout
    assert b"[demo] P4: a test of the channel smtp" in mails[0].content
    assert json.loads((tmp_path / "notice.json").read_text())["kind"] == "test"
    assert "a test of the channel slack" in receiver.got[0]["text"]
    wrong = watched.agent.look("alerts", "test", "smpt")
    assert (wrong.returncode, "did you mean smtp?" in wrong.stderr) == (64, True)


def test_deploys_are_told_where_asked_for(watched: Watched, receiver: Receiver) -> None:
    """The second release; the first began before there was anybody to tell."""
    channel = webhook(receiver, deploys=True)
    watched.apply(watched.service("web", 0), daemon=QUICK, notify=[channel])
    assert wait_until(lambda: watched.daemon_pid() is not None)
    assert wait_until(lambda: watched.agent.run("alerts", "list") != "")
    before = len(receiver.got)
    watched.apply(watched.service("web", 0), watched.service("more", 1), daemon=QUICK, notify=[channel])
    assert wait_until(lambda: len(receiver.got) > before)
    assert receiver.got[-1]["kind"] == "deploy"
    assert "was released" in receiver.got[-1]["title"]


def test_a_channel_that_lacks_something_is_refused_with_its_place(watched: Watched) -> None:
    """Before anything is touched."""
    watched.agent.write("name: demo\nservices: {}\nnotify:\n  - {type: webhook}\n  - {type: webhook, url: ftp://x}\n")
    done = watched.agent.look("validate", "-f", str(watched.agent.file))
    assert done.returncode == 64
    assert "expected exactly one of `url` and `url_secret`" in done.stderr + done.stdout
    assert "another channel is named webhook too" in done.stderr + done.stdout
    assert "expected http://… or https://…, found 'ftp://x'" in done.stderr + done.stdout
