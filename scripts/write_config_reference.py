"""Every configuration file in one page, from the files' own comments: `docs/configuration.md`.

Run: python scripts/write_config_reference.py

A file's first comment is what it is; a key's meaning is the comment behind it, with the lines that go on
below, and the comment above it. A test holds the committed page to what this makes, and every key to have a
meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / "configs"
PAGE = REPO / "docs" / "configuration.md"

COMMANDS = ("segment", "explain", "wsol", "lerf")
GROUPS = {
    "model": "The network.",
    "dataset": "The images, and what is known of them.",
    "segmenter": "What cuts an image into regions.",
    "saliency": "The explanation. Formulas and sources are in [methods.md](methods.md).",
    "imputer": "What stands in the place of what `nasbench leRF` removes.",
    "metric": "What is measured: [results.md](results.md), [metrics.md](metrics.md).",
    "engine": "Who computes.",
    "experiment": "Whole runs with a name.",
}

INTRODUCTION = """\
# Configuration

<!-- Made by scripts/write_config_reference.py from configs/; a test holds this page to it. -->

A run is one choice for each group and a value for each key, given on the command line as `group=choice` and
`group.key=value`:

```bash
nasbench wsol saliency=cam segmenter=nas segmenter.k=5,10 --limit 4 --dry-run
nasbench wsol saliency=cam segmenter=nas segmenter.k=5,10 --cfg | head -20
```

- Commas and `range(a,b)` sweep; values in brackets, `[1,2]`, are one list. In a product a swept key that a
  choice lacks is dropped for that choice. A key that no choice has is an error, with the nearest one named.
- `???` must be given. `${seed}` is the run's `seed`. Keys below `kwargs` and `over` are yours to add.
- `--cfg` prints what is composed, `--dry-run` what it would cost, `--config FILE` repeats a run from YAML.
- `$NASBENCH_CONFIGS` names a folder of further choices for every group, `saliency/NAME.yaml` and so on; a
  name of ours is refused.
- `saliency.regions=nas` is another way to say `segmenter=nas`.
"""


@dataclass
class Key:
    """A key of a file.

    Attributes:
        name: with its section's, `view.resize`.
        default: as the file has it; empty where it is a list of lines.
        about: its meaning, one string.
        heading: the divider it stands under; empty without one.
    """

    name: str
    default: str
    about: str
    heading: str = ""


@dataclass
class Reference:
    """What a configuration file says.

    Attributes:
        about: the paragraphs of its first comment.
        keys: in the file's order.
        defaults: the choices it begins with, as `group=choice`.
        cells: of an experiment, its lines from `cells:` on.
    """

    about: list[str]
    keys: list[Key] = field(default_factory=list)
    defaults: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)


_DIVIDER = re.compile(r"# --- (.*?) -+$")
_ITEM = re.compile(r"(\s*)([\w+.]+):(?:\s+(.*))?$")


def read_reference(text: str) -> Reference:
    """The comments of a configuration file, key by key."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    end = lines.index("cells:") if "cells:" in lines else len(lines)
    reader = _Reader(Reference(_paragraphs(lines[:start]), cells=lines[end:]))
    for line in lines[start:end]:
        reader.take(line)
    found = reader.found
    sections = {key.name.partition(".")[0] for key in found.keys if "." in key.name}
    found.keys = [key for key in found.keys if key.name not in {"_target_", "defaults", *sections}]
    return found


@dataclass
class _Reader:
    """Takes a file's lines one after the other.

    Attributes:
        found: what they said so far.
        above: the comment that the next key stands under.
        heading: the divider they stand under.
        section: the key they are indented below.
    """

    found: Reference
    above: list[str] = field(default_factory=list)
    heading: str = ""
    section: str = ""

    def take(self, line: str) -> None:
        """One line."""
        if divider := _DIVIDER.match(line):
            self.heading, self.above = divider[1], []
        elif line.startswith("#"):
            self.above.append(line.lstrip("# "))
        elif not line.strip():
            self.above = []
        elif line.lstrip().startswith("#"):
            self.found.keys[-1].about += f" {line.lstrip(' #')}"
        elif self.section == "defaults" and line.startswith(" "):
            self.found.defaults.append(line.strip().removeprefix("- ").replace(": ", "="))
        elif item := _ITEM.match(line):
            self._key(item)
        else:
            self._list_item(line)

    def _key(self, item: re.Match[str]) -> None:
        value, about = _split(item[3] or "")
        if not item[1]:
            self.section = "" if value else item[2]
        name = f"{self.section}.{item[2]}" if item[1] and self.section else item[2]
        self.found.keys.append(Key(name, value, _joined(about, " ".join(self.above)), self.heading))
        self.above = []

    def _list_item(self, line: str) -> None:
        value, about = _split(line.strip().removeprefix("- "))
        key = self.found.keys[-1]
        key.default = f"{key.default}, {value}".removeprefix(", ")
        key.about += f" {value}: {about}." if about else ""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    parts += [_command(command) for command in COMMANDS]
    for group, about in GROUPS.items():
        parts.append(f"## {group}=\n\n{about}")
        parts += [_choice(group, path) for path in sorted((CONFIGS / group).glob("*.yaml"))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _command(name: str) -> str:
    """A command's own keys, by what they decide."""
    found = read_reference((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    title, _, about = found.about[0].partition(": ")
    chosen = [choice for choice in found.defaults if "=" in choice and not choice.endswith("=null")]
    parts = [f"## {title}", f"{about[0].upper()}{about[1:]}", f"Choices without any: `{' '.join(chosen)}`."]
    for heading in dict.fromkeys(key.heading for key in found.keys):
        keys = [key for key in found.keys if key.heading == heading]
        parts += [f"{heading[0].upper()}{heading[1:]}:", _table(keys, "")]
    return "\n\n".join(parts)


def _choice(group: str, path: Path) -> str:
    """A choice of a group."""
    found = read_reference(path.read_text(encoding="utf-8"))
    parts = [f"### {group}={path.stem}", *found.about]
    parts += [_table(found.keys, f"{group}.")] if found.keys else []
    parts += ["```yaml\n" + "\n".join(found.cells) + "\n```"] if found.cells else []
    return "\n\n".join(parts)


def _table(keys: list[Key], prefix: str) -> str:
    rows = [f"| `{prefix}{key.name}` | {_code(key.default)} | {_cell(key.about)} |" for key in keys]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows])


def _paragraphs(comment: list[str]) -> list[str]:
    lines = [line.removeprefix("#").strip() for line in comment]
    joined = "\n".join(line for line in lines if not line.startswith("@package"))
    return [_escaped(" ".join(part.split())) for part in joined.split("\n\n") if part.strip()]


def _joined(behind: str, above: str) -> str:
    """The comment behind a key, then the one above it."""
    return f"{behind.removesuffix('.')}. {above}" if behind and above else behind or above


def _split(text: str) -> tuple[str, str]:
    """A value and the comment behind it."""
    value, _, about = f" {text}".partition(" #")
    return value.strip(), about.strip()


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


def _escaped(text: str) -> str:
    """Text in which Markdown finds nothing, but for code between backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*<])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
