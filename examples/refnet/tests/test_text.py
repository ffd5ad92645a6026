"""Summaries and names."""

import pytest

from refnet_app import paper_id, summary


def test_a_summary_is_whole_sentences_of_the_text_in_their_order() -> None:
    text = "Nodes of graphs have edges. The weather was fine. Edges join nodes of graphs."

    assert summary.summarize(text) == "Nodes of graphs have edges. Edges join nodes of graphs."
    assert summary.summarize("") == ""


@pytest.mark.parametrize(
    ("given", "name"), [(" arXiv:1706.03762v5 ", "arxiv:1706.03762"), ("DOI:10.1038/323533a0", "doi:10.1038/323533a0")]
)
def test_a_name_has_one_spelling(given: str, name: str) -> None:
    assert paper_id.normalise(given) == name


@pytest.mark.parametrize("given", ["", "arxiv:", "file:///etc/passwd", "doi:../../etc/passwd", "arxiv:1 2", "x" * 200])
def test_what_names_no_paper_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="names no paper"):
        paper_id.normalise(given)


def test_no_two_papers_share_a_page_and_no_page_leaves_its_folder() -> None:
    names = ["doi:10.1/a_b", "doi:10.1/a/b", "doi:10.1/a(b", "doi:10.1/a;b", "arxiv:10.1/a_b", "doi:10.1/..;b"]
    slugs = [paper_id.slug(name) for name in names]

    assert len(set(slugs)) == len(slugs)
    assert not any("/" in slug for slug in slugs)
