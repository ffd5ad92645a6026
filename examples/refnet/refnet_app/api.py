"""The HTTP API: papers to everyone, crawling and deleting to who logged in."""

import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
import redis
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel
from sqlalchemy import func, select, text

from refnet_app import log, paper_id, settings, worker
from refnet_app.database import Citation, Paper, session

settings.require("DATABASE_URL", "REDIS_URL", "ADMIN_PASSWORD", "APP_SIGNING_KEY")
log.configure()
app = FastAPI(title="RefNet")
LABELS = ("method", "route", "status")
REQUESTS = Counter("http_requests_total", "Requests answered.", LABELS)
SECONDS = Histogram("http_request_duration_seconds", "Time to answer.", LABELS[:2])
TOKEN_LIFE = timedelta(hours=1)


class Login(BaseModel):
    """What `POST /api/login` takes."""

    user: str
    password: str


@app.middleware("http")
async def follow(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Carry the request's id through, and count the request by its route."""
    log.request_id.set(request.headers.get("X-Request-ID") or uuid.uuid4().hex)
    started = time.perf_counter()
    response = await answer(request)
    route = getattr(request.scope.get("route"), "path", "other")
    REQUESTS.labels(request.method, route, response.status_code).inc()
    SECONDS.labels(request.method, route).observe(time.perf_counter() - started)
    response.headers["X-Request-ID"] = log.request_id.get()
    return response


@app.get("/health")
def health(response: Response) -> dict[str, str]:
    """Say how the database and Redis are; 503 when either is not well."""
    found = {"database": "ok", "redis": "ok"}
    try:
        with session() as current:
            current.execute(text("SELECT 1"))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is not well
        found["database"] = str(error).splitlines()[0][:200]
    try:
        redis.Redis.from_url(settings.read("REDIS_URL"), socket_timeout=1).ping()
    except redis.RedisError as error:
        found["redis"] = str(error)[:200]
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
    if given.user != settings.read("ADMIN_USER") or not right:
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


@app.get("/api/papers")
def papers(q: str = "", limit: int = 20, offset: int = 0) -> dict[str, Any]:
    """Return papers whose title holds `q`, a page at a time."""
    query = select(Paper).where(Paper.title.icontains(q, autoescape=True))
    with session() as current:
        total = current.scalar(select(func.count()).select_from(query.subquery()))
        found = current.scalars(query.order_by(Paper.id).limit(min(limit, 100)).offset(offset))
        return {"total": total, "papers": [describe(paper) for paper in found]}


@app.get("/api/papers/{name:path}/citations")
def citations(name: Annotated[str, Depends(named)]) -> list[dict[str, Any]]:
    """Return the papers it cites."""
    query = select(Paper).join(Citation, Citation.cited_id == Paper.id).where(Citation.citing_id == name)
    with session() as current:
        return [describe(paper) for paper in current.scalars(query.order_by(Paper.id))]


@app.post("/api/papers/{name:path}/crawl", status_code=202)
def crawl(name: Annotated[str, Depends(named)], _: Annotated[str, Depends(caller)]) -> dict[str, str]:
    """Start the pipeline for a paper."""
    return {"task": worker.crawl.delay(name).id, "page": f"/output/{paper_id.slug(name)}.html"}


@app.get("/api/papers/{name:path}")
def paper(name: Annotated[str, Depends(named)]) -> dict[str, Any]:
    """Return one paper."""
    with session() as current:
        found = current.get(Paper, name)
    if found is None:
        raise HTTPException(404, f"{name} is not known")
    return describe(found)


@app.delete("/api/papers/{name:path}", status_code=202)
def remove(name: Annotated[str, Depends(named)], _: Annotated[str, Depends(caller)]) -> dict[str, str]:
    """Ask a worker to remove a paper and its page."""
    return {"task": worker.discard.delay(name).id}


def describe(found: Paper) -> dict[str, Any]:
    """Return a paper as the API shows it."""
    fields = ("id", "title", "authors", "year", "status", "summary")
    return {name: getattr(found, name) for name in fields}
