"""A curve: its points, and how it is kept and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from benchmarks.machine import Machine

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = ROOT / "benchmarks/results"
DRAWN: Final = ROOT / "docs/performance"


class Curve(msgspec.Struct):
    """Points of some series over the same `x`. `ratios` compare points, by a name that says which."""

    name: str
    title: str
    x_label: str
    y_label: str
    x: list[float]
    series: dict[str, list[float]]
    ratios: dict[str, float] = {}
    logarithmic: bool = True  # in x
    is_drawn: bool = True
    machine: Machine | None = None


def keep(curve: Curve) -> None:
    """Write it into the results."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{curve.name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(curve), indent=1) + b"\n")


def kept() -> list[Curve]:
    """Read all that are kept."""
    return [msgspec.json.decode(path.read_bytes(), type=Curve) for path in sorted(RESULTS.glob("*.json"))]


def draw(curve: Curve) -> Path:
    """Draw it and give where; the same points give the same file, but for matplotlib's version."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = curve.name
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for number, (name, values) in enumerate(curve.series.items()):
        axes.plot(curve.x, values, "os^Dv"[number % 5] + "-", label=name)
    if curve.logarithmic:
        axes.set_xscale("log")
    axes.set_xticks(curve.x, [f"{each:,.10g}" for each in curve.x])
    axes.minorticks_off()
    axes.set_ylim(0, 1.1 * max(max(values) for values in curve.series.values()))
    axes.set_title(curve.title, fontsize=10)
    axes.set_xlabel(curve.x_label)
    axes.set_ylabel(curve.y_label)
    axes.grid(alpha=0.3)
    if len(curve.series) > 1:
        axes.legend()
    DRAWN.mkdir(exist_ok=True)
    path = DRAWN / f"{curve.name}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    path.write_text("\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()) + "\n", encoding="utf-8")
    return path
