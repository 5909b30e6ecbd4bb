"""Charts as inline SVG: axes with round ticks, marks with tooltips, staircase lines."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["feasible", "infeasible", "front"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 78.0, 20.0, 36.0, 52.0
_CHARACTER = 6.6
"""Width of a character of 12 px text, about; legends and labels are laid out with it."""
_RADIUS = {"feasible": 3.5, "infeasible": 3.5, "front": 5.5}
_RING = 9.0
_Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (section 2.2) does not allow as a character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A range of values that is drawn.

    Attributes:
        label: Title, with the unit.
        low: Value at the left or bottom end.
        high: Value at the other end.
        log: Logarithmic; `low` is positive then.
    """

    label: str
    low: float
    high: float
    log: bool = False

    def contains(self, value: float) -> bool:
        """Whether the value lies within the range."""
        return self.low <= value <= self.high

    def place(self, value: float) -> float:
        """Where the value lies, 0 at the low end and 1 at the high one; clamped to the range."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, about: int) -> list[tuple[float, str]]:
        """Round values within the range, about so many, with their texts."""
        if self.log and len(found := _log_ticks(self.low, self.high, about)) > 1:
            return [(value, f"{value:g}") for value in found]
        return linear_ticks(self.low, self.high, about)


def padded_axis(label: str, low: float, high: float, *, log: bool = False) -> Axis:
    """An axis over the values with a little room at both ends."""
    if log:
        room = (high / low) ** 0.04 if high > low else 1.1
        return Axis(label=label, low=low / room, high=high * room, log=True)
    room = 0.04 * (high - low)
    if room <= 1e-6 * max(abs(low), abs(high)):
        room = 0.05 * abs(high) or 1.0
    floor = 0.0 if low >= 0 else -math.inf
    return Axis(label=label, low=max(floor, low - room), high=high + room)


def linear_ticks(low: float, high: float, about: int) -> list[tuple[float, str]]:
    """Multiples of 1, 2 or 5 times a power of ten within the range, with their texts.

    Args:
        low: Less than `high`.
        high: Neither end is infinite.
        about: Number of ticks that would be good; at most one more comes.
    """
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10, 20) if power * factor >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [index * step for index in range(first, last + 1)]
    exponent = math.floor(math.log10(step) + 1e-9)
    if max(abs(low), abs(high)) >= 1e6 or exponent < -6:
        digits = max(0, math.floor(math.log10(max(abs(low), abs(high)))) - exponent)
        return [(value, f"{value:.{digits}e}") for value in values]
    return [(value, f"{value:.{max(0, -exponent)}f}") for value in values]


def _log_ticks(low: float, high: float, about: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        values = [factor * 10.0**decade for decade in decades for factor in factors]
        inside = [value for value in values if low <= value <= high]
        if len(inside) <= about + 2:
            return inside
    return inside[:: math.ceil(len(inside) / about)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A design in a scatter.

    Attributes:
        x: Value on the x axis.
        y: Value on the y axis.
        kind: How it is drawn.
        tooltip: Text that appears under the pointer.
        trial: Number that links a mark to rows of tables; none for the crowd.
        label: Written beside it; a labelled mark is ringed, and drawn at the edge if it lies
            outside the axes.
    """

    x: float
    y: float
    kind: Kind
    tooltip: str
    trial: int | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Plot:
    """A root element with its plotting area."""

    root: ET.Element
    x: Axis
    y: Axis
    width: float
    height: float

    def px(self, value: float) -> float:
        return _LEFT + self.x.place(value) * (self.width - _LEFT - _RIGHT)

    def py(self, value: float) -> float:
        return self.height - _BOTTOM - self.y.place(value) * (self.height - _TOP - _BOTTOM)


