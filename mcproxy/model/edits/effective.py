"""What is in effect, file and runtime edits together, with where each resource comes from."""

from datetime import UTC, datetime

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.edits.requests import edit_name
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.values.origins import Key, Origin


def effective(resolution: Resolution, merged: Merged) -> Resolution:
    """Return the meaning of the files with the merged edits in effect; an edit's resources have the edit as origin."""
    edits = {key: Origin(name, 0, 0) for key, name in edit_names(merged).items()}
    if not edits and not merged.suspended:
        return resolution
    return Resolution(
        merged.state,
        {**resolution.origins, **edits},
        resolution.warnings,
        {key: place for key, place in resolution.places.items() if key not in edits},
    )


def edit_names(merged: Merged) -> dict[Key, str]:
    """Return the names of the runtime edits in effect, by the key of the resource."""
    return {origin_key(edit.kind, edit.key): _name(edit) for edit in merged.standing}


def _name(edit: Edit) -> str:
    """Return the name of an edit with the time when it ends by itself."""
    if edit.expires is None:
        return edit_name(edit)
    return f"{edit_name(edit)}, until {datetime.fromtimestamp(edit.expires, UTC):%Y-%m-%d %H:%M}Z"
