"""Where everything of one stack lives under its home; pure paths, nothing is opened here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """One home directory; several live side by side."""

    root: Path

    @property
    def identity(self) -> str:
        """Eight characters that tell this home from the others of the host, for names of units and containers."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def releases(self) -> Path:
        """Numbered snapshots, one folder each."""
        return self.root / "releases"

    @property
    def instances(self) -> Path:
        """What the process engine keeps of each instance."""
        return self.root / "instances"

    @property
    def logs(self) -> Path:
        """Output of every instance, rotated."""
        return self.root / "logs"

    @property
    def events(self) -> Path:
        """Recorded facts, one JSON object a line."""
        return self.root / "events.jsonl"

    @property
    def secrets(self) -> Path:
        """The secret store."""
        return self.root / "secrets.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes this stack."""
        return self.root / "lock"

    @property
    def backups(self) -> Path:
        """Verified dumps."""
        return self.root / "backups"

    @property
    def certificates(self) -> Path:
        """The authority and the gateway's certificate."""
        return self.root / "certs"

    @property
    def database(self) -> Path:
        """Check states, events, maintenance, notices and runs."""
        return self.root / "state.db"

    @property
    def daemon(self) -> Path:
        """Where the daemon's own keeper works."""
        return self.root / "daemon"

    @property
    def daemon_socket(self) -> Path:
        """Where the daemon answers."""
        return self.root / "daemon" / "socket"

    @property
    def migrating(self) -> Path:
        """There while a migration may have changed something that no stored release knows of."""
        return self.root / "migrating"

    def code(self, digest: str) -> Path:
        """Return the read-only copy of one code version."""
        return self.root / "code" / digest

    def environment(self, digest: str) -> Path:
        """Return the Python environment built for one set of dependencies."""
        return self.root / "environments" / digest

    def service(self, service: str) -> Path:
        """Return the folder of one service's files."""
        return self.root / "services" / service

    def config(self, service: str) -> Path:
        """Return the link to the rendered files in force."""
        return self.service(service) / "config"

    def rendered(self, service: str, digest: str) -> Path:
        """Return the folder of one version of the rendered files."""
        return self.service(service) / "files" / digest

    def dynamic(self, service: str) -> Path:
        """Return the folder of files derived from observed instances (upstreams, targets)."""
        return self.service(service) / "dynamic"

    def run(self, service: str) -> Path:
        """Return the service's own folder for sockets and scratch files."""
        return self.service(service) / "run"

    def check_files(self, service: str) -> Path:
        """Return the folder in which the service pushes results of its ttl checks."""
        return self.service(service) / "checks"

    def secret_files(self, service: str) -> Path:
        """Return the folder of the service's secrets, one file each."""
        return self.service(service) / "secrets"

    def volume(self, service: str, volume: str) -> Path:
        """Return a volume of one service."""
        return self.root / "data" / service / volume
