"""What is said of endpoints, in the log and the events: each by itself, and of very many at a time how many."""

from collections.abc import Callable

from mcproxy.control.health.upstream_health import Sentence, Stage
from mcproxy.control.system import log

_BURST, _WINDOW = 20, 10.0  # endpoints that are told of by themselves, in so many seconds
_WORDS: dict[Stage, str] = {
    "up": "is up",
    "down": "is down",
    "ejected": "is ejected",
    "back": "is no longer ejected",
}


class Voice:
    """Says it, and keeps count of what it has left out."""

    def __init__(self, publish: Callable[[str], None]) -> None:
        """``publish`` takes a line for the event stream."""
        self._publish = publish
        self._log = log.logger()
        self._began = float("-inf")
        self._said = 0
        self._held = 0

    def say(self, sentence: Sentence, now: float, *, panic: bool) -> None:
        """Tell of a change; ``panic`` is what the upstream says about the case that none is usable."""
        self.catch_up(now)
        name = f"upstream {sentence.upstream}"
        if sentence.stage == "panic":
            doing = "all are used" if panic else "connections and requests are refused"
            self._log.error("no endpoint is usable", upstream=sentence.upstream, why=sentence.reason, doing=doing)
            self._publish(f"{name}: {sentence.reason}: {doing}")
            return
        if sentence.stage == "calm":
            self._log.info("an endpoint is usable again", upstream=sentence.upstream)
            self._publish(f"{name}: an endpoint is usable again")
            return
        if now - self._began >= _WINDOW:
            self._began, self._said = now, 0
        self._said += 1
        if self._said > _BURST:
            self._held += 1
            return
        words = _WORDS[sentence.stage]
        known = {"upstream": sentence.upstream, "endpoint": sentence.endpoint}
        if sentence.reason:
            known["why"] = sentence.reason
        after = f" after {sentence.seconds:.0f} s" if sentence.seconds and sentence.stage in ("up", "back") else ""
        tell = self._log.warning if sentence.stage in ("down", "ejected") else self._log.info
        tell(f"endpoint {words}{after}", **known)
        why = f": {sentence.reason}" if sentence.reason else ""
        self._publish(f"{name}: {sentence.endpoint} {words}{after}{why}")

    def catch_up(self, now: float) -> None:
        """Say how many were left out, once the time for that has come."""
        if self._held and now - self._began >= _WINDOW:
            number, self._held = self._held, 0
            self._log.warning("more endpoints have changed", endpoints=number)
            self._publish(f"{number} more endpoints have changed")
