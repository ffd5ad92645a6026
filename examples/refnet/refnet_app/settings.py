"""Settings come from the environment; a NAME may also be given as NAME_FILE, the path of a file that holds it."""

import os
from pathlib import Path

DEFAULTS = {
    "ADMIN_USER": "admin",
    "LOG_LEVEL": "INFO",
    "SEMANTIC_SCHOLAR_URL": "https://api.semanticscholar.org/graph/v1",
    "SOURCE": "corpus",
}


def read(name: str) -> str:
    """Return the value of one setting; a missing or unreadable one ends the process with one line."""
    path = os.environ.get(f"{name}_FILE", "")
    try:
        value = Path(path).read_text(encoding="utf-8").strip() if path else os.environ.get(name, "")
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"refnet_app cannot start: {name}_FILE: {error}") from error
    if not (value := value or DEFAULTS.get(name, "")):
        raise SystemExit(f"refnet_app cannot start: neither {name} nor {name}_FILE is set")
    return value


def database_url() -> str:
    """Return the database's address with the driver that SQLAlchemy is to use."""
    return "postgresql+psycopg://" + read("DATABASE_URL").partition("://")[2]
