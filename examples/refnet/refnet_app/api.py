"""The HTTP API: papers to everyone, crawling and deleting to who logged in."""

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
import redis
from celery import Task
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from kombu.exceptions import OperationalError as BrokerAwayError
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from pydantic import BaseModel
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from refnet_app import log, paper_id, settings, worker
from refnet_app.database import STATUSES, Paper, session

for needed in ("DATABASE_URL", "REDIS_URL", "ADMIN_PASSWORD", "APP_SIGNING_KEY"):
    settings.read(needed)
log.configure()
app = FastAPI(title="RefNet")
REQUESTS = Counter("http_requests_total", "Requests answered.", ("method", "route", "status"))
SECONDS = Histogram("http_request_duration_seconds", "Time to answer.", ("method", "route"))
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
TOKEN_LIFE = timedelta(hours=1)
LOOK_SECONDS = 2.0
looks = ThreadPoolExecutor(max_workers=4)


class Login(BaseModel):
    """What `POST /api/login` takes."""

    user: str
    password: str


class PapersByStatus:
    """Counts the papers of each status at every scrape; a database that is away costs the gauge, not the scrape."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Name nothing beforehand, so that starting needs no database."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauge."""
        gauge = GaugeMetricFamily("refnet_papers_by_status", "Papers of each status.", labels=["status"])
        try:
            with session() as current:
                rows = current.execute(select(Paper.status, func.count()).group_by(Paper.status))
                counts = {status: count for status, count in rows}
        except SQLAlchemyError:
            return
        for status in STATUSES:
            gauge.add_metric([status], counts.get(status, 0))
        yield gauge


REGISTRY.register(PapersByStatus())


@app.middleware("http")
async def follow(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Carry the request's id through, and count the request by its route, however it ends."""
    request_id, started, status = log.follow(request.headers.get("X-Request-ID")), time.perf_counter(), 500
    try:
        response = await answer(request)
        status = response.status_code
        response.headers["X-Request-ID"] = request_id
        return response
    finally:
        method = request.method if request.method in METHODS else "other"
        route = getattr(request.scope.get("route"), "path", "other")
        REQUESTS.labels(method, route, status).inc()
        SECONDS.labels(method, route).observe(time.perf_counter() - started)


def ask_database() -> None:
    """Raise unless the database answers."""
    with session() as current:
        current.execute(text("SELECT 1"))


def ask_redis() -> None:
    """Raise unless Redis answers."""
    redis.Redis.from_url(settings.read("REDIS_URL"), socket_timeout=1, socket_connect_timeout=1).ping()


@app.get("/health")
def health(response: Response) -> dict[str, str]:
    """Say how the database and Redis are, in time for a check even when they hang; 503 when either is not well."""
    found = {}
    for name, look in [(name, looks.submit(ask)) for name, ask in (("database", ask_database), ("redis", ask_redis))]:
        try:
            look.result(LOOK_SECONDS)
            found[name] = "ok"
        except Exception as error:
            found[name] = (str(error).splitlines() or ["does not answer"])[0][:200]
    well = set(found.values()) == {"ok"}
    response.status_code = 200 if well else 503
    return {"status": "healthy" if well else "unhealthy", **found}


@app.get("/metrics")
def metrics() -> Response:
    """Expose the counters to Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.post("/api/login")
def login(given: Login) -> dict[str, str]:
    """Return a signed token that expires."""
    right = hmac.compare_digest(given.password.encode(), settings.read("ADMIN_PASSWORD").encode())
    if not right or given.user != settings.read("ADMIN_USER"):
        raise HTTPException(401, "wrong user or password")
    claims = {"sub": given.user, "exp": datetime.now(UTC) + TOKEN_LIFE}
    return {"token": jwt.encode(claims, settings.read("APP_SIGNING_KEY"), algorithm="HS256")}


def caller(authorization: Annotated[str, Header()] = "") -> str:
    """Return who sent the request, by its bearer token."""
    try:
        claims = jwt.decode(authorization.removeprefix("Bearer "), settings.read("APP_SIGNING_KEY"), ["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "log in first", {"WWW-Authenticate": "Bearer"}) from error
    return str(claims["sub"])


def named(name: str) -> str:
    """Return the paper's one spelling, 422 for what names no paper."""
    try:
        return paper_id.normalise(name)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


Name, Caller = Annotated[str, Depends(named)], Annotated[str, Depends(caller)]


@app.get("/api/papers")
def papers(
    q: str = "", limit: Annotated[int, Query(ge=1, le=100)] = 20, offset: Annotated[int, Query(ge=0)] = 0
) -> dict[str, Any]:
    """Return papers whose title holds `q`, a page at a time."""
    query = select(Paper).where(Paper.title.icontains(q, autoescape=True))
    with session() as current:
        total = current.scalar(select(func.count()).select_from(query.subquery()))
        found = current.scalars(query.order_by(Paper.id).limit(limit).offset(offset))
        return {"total": total, "papers": [describe(paper) for paper in found]}


@app.get("/api/papers/{name:path}/citations")
def citations(name: Name) -> list[dict[str, Any]]:
    """Return the papers it cites."""
    with session() as current:
        return [describe(paper) for paper in worker.cited_by(current, name)]


@app.post("/api/papers/{name:path}/crawl", status_code=202)
def crawl(name: Name, _: Caller) -> dict[str, str]:
    """Start the pipeline for a paper."""
    return {"task": queue(worker.crawl, name), "page": f"/output/{paper_id.slug(name)}.html"}


@app.get("/api/papers/{name:path}")
def paper(name: Name) -> dict[str, Any]:
    """Return one paper."""
    with session() as current:
        found = current.get(Paper, name)
    if found is None:
        raise HTTPException(404, f"{name} is not known")
    return describe(found)


@app.delete("/api/papers/{name:path}", status_code=202)
def remove(name: Name, _: Caller) -> dict[str, str]:
    """Ask a worker to remove a paper and its page."""
    return {"task": queue(worker.discard, name)}


def queue(task: Task, name: str) -> str:
    """Queue a task and return its id; 503 at once when the broker is away."""
    try:
        return str(task.apply_async((name,), retry=False).id)
    except (BrokerAwayError, redis.RedisError) as error:
        logging.warning("the broker is away: %s", error)
        raise HTTPException(503, "the queue is away, try again soon", {"Retry-After": "10"}) from error


def describe(found: Paper) -> dict[str, Any]:
    """Return a paper as the API shows it."""
    return {name: getattr(found, name) for name in ("id", "title", "authors", "year", "status", "summary")}
