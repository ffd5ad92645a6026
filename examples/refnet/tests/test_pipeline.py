"""From a name to linked pages, on a real PostgreSQL; every step may come twice, late, or for a paper that is gone."""

from pathlib import Path

from refnet_app import page, paper_id, source, worker
from refnet_app.database import COLLECTED, GENERATED, REFERENCED, Citation, Paper, session

ELMO, LSTM, BACKPROPAGATION = "arxiv:1802.05365", "doi:10.1162/neco.1997.9.8.1735", "doi:10.1038/323533a0"


def status(name: str) -> str | None:
    """Return the status of a paper, None for one that is not known."""
    with session() as current:
        found = current.get(Paper, name)
        return found.status if found else None


def html(name: str) -> Path:
    """Return where a paper's page is."""
    return page.folder() / f"{paper_id.slug(name)}.html"


def test_a_crawl_ends_in_a_page_whose_every_link_leads_to_a_page(output: Path) -> None:
    worker.crawl.delay(ELMO)

    assert (status(ELMO), status(LSTM)) == (GENERATED, REFERENCED)
    text = html(ELMO).read_text()
    assert "Deep contextualized word representations" in text
    assert f'href="{html(LSTM).name}"' in text
    assert "Not collected yet" in html(LSTM).read_text()
    assert html(ELMO).with_suffix(".md").read_text().startswith("# Deep contextualized")
    assert {path.suffix for path in output.iterdir()} == {".md", ".html"}


def test_everything_may_run_twice(output: Path) -> None:
    worker.crawl.delay(ELMO)
    before = sorted((path.name, path.read_text()) for path in output.iterdir())
    worker.crawl.delay(ELMO)

    assert sorted((path.name, path.read_text()) for path in output.iterdir()) == before


def test_discarding_a_paper_leaves_nothing_of_it(output: Path) -> None:
    worker.crawl.delay(ELMO)
    worker.discard.delay(ELMO)
    worker.discard.delay(ELMO)

    assert (status(ELMO), status(LSTM)) == (None, None)
    assert list(output.iterdir()) == []


def test_a_discarded_paper_that_another_cites_goes_back_to_a_short_page() -> None:
    worker.crawl.delay(ELMO)
    worker.crawl.delay(LSTM)
    worker.discard.delay(LSTM)

    assert (status(ELMO), status(LSTM), status(BACKPROPAGATION)) == (GENERATED, REFERENCED, None)
    assert "Not collected yet" in html(LSTM).read_text()


def test_a_step_that_was_queued_before_a_discard_does_not_bring_the_paper_back(output: Path) -> None:
    worker.crawl.delay(ELMO)
    worker.discard.delay(ELMO)
    worker.summarize.delay(ELMO)
    worker.generate.delay(ELMO)

    assert status(ELMO) is None
    assert list(output.iterdir()) == []


def test_a_crawl_forgets_citations_that_the_source_no_longer_has() -> None:
    worker.crawl.delay(ELMO)
    with session() as current, current.begin():
        current.add(Paper(id="s2:old", title="old", authors=[], year=None, text="", status=REFERENCED))
        current.flush()
        current.add(Citation(citing_id=ELMO, cited_id="s2:old"))
    worker.crawl.delay(ELMO)

    with session() as current:
        assert [each.id for each in worker.cited_by(current, ELMO)] == list(source.corpus()[ELMO]["references"])


def test_a_paper_nobody_knows_is_said_and_not_tried_again(caplog: object) -> None:
    worker.crawl.delay("arxiv:9999.99999")

    assert status("arxiv:9999.99999") is None
    assert "is not in the corpus" in caplog.text  # type: ignore[attr-defined]


def test_what_a_lost_message_left_half_way_is_queued_again() -> None:
    worker.crawl.delay(ELMO)
    with session() as current, current.begin():
        current.get_one(Paper, ELMO).status = COLLECTED
    worker.requeue_stalled.delay()
    assert status(ELMO) == COLLECTED

    with session() as current, current.begin():
        current.connection().exec_driver_sql("update papers set updated_at = now() - interval '1 hour'")
    worker.requeue_stalled.delay()
    assert status(ELMO) == GENERATED
