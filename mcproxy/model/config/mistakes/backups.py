"""Files that editors and package managers leave beside the real ones, and that no pattern is meant to find."""

import re

_ENDINGS = (
    "~",  # many editors
    *(".swp", ".swo", ".swn", ".swx"),  # Vim
    *(".bak", ".orig", ".rej", ".old", ".save", ".tmp", ".temp", ".part"),  # people, patch, nano, downloads
    *(".rpmnew", ".rpmsave", ".rpmorig", ".dpkg-new", ".dpkg-old", ".dpkg-dist", ".dpkg-tmp", ".dpkg-bak"),
    *(".ucf-new", ".ucf-old", ".ucf-dist", ".pacnew", ".pacsave"),
)
_NAMES = re.compile(r"#.*#|\.#.*|4913|.*\.toml\.sb-[0-9a-f]{8}-\w{6}")  # Emacs; Vim's trial; TextEdit


def is_backup(name: str, pattern: str) -> bool:
    """Tell whether a file that a pattern has found is none that is meant: by its name, unless the pattern itself ends so.

    Args:
        name: of the file, without its folder.
        pattern: as it stands in the file; hidden files are found by none.
    """
    folded = name.lower()
    ending = next((each for each in _ENDINGS if folded.endswith(each) and folded != each), "")
    if ending:
        return not pattern.lower().endswith(ending)
    return _NAMES.fullmatch(name) is not None and pattern.rpartition("/")[2][:1] not in ("#", "4")
