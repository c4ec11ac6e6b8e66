"""What becomes of a commit."""

from mcproxy.model.fleet.contents import Commit, Committed, Conflict, Contents


def found_in(commit: Commit, contents: Contents) -> Committed | Conflict | None:
    """Return what became of a commit that was sent, and of which nobody has said whether it was made.

    Args:
        commit: what was sent; it puts or deletes something.
        contents: what is there since.

    Returns:
        None if it was not made yet, and may be.
    """
    puts = [contents.items.get(key) for key in commit.puts]
    as_put = all(
        item is not None and item.value == value for item, value in zip(puts, commit.puts.values(), strict=True)
    )
    if as_put and not contents.items.keys() & set(commit.deletes):
        return Committed(max((item.version for item in puts if item is not None), default=contents.revision))
    expected = all(contents.version(key) == version for key, version in commit.compares.items())
    return None if expected else Conflict(contents)
