"""Every saliency method in one page, from the methods' own metadata: `docs/methods.md`.

Run: python scripts/write_methods.py

What a method says of itself (`nasbench.saliency.base.Method`) and the defaults in `configs/saliency` are
written down; which networks it has a meaning for is found out by asking it about a small one of each family.
A test holds the committed page to what this makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

import torch
import yaml

from nasbench.config.locate import config_file, describe, limitation
from nasbench.models import Classifier, load_classifier
from nasbench.saliency.base import Method, Saliency
from nasbench.saliency.registry import METHODS, make_method

PAGE = Path(__file__).resolve().parents[1] / "docs" / "methods.md"


@dataclass(frozen=True)
class Family:
    """A kind of network, and a small one of it.

    Attributes:
        title: as the page calls it.
        name: timm's name.
        kwargs: options of timm's constructor.
    """

    title: str
    name: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Classifier:
        """The network with random weights, for images of 64 pixels."""
        return load_classifier(name=self.name, weights="random", input_size=64, kwargs=self.kwargs)


SMALL_SWIN = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8), "window_size": 4}
FAMILIES = (
    Family("ResNet", "test_resnet"),
    Family("VGG", "vgg11", {"mlp_ratio": 0.03125}),
    Family("EfficientNet", "test_efficientnet"),
    Family("MobileNetV2", "mobilenetv2_050"),
    Family("ConvNeXt", "test_convnext"),
    Family("MambaOut", "test_mambaout"),
    Family("ViT with a class token", "test_vit"),
    Family("ViT with an average", "test_vit", {"global_pool": "avg"}),
    Family("Swin", "swin_tiny_patch4_window7_224", SMALL_SWIN),
)

GROUPS = {
    "gradients": "Gradients with respect to the image",
    "layers": "Activations of a layer, and their gradients",
    "none": "Controls, and maps from files",
}

INTRODUCTION = """\
# Saliency methods

<!-- Made by scripts/write_methods.py from the methods' own metadata; a test holds this page to it. -->

What `saliency=NAME` chooses on the command line, and `nasbench.explain(model, x, target, method="NAME")` in
Python. A map is raw: nothing is clipped at 0, scaled or upsampled, and CAMs stay on their layer's grid.
`saliency.regions=nas`, or another segmenter, gives each region its mean; `randomise=all` explains an
untrained network instead, as a control. The comments in `configs/saliency/NAME.yaml` say what each option
does. How to add a method of your own is in [own-method.md](own-method.md).

S is the score explained, the target's logit unless `saliency.score=probability`; x the image in [0, 1], with
the network's own normalisation as part of the network; A a layer's output and G = ∂S/∂A; c a channel, p and
q positions.
"""

FOUND_OUT = """Found out on {families}, all small and with random weights, and with the methods' defaults.
What an architecture does not allow is said by name when a run meets it: its rows are `skipped`, and the other
methods go on."""


def page() -> str:
    """The whole page."""
    methods = {name: make_method(name, **_needed(name)) for name in METHODS}
    unsupported = _unsupported(methods)
    reasons: list[str] = []
    table = ["| `saliency=` | method | raw map | cost of a map | networks |", "|---|---|---|---|---|"]
    for name, method in methods.items():
        about = method.method
        link = f"[`{name}`](#{_anchor(name)})"
        networks = _networks(unsupported.get(name, {}), reasons)
        cells = (link, about.title, about.range, about.passes, networks)
        table.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    families = ", ".join(f"{family.title} (`{family.name}`)" for family in FAMILIES)
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, start=1)]
    found_out = fill(FOUND_OUT.format(families=families), 116, break_on_hyphens=False)
    parts = ["\n".join(table), f"## For which networks\n\n{found_out}", "\n".join(notes)]
    for group, title in GROUPS.items():
        parts.append(f"## {title}")
        parts += [_section(name, m.method) for name, m in methods.items() if _group(m.method) == group]
    return INTRODUCTION + "\n" + "\n\n".join(part.strip() for part in parts) + "\n"


def _section(name: str, about: Method) -> str:
    """What is to be known of one method."""
    node = yaml.safe_load(config_file("saliency", name).read_text(encoding="utf-8"))
    options = [_option(key, value) for key, value in node.items() if key != "_target_"]
    said = [
        f'<a id="{_anchor(name)}"></a>',
        f"### {about.title}",
        "",
        f"{describe('saliency', name)} {limitation('saliency', name)}".strip(),
        "",
        f"- `saliency={name}`{', by default with ' if options else ''}{', '.join(options)}",
        f"- map: `{about.formula}`",
        f"- from: {_linked(about.source)}",
    ]
    return "\n".join(said)


def _unsupported(methods: Mapping[str, Saliency]) -> dict[str, dict[str, str]]:
    """Of each method the families it has no meaning for, with the reasons."""
    found: dict[str, dict[str, str]] = {}
    for family in FAMILIES:
        classifier = family.build()
        for name, method in methods.items():
            reason = method.unsupported(classifier)
            if reason is not None:
                found.setdefault(name, {})[family.title] = reason.replace(classifier.name, "the network")
    return found


def _networks(unsupported: Mapping[str, str], reasons: list[str]) -> str:
    """In words, with the numbers of the reasons, to which new ones are added."""
    if not unsupported:
        return "all"
    numbers: dict[str, list[str]] = {}
    for title, reason in unsupported.items():
        numbers.setdefault(reason, []).append(title)
    reasons += [reason for reason in numbers if reason not in reasons]
    without = [f"{', '.join(titles)} <sup>{reasons.index(r) + 1}</sup>" for r, titles in numbers.items()]
    return f"not {'; '.join(without)}"


def _group(about: Method) -> str:
    return about.needs if about.needs in GROUPS else "layers"


def _needed(name: str) -> dict[str, Any]:
    """What a method must be given."""
    return {"path": "."} if name == "precomputed" else {}


def _anchor(name: str) -> str:
    return name.replace("+", "p")


def _option(key: str, value: Any) -> str:
    return f"`saliency.{key}=...` (to be given)" if value == "???" else f"`saliency.{key}={_shown(value)}`"


def _shown(value: Any) -> str:
    """A default as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    return "null" if value is None else str(value)


def _linked(source: str) -> str:
    source = re.sub(r"arXiv[: ](\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)
    return re.sub(r"doi:(10\.\S+)", r"[doi:\1](https://doi.org/\1)", source)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the networks are too small for more
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
