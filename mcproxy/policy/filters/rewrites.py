"""What becomes of a request's path and host on the way to its backend."""

from mcproxy.model.state.filter_options import Rewrite
from mcproxy.model.values.http.matches import normal
from mcproxy.policy.cases.paths import Paths
from mcproxy.policy.cases.readings import is_odd, readings

_REMEMBERED = 64  # odd paths


class PathRewrite:
    """Another beginning in place of a path's own, which is compared by whole segments; what follows it stays as it was received.

    Args:
        rewrite: what is replaced by what; a slash at the end of either makes no difference.
    """

    __slots__ = ("_beginning", "_below", "_judged", "_segments", "_to")

    def __init__(self, rewrite: Rewrite) -> None:
        beginning = rewrite.from_.rstrip("/").encode()
        self._beginning = normal(beginning)
        self._segments = beginning.count(b"/")
        self._to = rewrite.to.rstrip("/").encode()
        # what was written with escapes is read without them as well
        self._below = tuple(reading + b"/" for reading in readings(self._to) or (self._to,))
        self._judged: Paths[bool] = Paths(_REMEMBERED)

    def apply(self, target: bytes) -> bytes | None:
        """Return the path and query that the backend gets; None where a reading of the new path leads out of what stands at its beginning.

        A path that doesn't begin so stays as it is, and so does ``*``.
        """
        path, mark, query = target.partition(b"?")
        parts = path.split(b"/", self._segments + 1)
        beginning = b"/".join(parts[: self._segments + 1])
        if len(parts) <= self._segments or path[:1] != b"/" or normal(beginning) != self._beginning:
            return target
        rest = path[len(beginning) :]
        if not self._to and rest[:2] == b"//":
            rest = b"/" + rest.lstrip(b"/")  # else a backend could take what follows for a host
        new = self._to + rest or b"/"
        if self._to and is_odd(new) and not self._stays(new):
            return None
        return new + mark + query

    def _stays(self, path: bytes) -> bool:
        """Tell whether no reading of a path leads out of what was put at its beginning."""
        key = self._judged.key(0, path)
        stays = self._judged.get(key)
        if stays is None:
            found = readings(path) or (b"",)
            stays = all(reading.startswith(self._below) or reading + b"/" in self._below for reading in found)
            self._judged.put(key, stays)
        return stays
