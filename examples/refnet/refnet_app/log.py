"""One JSON object a line on stderr, with the request and the task it belongs to."""

import json
import logging
import re
import sys
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime

from refnet_app import settings

request_id: ContextVar[str] = ContextVar("request_id", default="")
task_id: ContextVar[str] = ContextVar("task_id", default="")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class JsonFormatter(logging.Formatter):
    """Writes a record, its traceback included, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for one record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"ts": at, "level": record.levelname, "logger": record.name, "msg": record.getMessage()}
        line |= {"request_id": request_id.get()} if request_id.get() else {}
        line |= {"task_id": task_id.get()} if task_id.get() else {}
        line |= {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps(line, ensure_ascii=False)


def configure() -> None:
    """Send every logger of this process, those of the server and of the libraries included, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=settings.read("LOG_LEVEL").upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("httpx").setLevel(logging.WARNING)


def follow(given: str | None) -> str:
    """Take over a request's id, or make one where there is none that is safe to repeat in logs and headers."""
    chosen = given if given and REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    request_id.set(chosen)
    return chosen
