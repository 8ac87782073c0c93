"""README and docs: every block is run, written or checked, and one that would not run is noticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.blocks import REPO, BadBlockError, Block, Runner, own_modules, read_blocks
from tests.support.cli import call
from tests.support.material import lay_out
from tests.support.realdata import realdata

PAGES = sorted(
    str(path.relative_to(REPO))
    for path in (REPO / "README.md", REPO / "CONTRIBUTING.md", *(REPO / "docs").rglob("*.md"))
)


def blocks_of(page: str) -> list[Block]:
    return read_blocks((REPO / page).read_text(encoding="utf-8"), page)


OWN_METHOD = "docs/own-method.md"  # is run by a test of its own, which looks at what it shows


def pages_with(*, real: bool) -> list[str]:
    found = [p for p in PAGES if any(("realdata" in b.marks) is real for b in blocks_of(p))]
    return [page for page in found if page != OWN_METHOD]


@pytest.fixture
def runner(capsys, monkeypatch, tmp_path):
    """Runs blocks in a folder of their own."""
    monkeypatch.chdir(tmp_path)

    def nasbench(words):
        result = call(capsys, monkeypatch, *words)
        return result.code, result.out, result.err

    with own_modules(tmp_path):
        yield Runner(nasbench, monkeypatch.setenv)


def run_page(runner: Runner, page: str, real: Path | None) -> None:
    blocks = [block for block in blocks_of(page) if ("realdata" in block.marks) is (real is not None)]
    lay_out(Path.cwd(), [block.text for block in blocks if block.language == "bash"], real)
    for block in blocks:
        runner.run(block)


@pytest.mark.parametrize("page", pages_with(real=False))
def test_every_block_of_a_page_runs(runner, page):
    run_page(runner, page, real=None)


@pytest.mark.realdata
@pytest.mark.parametrize("page", pages_with(real=True))
def test_every_block_that_needs_real_data_runs(runner, page):
    run_page(runner, page, real=realdata())


@pytest.mark.parametrize("page", PAGES)
def test_no_command_hides_outside_a_block(page):
    text = (REPO / page).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    hidden = re.findall(r"^(?: {4,}|\t)(?:nasbench|make|python3?|pip|\$) .*$", prose, re.MULTILINE)
    assert not hidden, "indented commands are not tested; use a ```bash block"


@pytest.mark.parametrize("page", PAGES)
def test_real_weights_are_named_where_they_are_needed(page):
    """Without the mark a block would fail for those who lack the files."""
    for block in blocks_of(page):
        if block.language == "bash" and re.search(
            r"=(imagenet|BSDS500|resnet\d+\.safetensors)\b", block.text
        ):
            assert {"realdata", "in"} & set(block.marks), block.place


def test_a_method_of_ones_own_shows_what_its_page_says(runner):
    run_page(runner, OWN_METHOD, real=None)
    names, custom, imputer, changed = runner.shown
    lines = names.splitlines()
    assert [line.split()[0] for line in lines if re.match(r"\w", line)][:2] == ["margin", "mean_activation"]
    assert (
        lines[0]
        == f"{'margin':<20} Margin gradient: how far the class explained is ahead of the best of the others."
    )
    assert lines[1].strip() == "Not for networks of one class."
    cells = {line.split("│")[1].strip() for line in lines if line.count("│") > 3}
    assert {"margin power=1", "margin slic power=2", "gradient", "gradient slic"} <= cells
    assert "failed" in custom
    assert "error" not in names + custom + imputer
    assert "pixels (n = 2)" in imputer
    before, after = re.findall(r"^folder .*$", changed, re.MULTILINE)
    assert before != after, "the source is in the key"


# --- one that would not run is noticed -------------------------------------------------------------


def run_text(runner: Runner, text: str) -> None:
    for block in read_blocks(text, "page.md"):
        runner.run(block)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```bash\nnasbench segment segmenter.kk=3\n```", "page.md:1: exit code 2"),
        ("```bash\nnasbench segmant\n```", "page.md:1: exit code 2"),
        ("```bash\nnasbench segment --limits 3\n```", "page.md:1: exit code 2"),
        ("```bash\nnasbench ls models nothing_like_it\n```", "exit code 2"),
        ("```bash\nnasbench ls models | grep -q nothing_like_it\n```", "exit code 1"),
        ("```bash\nmake cofee\n```", "no target cofee"),
        ("```bash\npip install '.[tests]'\n```", "extras it has not"),
        ("```bash\npip install something\n```", "not this project"),
        ("```bash\nnosuchcommand\n```", "exit code 127"),
        ("```bash\npython scripts/nothing.py\n```", "nothing.py"),
        ("```sh\nnasbench segment\n```", "open a block by"),
        ("```\nnasbench segment\n```", "open a block by"),
        ("~~~bash\nnasbench segment\n~~~", "open a block by"),
        ("- text\n  ```bash\n  nasbench segment\n  ```", "page.md:2: "),
        ("```bash\nnasbench segment\n", "never closed"),
        ("<!-- test: sloppy -->\n```bash\nls\n```", "sloppy is none of"),
        ("<!-- test: in=tests/nowhere.py -->\n```bash\nnasbench ls\n```", "no file tests/nowhere.py"),
        ("<!-- test: in=tests/test_packaging.py -->\n```bash\nnasbench wsol\n```", 'does not run "wsol"'),
        ("```bash\nprintf 'a 3\\n'\n```\n<!-- test: output -->\n```text\nb 3\n```", "nothing was shown like"),
        ("<!-- test: exit=2 -->\n```bash\nnasbench ls models\n```", "exit code 0"),
    ],
)
def test_a_block_that_does_not_run_fails(runner, text, said):
    with pytest.raises((BadBlockError, OSError), match=re.escape(said)):
        run_text(runner, text)


def test_python_and_yaml_blocks_are_run_too(runner):
    with pytest.raises(ZeroDivisionError):
        run_text(runner, "```python\na = 0\n```\n```python\nprint(1 / a)\n```")
    with pytest.raises(Exception, match="expected"):
        run_text(runner, "```yaml\na: [\n```")


def test_what_marks_change(runner):
    called: list[list[str]] = []

    def nasbench(words):
        called.append(words)
        return 0, "is 12\n", ""

    runner.nasbench = nasbench
    run_text(
        runner, "<!-- test: limit=2 -->\n\n```bash\nnasbench wsol a=1 \\\n  --limit 9 b=2 | grep is\n```"
    )
    run_text(runner, "<!-- test: output -->\n```text\n...\nis 7\n```")
    run_text(runner, "<!-- test: dry-run -->\n```bash\nnasbench leRF  # all\nnasbench ls models\n```")
    assert called == [["wsol", "a=1", "b=2", "--limit", "2"], ["leRF", "--dry-run"], ["ls", "models"]]
    run_text(runner, "<!-- test: limit=2 -->\nwords between\n```bash\nnasbench segment\n```")
    assert called[-1] == ["segment"], "a mark belongs to the block right after it"
