"""The pipeline: crawl, summarize, generate, each on a queue of its own; every task may run twice without harm."""

from typing import Any

import redis.exceptions
from celery import Celery
from celery.signals import setup_logging
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from refnet_app import log, page, settings, source, summary
from refnet_app.database import COLLECTED, GENERATED, REFERENCED, SUMMARIZED, Citation, Paper, Statistic, exclusive

settings.require("REDIS_URL", "DATABASE_URL")
address = settings.read("REDIS_URL")
celery = Celery("refnet_app", broker=address, backend=address)
celery.conf.update(
    accept_content=["json"],
    beat_schedule={"refresh-statistics": {"task": "refnet_app.worker.refresh_statistics", "schedule": 60.0}},
    broker_connection_retry_on_startup=True,
    result_expires=3600,
    task_acks_late=True,
    task_default_queue="default",
    task_routes={
        f"refnet_app.worker.{task}": {"queue": queue}
        for task, queue in (
            ("crawl", "crawler"),
            ("summarize", "summarizer"),
            ("generate", "generator"),
            ("discard", "generator"),
        )
    },
    worker_prefetch_multiplier=1,
)
PASSING = (OperationalError, redis.exceptions.ConnectionError, source.SourceUnavailableError)
RETRY: dict[str, Any] = {"autoretry_for": PASSING, "retry_backoff": True, "retry_backoff_max": 60, "max_retries": 8}


@setup_logging.connect
def configure_logging(**_: object) -> None:
    """Keep Celery from replacing our log format."""
    log.configure()


@celery.task(**RETRY)
def crawl(name: str) -> str:
    """Store a paper and what it cites, then ask for its summary."""
    found = source.fetch(name)
    with exclusive() as session:
        for each, status in ((found, COLLECTED), *((reference, REFERENCED) for reference in found.references)):
            values = {"id": each.id, "title": each.title, "authors": list(each.authors), "year": each.year}
            statement = insert(Paper).values(**values, text=each.text, status=status)
            if status == COLLECTED:
                statement = statement.on_conflict_do_update(
                    index_elements=["id"], set_={"text": each.text, "status": status}
                )
            else:
                statement = statement.on_conflict_do_nothing()
            session.execute(statement)
        for reference in found.references:
            edge = insert(Citation).values(citing_id=found.id, cited_id=reference.id)
            session.execute(edge.on_conflict_do_nothing())
    summarize.delay(name)
    return name


@celery.task(**RETRY)
def summarize(name: str) -> str:
    """Summarize a stored paper, then ask for its page."""
    with exclusive() as session:
        paper = session.get_one(Paper, name)
        paper.summary = summary.summarize(paper.text)
        paper.status = SUMMARIZED
    generate.delay(name)
    return name


@celery.task(**RETRY)
def generate(name: str) -> str:
    """Write a summarized paper's page."""
    with exclusive() as session:
        paper = session.get_one(Paper, name)
        cited = select(Paper).join(Citation, Citation.cited_id == Paper.id).where(Citation.citing_id == name)
        page.write(paper, list(session.scalars(cited.order_by(Paper.title))))
        paper.status = GENERATED
    return name


@celery.task(**RETRY)
def discard(name: str) -> None:
    """Remove a paper, its page, and the papers that only it cited."""
    with exclusive() as session:
        cited = list(session.scalars(select(Citation.cited_id).where(Citation.citing_id == name)))
        session.execute(delete(Citation).where(Citation.citing_id == name))
        still_cited = set(session.scalars(select(Citation.cited_id).where(Citation.cited_id.in_([*cited, name]))))
        orphans = [each for each in cited if each not in still_cited]
        session.execute(delete(Paper).where(Paper.id.in_(orphans), Paper.status == REFERENCED))
        if name in still_cited:
            session.get_one(Paper, name).status = REFERENCED
        else:
            session.execute(delete(Paper).where(Paper.id == name))
        page.remove(name)


@celery.task(**RETRY)
def refresh_statistics() -> None:
    """Count the papers of each status for the metrics."""
    with exclusive() as session:
        counts = session.execute(select(Paper.status, func.count()).group_by(Paper.status)).all()
        session.execute(delete(Statistic))
        for status, count in counts:
            session.add(Statistic(status=status, papers=count))
