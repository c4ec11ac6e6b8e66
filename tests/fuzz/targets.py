"""All targets, by name."""

from tests.fuzz.configuration import CONFIG, FIELDS
from tests.fuzz.parsers import CLIENT_HELLO, PROXY_HEADER
from tests.fuzz.sessions import H1_SESSION, H1_TO_H2, H2_SESSION, H2_TO_H1

TARGETS = {
    target.name: target
    for target in (CLIENT_HELLO, PROXY_HEADER, H1_SESSION, H1_TO_H2, H2_SESSION, H2_TO_H1, CONFIG, FIELDS)
}
