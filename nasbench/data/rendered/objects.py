"""The classes: objects composed of named parts, told apart by shape, arrangement and pattern.

Two pairs differ in one respect only, so that what tells them apart is known: the fish in the pattern of the
body, the two ships in what stands on the same hull. Colours are drawn at random and shared by all classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from nasbench.data.rendered.geometry import Polygon, Shape, arc, dome, ellipse, rectangle
from nasbench.data.rendered.integer import ONE, TURN, cosine, sine


@dataclass(frozen=True)
class Part:
    """One named part of an object.

    Attributes:
        name: unique within the object.
        shape: in object units.
        pattern: a name of `patterns.PATTERNS` that belongs to the class, or None: drawn at random.
        spare: whether the part may appear alone as a distractor; false for what says the class by itself.
    """

    name: str
    shape: Shape
    pattern: str | None = None
    spare: bool = True


def _part(name: str, *polygons: Polygon, pattern: str | None = None, spare: bool = True) -> Part:
    return Part(name, Shape(polygons), pattern, spare)


def _petals(y: int, count: int, out: int, long: int, wide: int) -> tuple[Polygon, ...]:
    turns = [i * TURN // count for i in range(count)]
    return tuple(
        ellipse(out * cosine(t) // ONE, y + out * sine(t) // ONE, long, wide, turn=t, corners=16)
        for t in turns
    )


def _fish(pattern: str) -> tuple[Part, ...]:
    return (
        _part("tail", ((420, 0), (960, -480), (800, 0)), ((420, 0), (960, 480), (800, 0)), spare=False),
        _part("fin", ((-220, -250), (60, -640), (360, -560), (300, -220)), spare=False),
        _part("body", ellipse(-160, 0, 720, 400), pattern=pattern, spare=False),
        _part("eye", ellipse(-600, -100, 90, 90, corners=16), pattern="target"),
    )


_HULL = _part("hull", ((-860, 420), (860, 420), (560, 860), (-600, 860)))

OBJECTS: dict[str, tuple[Part, ...]] = {
    "house": (
        _part("chimney", rectangle(360, -860, 580, -200)),
        _part("wall", rectangle(-640, -120, 640, 880)),
        _part("roof", ((-860, -100), (0, -880), (860, -100))),
        _part("door", rectangle(110, 330, 430, 880), pattern="solid"),
        _part("window", rectangle(-450, 130, -90, 490), pattern="cross"),
    ),
    "car": (
        _part("cabin", ((-600, 20), (-360, -480), (340, -480), (640, 20)), pattern="solid"),
        _part(
            "window",
            ((-460, 0), (-290, -370), (-40, -370), (-40, 0)),
            ((40, 0), (40, -370), (280, -370), (470, 0)),
        ),
        _part(
            "body", ((-960, 60), (-880, -20), (800, -20), (960, 140), (960, 430), (-960, 430)), spare=False
        ),
        _part("front_wheel", ellipse(540, 440, 240, 240), pattern="target"),
        _part("rear_wheel", ellipse(-540, 440, 240, 240), pattern="target"),
    ),
    "striped_fish": _fish("stripes"),
    "dotted_fish": _fish("dots"),
    "flower": (
        _part("stem", rectangle(-55, -200, 55, 960), pattern="solid"),
        _part("leaves", ellipse(300, 560, 310, 120, turn=900), ellipse(-300, 700, 310, 120, turn=124)),
        _part("petals", *_petals(-380, 7, 360, 230, 150), pattern="solid", spare=False),
        _part("heart", ellipse(0, -380, 210, 210), pattern="dots"),
    ),
    "sailboat": (
        _part("mast", rectangle(-45, -940, 45, 500), pattern="solid"),
        _HULL,
        _part("sail", ((110, -860), (800, 300), (110, 330))),
        _part("jib", ((-110, -620), (-110, 330), (-700, 310))),
    ),
    "steamer": (
        _part("funnels", rectangle(-330, -420, -110, 120), rectangle(90, -420, 310, 120)),
        _part(
            "smoke", *(ellipse(x, y, r, r, corners=16) for x, y, r in ((-120, -560, 170), (110, -700, 210)))
        ),
        _part("deckhouse", rectangle(-520, 60, 500, 460), pattern="dots"),
        _HULL,
    ),
    "butterfly": (
        _part("lower_wings", ellipse(330, 400, 400, 260, turn=150), ellipse(-330, 400, 400, 260, turn=-150)),
        _part(
            "upper_wings",
            ellipse(460, -240, 580, 330, turn=-120),
            ellipse(-460, -240, 580, 330, turn=120),
            pattern="dots",
            spare=False,
        ),
        _part(
            "feelers",
            ((0, -480), (60, -480), (330, -900), (270, -920)),
            ((0, -480), (-60, -480), (-330, -900), (-270, -920)),
        ),
        _part("trunk", ellipse(0, 60, 110, 640), spare=False),
    ),
    "mushroom": (
        _part("foot", ((-200, -60), (200, -60), (330, 900), (-330, 900)), pattern="solid"),
        _part("skirt", ((-260, 160), (260, 160), (420, 360), (-420, 360))),
        _part("cap", dome(0, 60, 900, 880), pattern="solid", spare=False),
        _part(
            "spots",
            *(
                ellipse(x, y, r, r, corners=16)
                for x, y, r in ((-440, -210, 150), (60, -470, 180), (480, -170, 140), (20, -90, 110))
            ),
            pattern="solid",
            spare=False,
        ),
    ),
    "robot": (
        _part(
            "antenna", rectangle(-35, -860, 35, -560), ellipse(0, -890, 95, 95, corners=16), pattern="solid"
        ),
        _part(
            "arms",
            rectangle(-820, -160, -480, 20),
            rectangle(-820, -160, -650, 480),
            rectangle(480, -160, 820, 20),
            rectangle(650, -160, 820, 480),
        ),
        _part("legs", rectangle(-340, 420, -90, 940), rectangle(90, 420, 340, 940)),
        _part("torso", rectangle(-500, -200, 500, 540)),
        _part("head", rectangle(-360, -660, 360, -160), pattern="solid", spare=False),
        _part(
            "eyes",
            ellipse(-160, -420, 110, 110, corners=16),
            ellipse(160, -420, 110, 110, corners=16),
            pattern="solid",
            spare=False,
        ),
    ),
    "rocket": (
        _part(
            "flame",
            ((-220, 540), (0, 540), (-130, 860)),
            ((-120, 540), (120, 540), (0, 980)),
            ((0, 540), (220, 540), (130, 860)),
        ),
        _part(
            "fins",
            ((-230, 120), (-230, 600), (-620, 760), (-560, 440)),
            ((230, 120), (230, 600), (620, 760), (560, 440)),
        ),
        _part("fuselage", rectangle(-270, -480, 270, 600)),
        _part("nose", ((-290, -460), (-190, -720), (0, -970), (190, -720), (290, -460))),
        _part("porthole", ellipse(0, -160, 170, 170), pattern="target"),
    ),
    "umbrella": (
        _part("pole", rectangle(-42, -940, 42, 640), pattern="solid"),
        _part("handle", *arc(170, 640, 170, 90, 0, TURN // 2), pattern="solid"),
        _part("canopy", dome(0, 0, 940, 760), pattern="rays", spare=False),
        _part(
            "hem", *(ellipse(x, 0, 185, 120, corners=16) for x in (-750, -375, 0, 375, 750)), pattern="solid"
        ),
    ),
}
"""Class name -> parts from back to front; the order of the names is that of the class indices."""

CLASSES: tuple[str, ...] = tuple(OBJECTS)

SPARES: tuple[Part, ...] = tuple(part for parts in OBJECTS.values() for part in parts if part.spare)
"""The parts that may appear alone."""
