"""Claims about reading the operator's file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.document import Document
from agent.config.merge import merge
from agent.config.read import read_settings
from agent.config.schema import json_schema
from agent.errors import ConfigurationError
from agent.system.assets import catalogue

TREES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


def read(tmp_path: Path, text: str, **options: object) -> object:
    path = tmp_path / "refnet.yaml"
    path.write_text(text)
    return read_settings(path, catalogue=catalogue(), **options)  # type: ignore[arg-type]


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    return tuple(line.removeprefix(f"{tmp_path}/") for line in caught.value.problems)


def test_an_overlay_and_a_set_win_in_this_order(tmp_path: Path) -> None:
    """catalogue, then file, then overlay, then --set; each value remembers where it came from."""
    (tmp_path / "refnet.staging.yaml").write_text("services:\n  redis:\n    kill_timeout: 20s\n    description: b\n")
    text = "name: demo\nservices:\n  redis:\n    description: a\n    kill_timeout: 15s\n"

    found = read(tmp_path, text, environment="staging", overrides=("services.redis.description=c",))

    redis = found.settings.services["redis"]  # type: ignore[attr-defined]
    origins = found.origins  # type: ignore[attr-defined]
    assert (redis.description, redis.kill_timeout.total_seconds()) == ("c", 20)
    assert origins["services.redis.description"] == "--set services.redis.description"
    assert origins["services.redis.kill_timeout"].endswith("refnet.staging.yaml:3:5")
    assert origins["services.redis.command"].startswith("catalogue jobs/redis.yaml:")


def test_wrong_yaml_is_an_error_with_its_place(tmp_path: Path) -> None:
    """The line and column of what the reader stumbled over."""
    assert problems(tmp_path, "name: demo\nservices: [\n")[0].startswith("refnet.yaml:3:1: ")


def test_one_run_reports_every_contradiction(tmp_path: Path) -> None:
    """Ports, signals, routes and names are all in one answer."""
    text = (
        "name: demo\nservices:\n"
        "  a: {command: [x], ports: {http: 7000}}\n"
        "  b: {command: [x], ports: {http: 7000}, kill_signal: SIGNOPE}\n"
        "gateway:\n  routes: [{path: /, to: c}]\n"
    )

    found = "\n".join(problems(tmp_path, text))

    assert "services.b.ports.http: port 7000 is also used by a.http" in found
    assert "there is no signal 'SIGNOPE'" in found
    assert "gateway.routes.0.to: there is no service 'c'" in found


def test_replicas_count_their_ports(tmp_path: Path) -> None:
    """Two replicas of a start-first service own three ports."""
    text = (
        "name: demo\nservices:\n"
        "  a: {command: [x], ports: {http: 7000}, replicas: 2, update: {order: start-first}}\n"
        "  b: {command: [x], ports: {http: 7002}}\n"
    )

    assert "port 7002 is also used by a.http" in problems(tmp_path, text)[0]


def test_the_schema_knows_every_service_key() -> None:
    """Editors complete from it."""
    assert {"command", "checks", "depends_on"} <= json_schema()["$defs"]["Service"]["properties"].keys()


@given(base=TREES, over=TREES)
def test_merging_the_same_layer_twice_changes_nothing(base: dict[str, object], over: dict[str, object]) -> None:
    """A layer is idempotent, and an empty one is neutral."""
    once = merge(Document(tree=base), Document(tree=over))

    assert merge(once, Document(tree=over)).tree == once.tree
    assert merge(Document(tree=base), Document(tree={})).tree == base
