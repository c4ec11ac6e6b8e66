"""Serving the last state that was live, when the file is invalid at the start (`--last-good`)."""

from pathlib import Path
from typing import Any

import msgspec

from mcproxy.control.files import config_file
from mcproxy.control.files.config_file import Loaded
from mcproxy.control.files.look import look
from mcproxy.control.store.store import Store
from mcproxy.errors import ApplyError
from mcproxy.model.config import toml_text
from mcproxy.model.config.problems import Source
from mcproxy.model.config.resolve import Resolution, resolve
from mcproxy.model.config.schema import Config
from mcproxy.model.config.walker import default
from mcproxy.named_file import read_file


def database_path(path: Path) -> str:
    """Return where the database of an invalid config file is: as it says, if that much of it can be read, else beside it."""
    folder = config_file.absolute(path).parent
    try:
        found: Any = toml_text.loads(read_file(path).decode()).get("database", {}).get("path")
    except (OSError, ValueError, AttributeError):
        found = None
    if isinstance(found, str) and found:
        return str(config_file.absolute(folder / found))
    return str(default(type(Config().database), "path", str(folder)))


async def load(path: Path, store: Store) -> Loaded:
    """Return the last state that was live, as if it were what the file at ``path`` says.

    Raises:
        ApplyError: no state was ever live.
        StoreError: the database can't give it.
    """
    for revision in await store.revisions(limit=1):
        detail = await store.revision(revision.generation)
        if detail is not None:
            files, patterns = await look(config_file.involved, path)
            state = msgspec.structs.replace(detail.state, settings={**default_settings(path), **detail.state.settings})
            return Loaded(Resolution(state, {}, (), {}), files, patterns)
    raise ApplyError(f"{store.path}: no state was live yet, so there is no last good one")


def default_settings(path: Path) -> dict[str, Any]:
    """Return the settings of an empty file: a state that an earlier version kept may lack some."""
    return dict(resolve([Source(str(config_file.absolute(path)), "")]).state.settings)
