"""Counters, gauges and histograms in themselves."""

from __future__ import annotations

from graphwire_server.telemetry.metrics import Counter, Distribution, Gauge, Histogram


def test_a_histogram_counts_a_value_at_a_bound_below_it() -> None:
    histogram = Histogram("h", "", (1, 2))
    for value in (0, 1, 1.5, 2, 2.1):
        histogram.observe(value)
    assert histogram.family().values == [((), Distribution((2, 2, 1), 6.6))]


def test_labels_are_counted_apart() -> None:
    counter, histogram = Counter("c", "", ("a", "b")), Histogram("h", "", (1,), ("a",))
    counter.add("x", "y")
    counter.add("x", "z", by=2)
    histogram.observe(0.5, "x")
    assert counter.family().values == [(("x", "y"), 1), (("x", "z"), 2)]
    assert histogram.family().values == [(("x",), Distribution((1, 0), 0.5))]


def test_what_has_no_labels_is_there_from_the_beginning() -> None:
    assert Counter("c", "").family().values == [((), 0)]
    assert Histogram("h", "", (1,)).family().values == [((), Distribution((0, 0), 0))]
    assert Gauge("g", "").family().values == []


def test_labels_that_are_known_are_there_from_the_beginning() -> None:
    counter = Counter("c", "", ("a",))
    counter.begin("x")
    assert counter.family().values == [(("x",), 0)]
    counter.add("x")
    counter.begin("x")
    assert counter.family().values == [(("x",), 1)]


def test_a_gauge_goes_up_and_down_or_is_asked() -> None:
    gauge, asked = Gauge("g", "", ("a",)), Gauge("g", "")
    gauge.add("x")
    gauge.add("x", by=-1)
    asked.read_from(lambda: 7)
    assert gauge.family().values == [(("x",), 0)]
    assert asked.family().values == [((), 7)]
    gauge.clear()
    assert gauge.family().values == []
