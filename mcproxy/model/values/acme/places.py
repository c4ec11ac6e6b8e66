"""Where certificates that are ordered lie: a file for each hostname, its key in it, so that no crash leaves half a pair."""

import posixpath
from collections.abc import Mapping

SUFFIX = ".pem"
_WILDCARD = "wildcard@"  # no hostname has an @, and no shell takes it for a pattern


def file_name(hostname: str) -> str:
    """Return the name of the file for a hostname, which may be a wildcard."""
    return (hostname.replace("*.", _WILDCARD, 1) if hostname.startswith("*.") else hostname) + SUFFIX


def folder(settings: Mapping[str, object]) -> str:
    """Return the folder of all of them: ``acme.folder``, beside the database where that is relative."""
    return posixpath.join(posixpath.dirname(str(settings["database.path"])), str(settings["acme.folder"]))


def file_of(settings: Mapping[str, object], hostname: str) -> str:
    """Return the path of the file for a hostname."""
    return posixpath.join(folder(settings), file_name(hostname))
