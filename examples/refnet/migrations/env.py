"""Run the migrations under a lock of the database, so that two of them never run at once."""

from alembic import context
from sqlalchemy import create_engine, text

from refnet_app import settings
from refnet_app.database import MIGRATION_LOCK, Base

with create_engine(settings.database_url()).connect() as connection:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
