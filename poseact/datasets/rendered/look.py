"""What a rendered person wears: skin, hair and clothes as materials, drawn at random."""

import dataclasses
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np

from poseact.datasets.rendered.body import Body, sample_body
from poseact.datasets.rendered.paint import TILE_PX, Material, chance, noise_tile

Rgb: TypeAlias = tuple[float, float, float]
Sleeve: TypeAlias = Literal["none", "short", "rolled", "long"]
HairStyle: TypeAlias = Literal["bald", "short", "full", "long", "bun", "cap"]
Neckline: TypeAlias = Literal["round", "vee", "collar", "high"]

_SKINS: Final = (
    (255, 224, 200),
    (241, 202, 172),
    (226, 182, 148),
    (206, 158, 120),
    (181, 130, 94),
    (150, 102, 70),
    (112, 74, 52),
    (80, 54, 40),
)
_HAIRS: Final = (
    (28, 24, 22),
    (48, 34, 26),
    (82, 56, 36),
    (122, 86, 52),
    (186, 150, 98),
    (150, 72, 40),
    (150, 148, 146),
    (222, 220, 216),
)
_CLOTHS: Final = (
    (236, 236, 232),
    (205, 208, 210),
    (120, 124, 130),
    (52, 54, 60),
    (24, 25, 30),
    (30, 42, 78),
    (62, 96, 150),
    (132, 170, 205),
    (140, 36, 40),
    (196, 66, 60),
    (214, 130, 60),
    (226, 190, 90),
    (60, 100, 66),
    (112, 128, 84),
    (128, 92, 66),
    (190, 168, 136),
    (110, 66, 120),
    (226, 170, 180),
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Look:
    """One person: build, skin, hair and clothes."""

    body: Body
    skin: Material
    hair: Material
    hair_style: HairStyle
    lips: Rgb
    beard: bool
    glasses: bool
    top: Material
    inner: Material
    """What shows inside an open jacket, and the tie."""
    jacket: bool
    tie: bool
    sleeve: Sleeve
    neckline: Neckline
    loose: float
    """Width of the cloth beyond the body, statures."""
    bottom: Material
    skirt: bool
    shoe: Material


def flat(colour: Rgb, *, gloss: float = 0.0, folds: float = 0.0) -> Material:
    """Return a surface of one colour."""
    return Material(np.array([[colour]], np.float32), gloss=gloss, folds=folds)


def _streaked(colour: Rgb) -> Material:
    """Return hair: noise drawn out along the strands."""
    strands = noise_tile(3, 5, TILE_PX)
    noise = cv2.GaussianBlur(strands, (1, 9), 0) - cv2.GaussianBlur(strands, (0, 0), 8)
    tile = np.array(colour, np.float32) * (1 + 0.22 * noise[..., None])
    return Material(np.clip(tile, 0, 255).astype(np.float32), span=0.09, gloss=0.06, folds=0.06)


def _pick(rng: np.random.Generator, colours: tuple[Rgb, ...], spread: float) -> Rgb:
    base = np.array(colours[rng.integers(len(colours))], np.float64)
    r, g, b = np.clip(base * rng.normal(1, spread, 3) + rng.normal(0, 6), 3, 252)
    return float(r), float(g), float(b)


def _patterned(rng: np.random.Generator, ground: Rgb, folds: float) -> Material:
    second = np.array(_pick(rng, _CLOTHS, 0.08), np.float32)
    tile = np.tile(np.array(ground, np.float32), (TILE_PX, TILE_PX, 1))
    y, x = np.mgrid[:TILE_PX, :TILE_PX]
    period = TILE_PX // int(rng.choice([2, 4, 8]))
    width = int(period * rng.uniform(0.2, 0.6))
    kind = rng.choice(["hoops", "stripes", "checks", "dots", "print"])
    if kind == "hoops":
        tile[y % period < width] = second
    elif kind == "stripes":
        tile[x % period < width] = second
    elif kind == "checks":
        tile += (second - tile) * (
            0.5 * (y % period < width)[..., None] + 0.5 * (x % period < width)[..., None]
        )
    elif kind == "dots":
        tile[np.hypot(x % period - period / 2, y % period - period / 2) < 0.25 * period] = second
    else:
        blots = noise_tile(int(rng.integers(20, 60)), 3, TILE_PX)
        tile[blots > rng.uniform(0.2, 1.0)] = second
    return Material(
        np.asarray(cv2.GaussianBlur(tile, (0, 0), 0.8), np.float32),
        span=float(rng.uniform(0.06, 0.16)),
        folds=folds,
    )


def _cloth(rng: np.random.Generator, *, patterns: float) -> Material:
    colour = _pick(rng, _CLOTHS, 0.08)
    folds = float(rng.uniform(0.03, 0.12))
    if chance(rng, patterns):
        return _patterned(rng, colour, folds)
    return flat(colour, folds=folds)


def sample_look(rng: np.random.Generator) -> Look:
    """Draw a person: proportions, skin, hair and clothes."""
    tone = int(rng.integers(len(_SKINS)))
    skin = _pick(rng, (_SKINS[tone],), 0.03)
    dark_hair = tone > len(_SKINS) // 2
    hair = _pick(rng, _HAIRS[:2] if dark_hair and chance(rng, 0.8) else _HAIRS, 0.06)
    jacket = chance(rng, 0.3)
    style: HairStyle = rng.choice(
        ["bald", "short", "full", "long", "bun", "cap"],
        p=[0.07, 0.32, 0.2, 0.27, 0.07, 0.07],
    )
    if style == "cap":
        hair = _pick(rng, _CLOTHS, 0.08)
    manly = style in ("bald", "short")
    return Look(
        body=sample_body(rng),
        skin=flat(skin, gloss=0.05),
        hair=flat(hair, folds=0.05) if style == "cap" else _streaked(hair),
        hair_style=style,
        lips=(skin[0] * 0.78, skin[1] * 0.52, skin[2] * 0.52),
        beard=manly and chance(rng, 0.3),
        glasses=chance(rng, 0.2),
        top=_cloth(rng, patterns=0.1 if jacket else 0.4),
        inner=_cloth(rng, patterns=0.2),
        jacket=jacket,
        tie=jacket and chance(rng, 0.4),
        sleeve="long"
        if jacket
        else rng.choice(["none", "short", "rolled", "long"], p=[0.08, 0.4, 0.12, 0.4]),
        neckline="collar" if jacket else rng.choice(["round", "vee", "collar", "high"]),
        loose=float(rng.uniform(0.003, 0.014)) + 0.006 * jacket,
        bottom=_cloth(rng, patterns=0.08),
        skirt=style in ("long", "bun") and chance(rng, 0.4),
        shoe=flat(_pick(rng, _CLOTHS[2:6], 0.08), gloss=0.1),
    )


def darker(material: Material, factor: float) -> Material:
    """Return a material with its colours multiplied."""
    return dataclasses.replace(material, tile_HWC=np.clip(material.tile_HWC * factor, 0, 255))
