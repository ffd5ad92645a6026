"""The pipeline: crawl, summarize, generate, each on a queue of its own; every task may run twice without harm."""

import logging
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import redis.exceptions
from celery import Celery, Task
from celery.signals import before_task_publish, setup_logging, task_prerun, worker_init
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from refnet_app import log, page, settings, source, summary
from refnet_app.database import COLLECTED, GENERATED, REFERENCED, SUMMARIZED, Citation, Paper, exclusive, session

QUEUES = {"crawl": "crawler", "summarize": "summarizer", "generate": "generator", "discard": "generator"}
# A killed worker's task comes back after the visibility timeout, so no task and no wait between tries may be longer.
VISIBLE_AGAIN, LONGEST_TASK, LONGEST_WAIT = 60, 50, 30
STALLED_AFTER = timedelta(minutes=5)
celery = Celery("refnet_app", broker=settings.read("REDIS_URL"))
celery.conf.update(
    accept_content=["json"],
    beat_schedule={"requeue-stalled": {"task": "refnet_app.worker.requeue_stalled", "schedule": 60.0}},
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBLE_AGAIN, "socket_connect_timeout": 2, "socket_timeout": 10},
    task_acks_late=True,
    task_default_queue="default",
    task_ignore_result=True,
    task_reject_on_worker_lost=True,
    task_routes={f"refnet_app.worker.{task}": {"queue": queue} for task, queue in QUEUES.items()},
    task_time_limit=LONGEST_TASK,
    worker_prefetch_multiplier=1,
)
AWAY = (OperationalError, redis.exceptions.ConnectionError, source.SourceUnavailableError)
# An outage loses no work: whatever waits for the database, Redis or the source is tried until it is back.
RETRY: dict[str, Any] = {"autoretry_for": AWAY, "retry_backoff": True, "retry_backoff_max": LONGEST_WAIT}
RETRY |= {"max_retries": None}


@setup_logging.connect
def configure_logging(**_: object) -> None:
    """Keep Celery from replacing our log format."""
    log.configure()


@worker_init.connect
def check_settings(**_: object) -> None:
    """End a worker that could only fail its tasks."""
    settings.read("DATABASE_URL")
    if not os.access(page.folder(), os.W_OK):
        raise SystemExit(f"refnet_app cannot start: OUTPUT_DIR {page.folder()} is not a folder it may write")


@before_task_publish.connect
def send_request_id(headers: dict[str, Any], **_: object) -> None:
    """Let a task, and those it starts, carry the id of the request that began it."""
    headers["request_id"] = log.request_id.get()


@task_prerun.connect
def take_request_id(task_id: str, task: Task, **_: object) -> None:
    """Name request and task in every line the task logs."""
    log.request_id.set(getattr(task.request, "request_id", None) or "")
    log.task_id.set(task_id)


@celery.task(bind=True, **RETRY)
def crawl(self: Task, name: str) -> None:
    """Store a paper and what it cites, then ask for its summary."""
    try:
        found = source.fetch(name)
    except source.PaperNotFoundError as error:
        return logging.warning("not crawled: %s", error)
    except source.SourceUnavailableError as error:
        if error.retry_after:
            raise self.retry(exc=error, countdown=min(error.retry_after, LONGEST_WAIT)) from error
        raise
    with exclusive() as current:
        for each in (found, *found.references):
            values = {"title": each.title, "authors": list(each.authors), "year": each.year}
            status = COLLECTED if each is found else REFERENCED
            added = insert(Paper).values(id=each.id, **values, text=each.text, status=status)
            changed = values | {"text": each.text, "status": status}
            clash = {"index_elements": ["id"]}
            current.execute(
                added.on_conflict_do_update(**clash, set_=changed)
                if each is found
                else added.on_conflict_do_nothing(**clash)
            )
        current.execute(delete(Citation).where(Citation.citing_id == name))
        current.add_all(Citation(citing_id=name, cited_id=each.id) for each in found.references)
    summarize.delay(name)
    return None


@celery.task(**RETRY)
def summarize(name: str) -> None:
    """Summarize a stored paper, then ask for its page; one that was discarded meanwhile stays so."""
    with exclusive() as current:
        paper = current.get(Paper, name)
        if paper is None or paper.status == REFERENCED:
            return
        paper.summary, paper.status = summary.summarize(paper.text), SUMMARIZED
    generate.delay(name)


@celery.task(**RETRY)
def generate(name: str) -> None:
    """Write a summarized paper's page, and a short one for each paper that is only cited."""
    with exclusive() as current:
        paper = current.get(Paper, name)
        if paper is None or paper.status not in {SUMMARIZED, GENERATED}:
            return
        cited = cited_by(current, name)
        for each in cited:
            if each.status == REFERENCED:
                page.write(each, [])
        page.write(paper, cited)
        paper.status = GENERATED


@celery.task(**RETRY)
def discard(name: str) -> None:
    """Remove a paper, its page, and the papers that only it cited; one that others cite goes back to a short page."""
    with exclusive() as current:
        paper, cited = current.get(Paper, name), cited_by(current, name)
        current.execute(delete(Citation).where(Citation.citing_id == name))
        for each in ([paper] if paper else []) + [each for each in cited if each.status == REFERENCED]:
            if current.scalars(select(Citation).where(Citation.cited_id == each.id)).first():
                each.status, each.text, each.summary = REFERENCED, "", None
                page.write(each, [])
            else:
                current.delete(each)
                page.remove(each.id)


@celery.task(**RETRY)
def requeue_stalled() -> None:
    """Queue again what a lost message left half-way."""
    before = datetime.now(UTC).replace(tzinfo=None) - STALLED_AFTER
    stalled = select(Paper).where(Paper.status.in_([COLLECTED, SUMMARIZED]), Paper.updated_at < before)
    with session() as current:
        papers = list(current.scalars(stalled))
    for paper in papers:
        (summarize if paper.status == COLLECTED else generate).delay(paper.id)


def cited_by(current: Session, name: str) -> list[Paper]:
    """Return the papers a paper cites, by title."""
    cited = select(Paper).join(Citation, Citation.cited_id == Paper.id).where(Citation.citing_id == name)
    return list(current.scalars(cited.order_by(Paper.title)))