def scatter(
    marks: Sequence[Mark],
    x: Axis,
    y: Axis,
    *,
    title: str,
    legend: Sequence[tuple[str, str]],
    staircase: Sequence[tuple[float, float]] = (),
    width: float = 900,
    height: float = 460,
) -> str:
    """Designs as marks, the front last and so on top.

    Args:
        marks: Those outside the axes are left out, unless they are labelled.
        x: The x axis.
        y: The y axis.
        title: What a screen reader says.
        legend: Kind of mark (`given` for the ring) and text, from left to right.
        staircase: Front designs from the best to the worst x; joined by a line that bounds
            what is dominated.
        width: Of the picture in its own units; it scales to its place.
        height: Likewise.
    """
    plot = _frame(x, y, title=title, width=width, height=height)
    _legend(plot, legend)
    if staircase:
        places = [(plot.px(a), plot.py(b)) for a, b in staircase]
        best_low = staircase[0][0] <= staircase[-1][0]
        edge_x = width - _RIGHT if best_low else _LEFT
        _add(plot.root, "path", d=_steps(places) + f"H{edge_x:.1f}", class_="staircase")
    for kind in ("infeasible", "feasible", "front"):
        group = _add(plot.root, "g", class_=kind)
        for mark in marks:
            if mark.kind == kind and (mark.label or _inside(mark, x, y)):
                _draw(group, plot, mark)
    _labels(plot, marks)
    return _text_of(plot.root)


def history(
    points: Sequence[tuple[float, float]],
    x: Axis,
    y: Axis,
    *,
    title: str,
    width: float = 900,
    height: float = 300,
) -> str:
    """A quantity that changes in steps; every point holds until the next one."""
    plot = _frame(x, y, title=title, width=width, height=height)
    places = [(plot.px(a), plot.py(b)) for a, b in points]
    floor = height - _BOTTOM
    steps = _steps(places)
    closed = f"{steps}V{floor:.1f}H{places[0][0]:.1f}Z"
    _add(plot.root, "path", d=closed, class_="under")
    _add(plot.root, "path", d=steps, class_="history")
    last = _add(plot.root, "circle", cx=places[-1][0], cy=places[-1][1], r=4, class_="last")
    _add(last, "title", text=f"{points[-1][1]:.6g} after {points[-1][0]:g}")
    return _text_of(plot.root)


def _frame(x: Axis, y: Axis, *, title: str, width: float, height: float) -> _Plot:
    root = ET.Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img"})
    root.set("class", "chart")
    root.set("aria-label", _clean(title))
    plot = _Plot(root, x, y, width, height)
    bottom, right = height - _BOTTOM, width - _RIGHT
    for value, text in x.ticks(int((width - _LEFT - _RIGHT) / 95)):
        at = plot.px(value)
        _add(root, "line", x1=at, x2=at, y1=_TOP, y2=bottom, class_="grid")
        _add(root, "text", text=text, x=at, y=bottom + 18, class_="tick", text_anchor="middle")
    for value, text in y.ticks(int((height - _TOP - _BOTTOM) / 45)):
        at = plot.py(value)
        _add(root, "line", x1=_LEFT, x2=right, y1=at, y2=at, class_="grid")
        _add(root, "text", text=text, x=_LEFT - 8, y=at + 4, class_="tick", text_anchor="end")
    _add(root, "path", d=f"M{_LEFT:.1f} {_TOP:.1f}V{bottom:.1f}H{right:.1f}", class_="axes")
    middle = (_LEFT + right) / 2
    _add(root, "text", text=x.label, x=middle, y=height - 10, class_="axis", text_anchor="middle")
    across = (_TOP + bottom) / 2
    turned = _add(root, "text", text=y.label, x=16, y=across, class_="axis", text_anchor="middle")
    turned.set("transform", f"rotate(-90 16 {across:.1f})")
    return plot


