"""Asks before a reload takes much away: a file may be truncated, or a folder of includes not mounted, by accident."""

import hashlib

from mcproxy.control.files.config_file import Loaded
from mcproxy.errors import ApplyError
from mcproxy.model.state.rules.violation import NOBODY_ALLOWED
from mcproxy.model.state.rules.violations import allows_nobody
from mcproxy.model.state.state import State
from mcproxy.policy.shrinkage import too_much, unserved

COMMAND = "mcproxyctl reload --allow-shrink"

_NAMES_SHOWN = 5


class ShrinkError(ApplyError):
    """A reload takes away so much that it is asked for first."""


class Shrinking:
    """Judges reloads, and knows the content that it has refused last."""

    def __init__(self) -> None:
        self._refused = ""

    def judge(self, before: Loaded, loaded: Loaded, live: State, desired: State, *, allowed: bool) -> None:
        """Judge a reload.

        Args:
            before: the files that are in effect.
            loaded: those that would be.
            live: what is served.
            desired: what would be.
            allowed: somebody has seen the refusal and wants it all the same; counts for the content that was refused.

        Raises:
            ShrinkError: it takes away too much; with the figures, and the command that applies it all the same.
        """
        digest = content_digest(loaded)
        if digest == content_digest(before) or loaded.resolution.state.settings["proxy.allow_shrink"]:
            return
        reasons = taken_away(before, loaded, live, desired)
        if reasons and not (allowed and digest == self._refused):
            self._refused = digest
            raise ShrinkError(
                f"{'; '.join(reasons)}. If that is meant: {COMMAND} applies exactly this content (SHA-256 {digest[:12]}...)"
            )


def vanished(before: Loaded, loaded: Loaded) -> list[str]:
    """Return the includes that matched files before, are still there, and match nothing now."""
    matched = set(before.patterns) - set(before.unmatched)
    return [str(pattern) for pattern in loaded.unmatched if pattern in matched]


def content_digest(loaded: Loaded) -> str:
    """Return the SHA-256 of all config files, names included, in hexadecimal."""
    total = hashlib.sha256()
    for source in loaded.sources:
        total.update(hashlib.sha256(source.path.encode(errors="surrogateescape")).digest())
        total.update(hashlib.sha256(source.text.encode()).digest())
    return total.hexdigest()


def taken_away(before: Loaded, loaded: Loaded, live: State, desired: State) -> list[str]:
    """Return in words what is taken away, if that is too much to happen unasked; see `Shrinking.judge`."""
    reasons = [f"{pattern} matched files before and matches none now" for pattern in vanished(before, loaded)]
    lost = unserved(live, desired)
    if too_much(live, len(lost)):
        total = len({hostname for _, hostname in live.routes})
        more = f" and {len(lost) - _NAMES_SHOWN} more" if len(lost) > _NAMES_SHOWN else ""
        names = ", ".join(lost[:_NAMES_SHOWN]) + more
        reasons.append(
            f"{len(lost)} of the {total} hostnames served now would be served by no listener any more ({names})"
        )
    if allows_nobody(desired) and not allows_nobody(live):
        reasons.append(f"with the runtime edits, {NOBODY_ALLOWED}")
    return reasons
