"""The tables, and the two ways in: a plain session, and one that changes the citation graph alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache

from sqlalchemy import ForeignKey, create_engine, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from refnet_app import settings

REFERENCED, COLLECTED, SUMMARIZED, GENERATED = STATUSES = ("referenced", "collected", "summarized", "generated")
GRAPH_LOCK, MIGRATION_LOCK = 7_310_001, 7_310_002


class Base(DeclarativeBase):
    """The tables of this application."""


class Paper(Base):
    """A paper; one with the status referenced is known only because another cites it."""

    __tablename__ = "papers"
    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    authors: Mapped[list[str]] = mapped_column(JSONB)
    year: Mapped[int | None]
    text: Mapped[str]
    status: Mapped[str]
    summary: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Citation(Base):
    """One paper cites another."""

    __tablename__ = "citations"
    citing_id: Mapped[str] = mapped_column(ForeignKey("papers.id", ondelete="CASCADE"), primary_key=True)
    cited_id: Mapped[str] = mapped_column(ForeignKey("papers.id", ondelete="CASCADE"), primary_key=True)


@cache
def engine() -> Engine:
    """Return this process's pool of connections; first called after a worker has forked."""
    limits = {"connect_timeout": 3, "options": "-c statement_timeout=15s"}
    return create_engine(settings.database_url(), pool_pre_ping=True, pool_timeout=5, connect_args=limits)


def session() -> Session:
    """Return a new session, to be used in a with statement."""
    return Session(engine(), expire_on_commit=False)


@contextmanager
def exclusive() -> Iterator[Session]:
    """Give one transaction that no other change of papers, citations or pages runs beside, then commit it."""
    with session() as current, current.begin():
        current.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": GRAPH_LOCK})
        yield current
