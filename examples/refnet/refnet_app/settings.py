"""Settings come from the environment; each NAME may also be given as NAME_FILE, the path of a file that holds it."""

import os
from pathlib import Path

DEFAULTS = {
    "ADMIN_USER": "admin",
    "LOG_LEVEL": "INFO",
    "SEMANTIC_SCHOLAR_URL": "https://api.semanticscholar.org/graph/v1",
    "SOURCE": "corpus",
}
CHOICES = {"LOG_LEVEL": ("DEBUG", "INFO", "WARNING", "ERROR"), "SOURCE": ("corpus", "semantic-scholar")}
SHORTEST_SIGNING_KEY = 32


class SettingError(Exception):
    """A setting is missing, unreadable or not one of its choices."""


def read(name: str) -> str:
    """Return the value of one setting."""
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if not value and path:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{name}_FILE cannot be read: {error}") from error
    value = value or DEFAULTS.get(name, "")
    if not value:
        raise SettingError(f"{name} is not set, and {name}_FILE names no file that holds it")
    if name == "LOG_LEVEL":
        value = value.upper()
    if name in CHOICES and value not in CHOICES[name]:
        raise SettingError(f"{name} is {value!r}, expected one of {', '.join(CHOICES[name])}")
    if name == "APP_SIGNING_KEY" and len(value) < SHORTEST_SIGNING_KEY:
        raise SettingError(f"{name} is shorter than {SHORTEST_SIGNING_KEY} characters")
    return value


def require(*names: str) -> None:
    """End the process with one line that names every setting that is wrong, if any is."""
    problems = []
    for name in (*names, *DEFAULTS):
        try:
            read(name)
        except SettingError as error:
            problems.append(str(error))
    if problems:
        raise SystemExit("refnet_app cannot start: " + "; ".join(problems))


def database_url() -> str:
    """Return the database's address with the driver that SQLAlchemy is to use."""
    return "postgresql+psycopg://" + read("DATABASE_URL").partition("://")[2]
