"""Programs of this package that are started by another."""

import os
from pathlib import Path

import mcproxy


def environment() -> dict[str, str]:
    """Return an environment in which ``python -m mcproxy`` is this package, installed or not."""
    own = str(Path(mcproxy.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}
