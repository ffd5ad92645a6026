"""The nearest cause, decided from what was seen alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.core.diagnosis import diagnose, diagnose_all
from agent.model.diagnosis import Evidence
from agent.model.service import Dependency, Signature

NAMES = ("a", "b", "c", "d", "e")


@st.composite
def systems(draw: st.DrawFn) -> dict[str, Evidence]:
    """A system without cycles: each service may rest on those before it."""
    found = {}
    for position, name in enumerate(NAMES):
        needed = draw(st.sets(st.sampled_from(NAMES[:position]))) if position else set()
        found[name] = Evidence(
            service=name,
            symptom=draw(st.sampled_from(["", "is critical"])),
            depends_on={each: Dependency() for each in needed},
            process_state=draw(st.sampled_from(["", "T", "D"])),
            exit_code=draw(st.sampled_from([None, 1, 127])),
        )
    return found


def above(name: str, seen: dict[str, Evidence]) -> set[str]:
    """Return everything a service rests on."""
    found = set(seen[name].depends_on)
    return found.union(*(above(each, seen) for each in found)) if found else found


@given(systems())
def test_nobody_is_blamed_who_rests_on_somebody_failing(seen: dict[str, Evidence]) -> None:
    """A root has no failing service below it, and every failing service is a root or suffers from one."""
    found = diagnose_all(seen)
    failing = {name for name, each in seen.items() if each.symptom}
    roots = {each.service for each in found}

    assert all(not above(root, seen) & failing for root in roots)
    assert roots | {name for each in found for name in each.left_alone} == failing
    assert all(each.causes for each in found)


@given(systems(), st.sampled_from(NAMES))
def test_one_service_is_explained_by_its_roots(seen: dict[str, Evidence], name: str) -> None:
    """The causes of a failing service lie with services that fail; a well one has none."""
    found = diagnose(name, seen)

    assert bool(found.causes) == bool(seen[name].symptom)
    assert all(seen[cause.subject].symptom for cause in found.causes)
    assert found == diagnose(name, seen)


def test_words_that_point_at_another_service_blame_it_only_while_it_fails() -> None:
    """A broker that is well is not the cause: then it is the way there."""
    signature = Signature(pattern="refused", cause="the broker does not answer", fix="look", blames="b")
    worker = Evidence(service="a", symptom="is critical", lines=("connection refused",), signatures=(signature,))
    well, ill = Evidence(service="b"), Evidence(service="b", symptom="is critical")

    assert diagnose("a", {"a": worker, "b": well}).causes[0].subject == "a"
    assert "b itself is well" in diagnose("a", {"a": worker, "b": well}).causes[0].evidence
    assert diagnose("a", {"a": worker, "b": ill}).causes[0].subject == "b"
