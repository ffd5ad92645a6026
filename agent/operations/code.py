"""Bring a service's code under the home, once per content digest, with the Python environment it needs."""

from __future__ import annotations

import filecmp
import fnmatch
import hashlib
import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from agent.errors import AgentError, CommandFailed, ConfigurationError
from agent.model.home import Home
from agent.model.service import Source
from agent.render.launch import CodeVersion
from agent.system.command import find_binary, run
from agent.system.files import sync_directory, write_atomic

_IGNORED = ("__pycache__", ".git", ".venv", "node_modules", "*.pyc", ".pytest_cache", ".mypy_cache", ".ruff_cache")
_BUILD_SECONDS = 900.0


def resolve_code(source: Source, *, base: Path, home: Home) -> CodeVersion:
    """Return which version the source is now; a git source is checked out under the home first."""
    root = _source_root(source, base=base, home=home)
    return CodeVersion(digest=_tree_digest(root, source), environment=_environment_digest(root, source))


def materialise(source: Source, version: CodeVersion, *, base: Path, home: Home) -> None:
    """Copy the tree and build its environment unless this version is already there; a crash leaves no half."""
    target = home.code(version.digest)
    if not target.exists():
        _copy(_source_root(source, base=base, home=home), target, source)
    if version.environment and not home.environment(version.environment).exists():
        _build_environment(source, target, home.environment(version.environment))


def count_changed_files(source: Source, old: str, new: str, *, base: Path, home: Home) -> int | None:
    """Return how many files differ between two versions; None when the old one is not under the home any more.

    The new one is read where it was brought already, else from the source itself.
    """
    before = home.code(old)
    if not before.is_dir():
        return None
    after = home.code(new) if home.code(new).is_dir() else _source_root(source, base=base, home=home)
    old_files = {path.relative_to(before) for path in _files(before, source)}
    new_files = {path.relative_to(after) for path in _files(after, source)}
    changed = sum(not _same(before / name, after / name) for name in old_files & new_files)
    return changed + len(old_files ^ new_files)


def _same(one: Path, other: Path) -> bool:
    executable = os.access(one, os.X_OK) == os.access(other, os.X_OK)
    return executable and filecmp.cmp(one, other, shallow=False)


def _source_root(source: Source, *, base: Path, home: Home) -> Path:
    if source.git is not None:
        return _checkout(source, home)
    root = (base / (source.path or ".")).resolve()
    if not root.is_dir():
        raise ConfigurationError((f"source.path: {root} is not a folder",))
    return root


def _checkout(source: Source, home: Home) -> Path:
    url = source.git or ""
    mirror = home.root / "git" / hashlib.sha256(url.encode()).hexdigest()[:16]
    if not mirror.exists():
        part = mirror.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        mirror.parent.mkdir(parents=True, exist_ok=True)
        _git("clone", "--quiet", "--mirror", url, str(part))
        part.rename(mirror)
    else:
        _git("--git-dir", str(mirror), "fetch", "--quiet", "--prune")
    commit = _commit(mirror, source)
    tree = home.root / "git" / f"{mirror.name}-{commit[:16]}"
    if not tree.exists():
        part = tree.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        _git("clone", "--quiet", "--no-checkout", str(mirror), str(part))
        _git("-C", str(part), "checkout", "--quiet", "--detach", commit)
        part.rename(tree)
    return tree


def _commit(mirror: Path, source: Source) -> str:
    try:
        return _git("--git-dir", str(mirror), "rev-parse", "--verify", "--quiet", f"{source.ref}^{{commit}}").strip()
    except CommandFailed as error:
        names = _git("--git-dir", str(mirror), "for-each-ref", "--format=%(refname:short)", "--count=20").split()
        problem = f"source.ref: {source.git} has no {source.ref!r}"
        raise ConfigurationError((problem,), hint=f"it has: {', '.join(names) or 'nothing yet'}") from error


def _git(*words: str) -> str:
    # Asking for a password would wait for ever where nobody is.
    quiet = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
    return run(("git", *words), timeout=_BUILD_SECONDS, environment=quiet).output


def _files(root: Path, source: Source) -> Iterator[Path]:
    patterns = (*_IGNORED, *source.exclude)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _matches(name, patterns))
        for name in sorted(names):
            if not _matches(name, patterns):
                yield Path(folder, name)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _tree_digest(root: Path, source: Source) -> str:
    digest = hashlib.sha256()
    for path in _files(root, source):
        executable = "x" if os.access(path, os.X_OK) else "-"
        digest.update(f"{path.relative_to(root)}\0{executable}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for word in source.build:
        digest.update(f"\0{word}".encode())
    return digest.hexdigest()[:16]


def _environment_digest(root: Path, source: Source) -> str | None:
    """A written build may install the code itself, so it belongs to one tree; else the dependencies decide."""
    if source.build:
        return f"built-{_tree_digest(root, source)}"
    project = root / "pyproject.toml"
    if not project.exists():
        return None
    text = "\n".join((*_dependencies(project), source.python or ""))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _dependencies(project: Path) -> list[str]:
    try:
        found = tomllib.loads(project.read_text()).get("project", {}).get("dependencies", [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError((f"{project}: {error}",)) from error
    return [str(each) for each in found]


def _copy(root: Path, target: Path, source: Source) -> None:
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for path in _files(root, source):
        copy = part / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(0o755 if os.access(path, os.X_OK) else 0o644)
    for folder, _, _ in os.walk(part):
        Path(folder).chmod(0o755)
    part.rename(target)
    sync_directory(target.parent)


def _build_environment(source: Source, code: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    python = find_binary(f"python{source.python or '3'}", first=("/usr/bin",))
    if python is None:
        raise AgentError(f"no python{source.python} on this machine", hint="apt-get install python3 python3-venv")
    marker = target.parent / f"{target.name}.building"
    write_atomic(marker, "")
    try:
        run((python, "-m", "venv", str(target)), timeout=120)
        environment = os.environ | {"VIRTUAL_ENV": str(target), "PATH": f"{target}/bin:{os.environ.get('PATH', '')}"}
        command = source.build or (
            str(target / "bin" / "pip"),
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *_dependencies(code / "pyproject.toml"),
        )
        environment["UV_PROJECT_ENVIRONMENT"] = str(target)
        run(command, timeout=_BUILD_SECONDS, environment=environment, directory=code)
        _open_to_services(target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    finally:
        marker.unlink(missing_ok=True)


def _open_to_services(target: Path) -> None:
    """Service users read what root installed, whatever root's umask was."""
    run(("chmod", "-R", "a+rX", str(target)), timeout=120)
