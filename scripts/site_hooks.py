"""What mkdocs asks while it builds the site: files from beside docs/ come along, and links reach them.

In the repository a page links to `../results/benchmarks/x.md`, which a repository browser follows. The site
has that file at `results/benchmarks/x.md`: it is taken in from where it lies, and links are written anew.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]

# What of the repository outside docs/ the site has, at the same path.
ALONG = ("CHANGELOG.md", "CONTRIBUTING.md", "results/benchmarks/*.md")

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)")


def on_files(files: Any, config: Any) -> Any:
    """Called by mkdocs with the files of docs/."""
    from mkdocs.structure.files import File

    for path in taken_along():
        files.append(File.generated(config, path, abs_src_path=str(REPO / path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by mkdocs with each page before it becomes HTML."""
    return relinked(markdown, page.file.src_uri)


def taken_along() -> list[str]:
    """The paths of `ALONG` in the repository, sorted."""
    return sorted(path.relative_to(REPO).as_posix() for pattern in ALONG for path in REPO.glob(pattern))


def relinked(markdown: str, page: str) -> str:
    """A page with relative links as the site has them; `page` is its path there."""
    return _LINK.sub(lambda link: _on_site(link[1], page), markdown)


def _on_site(link: str, page: str) -> str:
    along = set(taken_along())
    here = posixpath.dirname(page if page in along else f"docs/{page}")
    target = posixpath.normpath(posixpath.join(here, link))
    if target not in along and not target.startswith("docs/"):
        return link  # not on the site: the strict build says so
    return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(page) or ".")