def _legend(plot: _Plot, entries: Sequence[tuple[str, str]]) -> None:
    group = _add(plot.root, "g", class_="legend")
    at = _LEFT + 8
    for kind, text in entries:
        if kind == "given":
            _add(group, "path", d=_diamond(at, 16.0, 6.5), class_="ring")
        else:
            item = _add(group, "g", class_=kind)
            _add(item, "circle", cx=at, cy=16, r=_RADIUS[kind])
        _add(group, "text", text=text, x=at + 14, y=20)
        at += 38 + _CHARACTER * len(text)


def _draw(group: ET.Element, plot: _Plot, mark: Mark) -> None:
    at = plot.px(mark.x), plot.py(mark.y)
    circle = _add(group, "circle", cx=at[0], cy=at[1], r=_RADIUS[mark.kind])
    _add(circle, "title", text=mark.tooltip)
    if mark.trial is not None:
        circle.set("data-trial", str(mark.trial))
    if mark.label:
        _add(group, "path", d=_diamond(*at), class_="ring")


def _labels(plot: _Plot, marks: Sequence[Mark]) -> None:
    """Beside their marks, off other labels, rings and edges, and off the front if there is room.

    A label that finds no place is left out; the mark's tooltip and the tables name it.
    """
    group = _add(plot.root, "g", class_="labels")
    labelled = [mark for mark in marks if mark.label]
    taken = [_box(plot, mark, _RING) for mark in labelled]
    front = [_box(plot, mark, _RADIUS["front"]) for mark in marks if mark.kind == "front"]
    for mark in labelled:
        spots = [spot for spot in _spots(plot, mark) if not _hits(spot, taken)]
        spot = next((spot for spot in spots if not _hits(spot, front)), next(iter(spots), None))
        if spot is not None:
            taken.append(spot)
            _add(group, "text", text=mark.label, x=spot[0], y=spot[3] - 3)


def _spots(plot: _Plot, mark: Mark) -> list[_Box]:
    """Places for a label within the axes, the nearest first."""
    x, y, long = plot.px(mark.x), plot.py(mark.y), _CHARACTER * len(mark.label)
    boxes = [
        (left, base - 11, left + long, base + 3)
        for down in (-14.0, 22.0, 4.0, -30.0, 38.0, -46.0, 54.0)
        for base, away in ((y + down, 12 if down == 4.0 else 4),)
        for left in (x + away, x - away - long)
    ]
    return [
        box
        for box in boxes
        if box[0] >= _LEFT + 2
        and box[2] <= plot.width - _RIGHT
        and box[1] >= _TOP
        and box[3] <= plot.height - _BOTTOM - 2
    ]


def _box(plot: _Plot, mark: Mark, reach: float) -> _Box:
    x, y = plot.px(mark.x), plot.py(mark.y)
    return (x - reach, y - reach, x + reach, y + reach)


def _hits(box: _Box, others: Sequence[_Box]) -> bool:
    return any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in others
    )


def _inside(mark: Mark, x: Axis, y: Axis) -> bool:
    return x.contains(mark.x) and y.contains(mark.y)


def _steps(places: Sequence[tuple[float, float]]) -> str:
    """A path that goes along x first, then along y."""
    rest = "".join(f"H{x:.1f}V{y:.1f}" for x, y in places[1:])
    return f"M{places[0][0]:.1f} {places[0][1]:.1f}{rest}"


def _diamond(x: float, y: float, reach: float = _RING) -> str:
    return f"M{x:.1f} {y - reach:.1f}l{reach} {reach}l{-reach} {reach}l{-reach} {-reach}Z"


def _add(
    parent: ET.Element, tag: str, *, text: str | None = None, **attributes: str | float
) -> ET.Element:
    child = ET.SubElement(parent, tag)
    for name, value in attributes.items():
        written = f"{value:.1f}".removesuffix(".0") if not isinstance(value, str) else value
        child.set(name.removesuffix("_").replace("_", "-"), written)
    if text is not None:
        child.text = _clean(text)
    return child


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)


def _text_of(root: ET.Element) -> str:
    return ET.tostring(root, encoding="unicode")
