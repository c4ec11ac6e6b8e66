"""What is in effect, file and runtime edits together, with where each resource comes from."""

from datetime import UTC, datetime

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.edits.requests import edit_name
from mcproxy.model.state.kinds import origin_key
from mcproxy.model.values.origins import Origin


def effective(resolution: Resolution, merged: Merged) -> Resolution:
    """Return the meaning of the files with the merged edits in effect; an edit's resources have the edit as origin."""
    edits = {origin_key(edit.kind, edit.key): Origin(_name(edit), 0, 0) for edit in merged.standing}
    if not edits and not merged.suspended:
        return resolution
    return Resolution(
        merged.state,
        {**resolution.origins, **edits},
        resolution.warnings,
        {key: place for key, place in resolution.places.items() if key not in edits},
    )


def _name(edit: Edit) -> str:
    """Return the name of an edit with the time when it ends by itself."""
    if edit.expires is None:
        return edit_name(edit)
    return f"{edit_name(edit)}, until {datetime.fromtimestamp(edit.expires, UTC):%Y-%m-%d %H:%M}Z"
