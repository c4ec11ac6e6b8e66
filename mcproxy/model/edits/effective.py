"""What is in effect, file and runtime edits together, with where each resource comes from."""

from mcproxy.model.config.resolve import Resolution
from mcproxy.model.edits.edit import Edit
from mcproxy.model.edits.overlay import Merged
from mcproxy.model.edits.requests import edit_name
from mcproxy.model.values.origins import Key, Origin


def effective(resolution: Resolution, merged: Merged) -> Resolution:
    """Return the meaning of the files with the merged edits in effect; an edit's resources have the edit as origin."""
    edits = {edit_key(edit): Origin(edit_name(edit), 0, 0) for edit in merged.standing}
    if not edits and not merged.suspended:
        return resolution
    return Resolution(
        merged.state,
        {**resolution.origins, **edits},
        resolution.warnings,
        {key: place for key, place in resolution.places.items() if key not in edits},
    )


def edit_key(edit: Edit) -> Key:
    """Return the key of an edit's resource, its kind in front."""
    return (edit.kind, edit.key) if isinstance(edit.key, str) else (edit.kind, *edit.key)
