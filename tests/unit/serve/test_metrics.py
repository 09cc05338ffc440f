"""The text that Prometheus reads."""

from mien.serve.metrics import Metrics, resident_bytes


def test_counters_are_told_by_label():
    metrics = Metrics()
    metrics.count("mien_requests_total", route="/a", status="200")
    metrics.count("mien_requests_total", by=2, status="200", route="/a")
    metrics.count("mien_requests_total", route="/a", status="503")
    lines = metrics.text().splitlines()
    assert 'mien_requests_total{route="/a",status="200"} 3' in lines
    assert 'mien_requests_total{route="/a",status="503"} 1' in lines
    assert lines.count("# TYPE mien_requests_total counter") == 1


def test_histograms_add_up_from_below():
    metrics = Metrics()
    for value in (0.005, 0.006, 0.3, 99.0):
        metrics.observe("mien_request_seconds", value)
    lines = metrics.text().splitlines()
    told = {line.split()[0]: line.split()[1] for line in lines if line.startswith("mien_request")}
    assert told['mien_request_seconds_bucket{le="0.005"}'] == "1"
    assert told['mien_request_seconds_bucket{le="0.01"}'] == "2"
    assert told['mien_request_seconds_bucket{le="0.5"}'] == "3"
    assert told['mien_request_seconds_bucket{le="10"}'] == "3"
    assert told['mien_request_seconds_bucket{le="+Inf"}'] == "4"
    assert told["mien_request_seconds_count"] == "4"
    assert float(told["mien_request_seconds_sum"]) == 99.311


def test_gauges_are_read_when_asked():
    metrics, held = Metrics(), []
    metrics.gauge("mien_waiting", lambda: len(held))
    held.append(1)
    assert "mien_waiting 1" in metrics.text().splitlines()


def test_memory_is_that_of_this_process():
    assert resident_bytes() == 0 or 10e6 < resident_bytes() < 100e9
