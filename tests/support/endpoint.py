"""A client of the metrics endpoint."""

import http.client
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.support.load import until


class Answer(msgspec.Struct, frozen=True):
    """Status, headers and body; status 0 where nothing listens."""

    status: int
    headers: dict[str, str]
    text: str


def get(port: int, path: str, **headers: str) -> Answer:
    """Ask the endpoint on a port of 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read().decode())
    except (ConnectionError, http.client.RemoteDisconnected):
        return Answer(0, {}, "")
    finally:
        connection.close()


def metric(port: int, name: str, path: str = "/metrics", **labels: str) -> float | None:
    """Return the sum of the samples with a name and these labels; None if there are none."""
    families = text_string_to_metric_families(get(port, path).text)
    found: list[Any] = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None


def wait_for_metric(port: int, name: str, value: float, **labels: str) -> None:
    """Wait until a metric has a value."""
    until(lambda: metric(port, name, **labels) == value, f"{name}{labels} is {value}")
