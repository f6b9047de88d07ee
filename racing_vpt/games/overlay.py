"""Displays of the controls in the picture, as written in a game file: what they are, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from racing_vpt.games.forms import near, read_mapping
from racing_vpt.types import FrameSpec, Rectangle, rectangle

Kind = Literal["bar", "slider", "key", "dial"]
Towards = Literal["up", "down", "left", "right"]
Lit = Literal["brighter", "darker"]
FORMS = "{bar: [top, left, height, width], towards: up}, {slider: [...], towards: right}, {key: [...]} or {dial: [...]}"
OPTIONS = ("towards", "middle", "range", "ends", "lit", "value", "turn")


@dataclass(frozen=True)
class Display:
    """One display of a control.

    Args:
        control: the control that it shows.
        kind: a `bar` that grows, a `slider` (a mark that moves along a track), a `key` that lights up, or a `dial`
            (a needle or a wheel that turns).
        place: where it is, as shares of the picture of the video.
        towards: where a bar grows to, or where the high end of a slider is.
        middle: a bar that grows from its middle, to both sides.
        low: value of the control at its low end.
        high: value at its high end.
        ends: `seen`: the extremes that the videos show are low and high; `drawn`: the ends of the rectangle are.
        lit: how a bar or key differs from the same unlit; None: a bar is lit where it grows from, a key brighter.
        turn: degrees clockwise from the middle of a dial to its high end; None: as far as it is seen to turn.
    """

    control: str
    kind: Kind
    place: Rectangle
    towards: Towards = "right"
    middle: bool = False
    low: float = 0.0
    high: float = 1.0
    ends: Literal["seen", "drawn"] = "seen"
    lit: Lit | None = None
    turn: float | None = None


def read_displays(
    given: object, limits: Mapping[str, tuple[float, float]], what: str = "overlay"
) -> tuple[Display, ...]:
    """Displays from YAML: `throttle: {bar: [0.8, 0.1, 0.15, 0.02], towards: up}`; a list where a control has several.

    Args:
        given: parsed YAML.
        limits: lowest and highest value by control; others are taken as 0 to 1, `steering` as -1 to 1.
        what: place in the file, for messages.

    Raises:
        ValueError: a display is invalid; the message says where and what is expected.
    """
    displays = []
    for control, shown in read_mapping(given, what).items():
        if limits and control not in limits:
            raise ValueError(f"{what} names {control}{near(control, limits)}; expected among: {', '.join(limits)}")
        range_ = limits.get(control, (-1.0, 1.0) if control == "steering" else (0.0, 1.0))
        several = shown if isinstance(shown, Sequence) and not isinstance(shown, str) else [shown]
        displays += [_display(control, each, range_, f"{what}.{control}") for each in several]
        if len(several) > 1 and any(display.kind != "key" for display in displays[-len(several) :]):
            raise ValueError(
                f"{what}.{control} has several displays; only keys may share a control, each with its value"
            )
    return tuple(displays)


def hiding(frames: FrameSpec, overlay: Sequence[Display]) -> FrameSpec:
    """Frames in which the displays are hidden too.

    Raises:
        ValueError: the frames are cropped or letterboxed, so that the displays' places in them are not known.
    """
    if not overlay:
        return frames
    if frames.fit != "stretch":
        raise ValueError(f"an overlay is hidden in frames with fit: stretch, but they have fit: {frames.fit}")
    seen = 1 - frames.crop_bottom
    places = []
    for top, left, height, width in (display.place for display in overlay):
        bottom = min(seen, top + height)
        if bottom > top:
            places.append((top / seen, left, (bottom - top) / seen, width))
    return replace(frames, hide=(*frames.hide, *(place for place in dict.fromkeys(places) if place not in frames.hide)))


def _display(control: str, given: object, limits: tuple[float, float], what: str) -> Display:
    kinds = get_args(Kind)
    content = read_mapping(given, what, [*kinds, *OPTIONS])
    named = [kind for kind in kinds if kind in content]
    if len(named) != 1:
        raise ValueError(f"{what} is {given!r}; expected {FORMS}")
    kind = named[0]
    place = content[kind]
    if not isinstance(place, Sequence) or not all(type(share) in (int, float) for share in place):
        raise ValueError(f"{what}.{kind} is {place!r}; expected [top, left, height, width] as shares of the picture")
    low, high = _range(content, limits, kind, what)
    turn = content.get("turn")
    if turn is not None and (type(turn) not in (int, float) or turn == 0):
        raise ValueError(
            f"{what}.turn is {turn!r}; expected degrees from the middle of the dial to its end, such as 90"
        )
    return Display(
        control,
        kind,
        rectangle(place),
        _one_of(content.get("towards", "up" if kind == "bar" else "right"), get_args(Towards), f"{what}.towards"),
        bool(content.get("middle", False)),
        low,
        high,
        _one_of(content.get("ends", "seen"), ("seen", "drawn"), f"{what}.ends"),
        None if content.get("lit") is None else _one_of(content["lit"], get_args(Lit), f"{what}.lit"),
        None if turn is None else float(turn),
    )


def _range(content: Mapping, limits: tuple[float, float], kind: str, what: str) -> tuple[float, float]:
    if kind == "key":
        value = content.get("value", limits[1])
        if type(value) not in (int, float):
            raise ValueError(f"{what}.value is {value!r}; expected the value of the control while the key is lit")
        return 0.0, float(value)
    given = content.get("range", limits)
    numbers = isinstance(given, Sequence) and len(given) == 2 and all(type(each) in (int, float) for each in given)
    if not numbers or not given[0] < given[1]:
        raise ValueError(f"{what}.range is {given!r}; expected the values at its two ends, such as [-1, 1]")
    return float(given[0]), float(given[1])


def _one_of(given: object, known: Sequence[str], what: str) -> Any:
    if given not in known:
        raise ValueError(f"{what} is {given!r}; expected one of: {', '.join(known)}")
    return given
