"""Links of README and docs, and the site that is built of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.blocks import REPO
from tests.support.scripts import load_script

PAGES = sorted(
    str(path.relative_to(REPO))
    for path in (
        *REPO.glob("*.md"),
        *(REPO / "docs").rglob("*.md"),
        *(REPO / "results").glob("benchmarks/*.md"),
    )
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(page):
    return re.sub(
        r"^```.*?^```$", "", (REPO / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )


def anchors(page):
    """What a link into a page may name: headings as a repository browser writes them, and explicit ones."""
    text = prose(page)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles]
    return {*slugs, *re.findall(r'<a id="([^"]+)">', text)}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere_in_the_repository(page):
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (REPO / page).parent / path if path else REPO / page
        assert target.resolve().is_relative_to(REPO), f"{page}: {link}"
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(str(target.resolve().relative_to(REPO))), f"{page}: {link}"


def test_readme_is_a_first_page_and_names_every_page():
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 170
    linked = {link.partition("#")[0] for link in LINK.findall(readme)}
    pages = {str(path.relative_to(REPO)) for path in (REPO / "docs").rglob("*.md")} - {"docs/index.md"}
    assert not pages - linked


def test_the_table_of_contents_has_every_page_once():
    text = (REPO / "mkdocs.yml").read_text(encoding="utf-8")
    listed = list(leaves(yaml.safe_load(text[text.index("\nnav:") :])["nav"]))
    pages = {str(path.relative_to(REPO / "docs")) for path in (REPO / "docs").rglob("*.md")}
    assert len(listed) == len(set(listed))
    assert set(listed) == pages | {"CHANGELOG.md", "CONTRIBUTING.md"}


def leaves(node):
    for entry in node if isinstance(node, list) else node.values():
        yield from leaves(entry) if isinstance(entry, list | dict) else [entry]


@pytest.mark.parametrize(
    ("page", "link", "wanted"),
    [
        ("wsol.md", "../results/benchmarks/wsol_study.md", "results/benchmarks/wsol_study.md"),
        ("howto/model.md", "../methods.md", "../methods.md"),
        ("howto/model.md", "../../CHANGELOG.md#x", "../CHANGELOG.md#x"),
        ("CONTRIBUTING.md", "docs/own-method.md", "own-method.md"),
        ("results/benchmarks/segment.md", "../../docs/images/segment.png", "../../images/segment.png"),
        ("wsol.md", "../configs/wsol.yaml", "../configs/wsol.yaml"),
        ("wsol.md", "https://example.org/docs/x.md", "https://example.org/docs/x.md"),
        ("wsol.md", "#limits", "#limits"),
    ],
)
def test_links_are_written_anew_for_the_site(page, link, wanted):
    hooks = load_script("site_hooks")
    assert hooks.relinked(f"a [b]({link}) c", page) == f"a [b]({wanted}) c"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    build = pytest.importorskip(
        "mkdocs.commands.build", reason="mkdocs is not installed: make docs installs it"
    )
    from mkdocs.config import load_config

    folder: Path = tmp_path_factory.mktemp("site")
    build.build(load_config(str(REPO / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def test_the_site_is_built_without_a_warning_and_fetches_nothing(site):
    fetched = re.compile(
        r'<(?:script|img|link rel="(?:stylesheet|icon|preconnect)")[^>]*(?:src|href)="(?:https?:)?//'
    )
    for path in site.rglob("*.html"):
        assert not fetched.search(path.read_text(encoding="utf-8")), path
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", path.read_text(encoding="utf-8")), path


def test_a_written_file_shows_its_name(site):
    page = (site / "own-method.html").read_text(encoding="utf-8")
    assert '<span class="filename">margin.py</span>' in page
