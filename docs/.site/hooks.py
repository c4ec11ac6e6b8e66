"""Build the site from files that also read well where they stand: the README is its first page.

Pages link to each other, and to files outside of docs/, by relative paths. What is outside is added to the site under its own
path: Markdown as a page, anything else as a file; the README becomes ``index.md``.
"""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]*)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the README, and every file outside that it or a page links to."""
    waiting = [ROOT / "README.md", *(ROOT / "docs" / file.src_uri for file in files.documentation_pages())]
    seen = set(waiting)
    files.append(File.generated(config, "index.md", content=_rewritten(waiting[0])))
    while waiting:
        for target in _targets(waiting.pop()):
            if target in seen or not target.is_file():
                continue
            seen.add(target)
            if target.is_relative_to(ROOT / "docs"):
                continue
            if target.suffix == ".md":
                waiting.append(target)
                files.append(File.generated(config, _uri(target), content=_rewritten(target)))
            else:
                files.append(File.generated(config, _uri(target), abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Let a page's links lead to where their targets are on the site; pages from outside have been rewritten before."""
    path = ROOT / "docs" / page.file.src_uri
    return _rewritten(path, markdown) if path.is_file() else markdown


def _targets(path: Path) -> list[Path]:
    text = path.read_text(encoding="utf-8")
    return [Path(os.path.normpath(path.parent / link)) for link in _LINK.findall(text) if link]


def _rewritten(path: Path, markdown: str | None = None) -> str:
    text = path.read_text(encoding="utf-8") if markdown is None else markdown
    own = Path(_uri(path)).parent

    def moved(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(path.parent / match[1]))
        if not match[1] or not target.is_file():
            return match[0]  # a strict build reports it
        return os.path.relpath(_uri(target), own)

    return _LINK.sub(moved, text)


def _uri(path: Path) -> str:
    """Return the place of a file of the project on the site."""
    if path == ROOT / "README.md":
        return "index.md"
    base = ROOT / "docs" if path.is_relative_to(ROOT / "docs") else ROOT
    return path.relative_to(base).as_posix()
