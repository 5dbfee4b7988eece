"""The harness of the benchmarks: its statistics, its turns, and the table that a run writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.observed import CountingStore
from benchmarks.report import Result, placed, table, write
from benchmarks.sides import interleaved
from benchmarks.statistic import Sample, percentile, ratio, slope
from service.domain.ports import ObjectStore
from tests.fakes import MemoryStore


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([4, 1, 3, 2], 0.5) == 2.5
    assert percentile([1, 2, 3], 0) == 1
    assert percentile([1, 2, 3], 1) == 3
    assert Sample((0.1, 0.2, 0.3)).shown(1000) == "200 (120–280)"


def test_a_ratio_has_an_interval_that_holds_it() -> None:
    theirs, ours = Sample((6.0, 6.6, 5.4, 6.1, 5.9)), Sample((2.0, 2.2, 1.8, 2.1, 1.9))
    found = ratio(theirs, ours)
    assert found.value == pytest.approx(3.0)
    assert found.low <= found.value <= found.high
    assert found == ratio(theirs, ours)  # the same numbers say the same


def test_what_slows_both_down_does_not_widen_a_paired_ratio() -> None:
    noise = (1.0, 3.0, 1.5, 2.0, 8.0)
    found = ratio(Sample(tuple(2 * n for n in noise)), Sample(noise))
    assert (found.low, found.high) == (2.0, 2.0)


def test_an_outlier_does_not_look_like_growth() -> None:
    flat = [100.0] * 40
    flat[-1] = 900.0
    assert slope(flat) == 0
    assert slope([float(n) for n in range(40)]) == 1
    assert slope([5.0]) == 0


def test_sides_take_turns_and_seldom_ones_sit_out() -> None:
    calls: list[str] = []

    def side(name: str, seconds: float) -> float:
        calls.append(name)
        return seconds

    found = interleaved(
        {"a": lambda: side("a", 1.0), "b": lambda: side("b", 2.0)}, 4, warm=1, seldom={"b": 2}
    )
    assert found["a"].values == (1.0,) * 4
    assert found["b"].values == (2.0,) * 2
    assert {*calls[:2]} == {"a", "b"}  # the round that does not count
    assert calls[0] != calls[2]  # who goes first changes


def test_a_run_replaces_its_own_table_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\n<!-- bench:sign -->\nold\n<!-- /bench:sign -->\n\nAfter.\n")
    made = Result("sign", table(["signing", "ms"], [["ours", "12"]]), {"ours": 12})
    write(made, page=page, folder=tmp_path)
    assert page.read_text() == (
        "# Performance\n\n<!-- bench:sign -->\n| signing | ms |\n| --- | ---: |\n| ours | 12 |\n"
        "<!-- /bench:sign -->\n\nAfter.\n"
    )
    kept = json.loads((tmp_path / "sign.json").read_text())
    assert kept["ours"] == 12
    assert kept["machine"]["cores"] > 0


def test_a_run_cut_short_does_not_touch_the_page(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("as it was")
    write(Result("sign", "short", complete=False), page=page, folder=tmp_path)
    assert page.read_text() == "as it was"
    assert json.loads((tmp_path / "sign.json").read_text())["complete"] is False


def test_a_part_without_markers_comes_last() -> None:
    assert placed("# Page\n", "render", "text") == (
        "# Page\n\n<!-- bench:render -->\ntext\n<!-- /bench:render -->\n"
    )
    with pytest.raises(ValueError, match="bench:render"):
        placed("<!-- bench:render -->\n", "render", "text")


def test_the_counting_store_counts_and_hands_through() -> None:
    counting = CountingStore(MemoryStore())
    store: ObjectStore = counting
    store.create("a/1", b"one")
    store.put("a/2", b"two!")
    assert store.get("a/1") == b"one"
    assert [*store.list("a/")] == ["a/1", "a/2"]
    assert [*store.list("a/", limit=1)] == ["a/1"]
    assert store.exists("a/2")
    store.delete("a/2")
    assert dict(counting.requests) == {
        "create": 1, "put": 1, "get": 1, "list": 2, "head": 1, "delete": 1,
    }  # fmt: skip
    assert (counting.bytes_written, counting.bytes_read) == (7, 3)
