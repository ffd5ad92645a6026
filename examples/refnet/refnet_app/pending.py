"""Print the migrations that wait, one a line; exit 2 when the database is ahead of this code."""

import sys
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from refnet_app import settings
from refnet_app.database import engine


def main() -> int:
    """Compare the database's revision with the code's."""
    settings.require("DATABASE_URL")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    with engine().connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    try:
        waiting = list(scripts.iterate_revisions("head", current))
    except CommandError:
        print(f"the database is at revision {current}, which this code does not know", file=sys.stderr)
        return 2
    for revision in reversed(waiting):
        print(f"{revision.revision}: {revision.doc}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
