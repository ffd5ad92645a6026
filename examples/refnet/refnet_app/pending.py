"""Print the migrations that wait, one a line; exit 2 when the database is ahead of this code, 3 when it is away."""

import sys
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError

from refnet_app.database import engine


def main() -> int:
    """Compare the database's revision with the code's."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    current = None
    try:
        with engine().connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        for waiting in reversed(list(ScriptDirectory.from_config(config).iterate_revisions("head", current))):
            print(f"{waiting.revision}: {waiting.doc}")
    except CommandError:
        print(f"the database is at revision {current}, which this code does not know", file=sys.stderr)
        return 2
    except OperationalError as error:
        print(f"the database does not answer: {str(error.orig).strip().splitlines()[-1]}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
