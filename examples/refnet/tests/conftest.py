"""A schema of its own in the PostgreSQL at DATABASE_URL, and a Redis at REDIS_URL that may be written to."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

SCHEMA = "refnet_app_tests"
ROOT = Path(__file__).parent.parent
BARE_URL = os.environ["DATABASE_URL"]
os.environ["DATABASE_URL"] = f"{BARE_URL}?options=-csearch_path%3D{SCHEMA}"
os.environ |= {"ADMIN_PASSWORD": "right", "APP_SIGNING_KEY": "k" * 40, "SOURCE": "corpus"}


@pytest.fixture(scope="session", autouse=True)
def tables() -> Iterator[None]:
    """Make the tables by the migrations themselves, and drop them at the end."""
    with psycopg.connect(BARE_URL, autocommit=True) as connection:
        connection.execute(f"drop schema if exists {SCHEMA} cascade")
        connection.execute(f"create schema {SCHEMA}")
        subprocess.run((sys.executable, "-m", "alembic", "upgrade", "head"), cwd=ROOT, check=True, timeout=60)
        yield
        connection.execute(f"drop schema {SCHEMA} cascade")


@pytest.fixture(autouse=True)
def output(tmp_path: Path, tables: None) -> Iterator[Path]:
    """An empty output folder, empty tables, and tasks that run where they are queued."""
    from refnet_app.database import engine
    from refnet_app.worker import celery

    os.environ["OUTPUT_DIR"] = str(tmp_path)
    celery.conf.task_always_eager = True
    with engine().begin() as connection:
        connection.exec_driver_sql("truncate papers, citations")
    yield tmp_path
    celery.conf.task_always_eager = False
