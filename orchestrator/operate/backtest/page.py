"""A backtest as one HTML page that needs nothing else: figures, charts as inline SVG, no script. For a desk and for a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from orchestrator.operate.backtest.result import Backtest, as_json

_MOST_POINTS: Final = 120  # days in a chart; of a longer stretch each week's mean is drawn
_WIDTH, _HEIGHT = 1000, 240  # the plot's own units; it is stretched to the page

_STYLE: Final = """
:root { --ink:#1d2433; --soft:#5b6474; --line:#dfe3ea; --page:#f6f7f9; --card:#fff; --live:#7a8699; --draft:#1769e0 }
:root { color-scheme:light dark }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e8ebf1; --soft:#a2abba; --line:#323947; --page:#14171d; --card:#1c2129; --live:#8f9bb0; --draft:#5b9dff }
}
* { box-sizing:border-box }
body { margin:0; background:var(--page); color:var(--ink); font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif }
main { max-width:1080px; margin:0 auto; padding:2rem 1.25rem 3rem }
h1 { font-size:1.6rem; margin:0 }
h2 { font-size:1.05rem; margin:0 0 .75rem }
p { margin:.25rem 0; color:var(--soft) }
section { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:1.1rem 1.25rem; margin-top:1.1rem }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(9rem,1fr)); gap:1.1rem; margin-top:1.1rem }
.cards section { margin:0 }
.big { font-size:1.7rem; font-weight:600; color:var(--draft); font-variant-numeric:tabular-nums }
.key { display:inline-block; width:.8em; height:.8em; border-radius:2px; margin:0 .35em 0 .9em }
.chart { display:grid; grid-template-columns:auto 1fr; column-gap:.5rem }
.scale, .days { display:flex; justify-content:space-between; font-size:.8rem; color:var(--soft) }
.scale { flex-direction:column; text-align:right }
.chart svg { width:100%; height:240px; display:block; border-bottom:1px solid var(--line) }
.days { grid-column:2 }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums }
th, td { padding:.4rem .5rem; border-top:1px solid var(--line); text-align:right }
th { font-weight:500; color:var(--soft); border-top:0 }
th:first-child, td:first-child { text-align:left; overflow-wrap:anywhere }
td.bar { width:28%; min-width:6rem }
.bar i { display:block; height:.5rem; border-radius:2px; margin:1px 0 }
.wide { overflow-x:auto }
li { color:var(--soft) }
@media (max-width:600px) {
  main { padding:1.25rem .75rem } section { padding:.9rem } .big { font-size:1.4rem }
  td.bar, th.bar { display:none }
}
"""


def page(backtest: Backtest) -> str:
    """Give the page."""
    told = as_json(backtest)
    live = "no live version" if told["live_version"] is None else f"version {told['live_version']} live"
    title = f"Backtest of {told['journey']}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{live}, version {told['draft_version']} as drafted, over {told['events']:,} recorded events of"
        f" {told['customers']:,} customers, {told['from'][:10]} to {told['to'][:10]}</p>",
        _cards(told),
        _chart(told["days"]),
        _table("What the journey did", told["figures"]),
        _table("What it changes for other journeys", told["others"], absent="Nothing."),
        "<section><h2>Assumed</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in told["assumed"]) + "</ul></section>",
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    whole = f'<html lang="en"><head>{head}</head>\n<body><main>{"".join(body)}</main></body></html>'
    return f"<!doctype html>\n{whole}\n"


def _cards(told: dict[str, Any]) -> str:
    def total(what: str) -> tuple[int, int]:
        found = [row for row in told["figures"] if row["what"] == what]
        return sum(row["live"] for row in found), sum(row["draft"] for row in found)

    cards = (
        ("Entered", *total("entered")),
        ("Messages", *total("sent")),
        ("Customers reached", told["reached"]["live"], told["reached"]["draft"]),
        ("Held or suppressed", *(sum(pair) for pair in zip(total("held"), total("suppressed"), strict=True))),
    )
    return '<div class="cards">' + "".join(_card(*card) for card in cards) + "</div>"


def _card(what: str, live: int, draft: int) -> str:
    change = f", {(draft - live) / live:+.0%}" if live and draft != live else ""
    return f'<section><h2>{what}</h2><div class="big">{draft:,}</div><p>live {live:,}{change}</p></section>'


def _chart(days: Sequence[dict[str, Any]]) -> str:
    """Draw customers reached a day. Text is outside the drawing, so that it keeps its size where the drawing is squeezed."""
    if not days:
        return ""
    span = 1 if len(days) <= _MOST_POINTS else 7
    what = "Customers reached a day" + ("" if span == 1 else ", mean of each week")
    series = {side: [_mean(days[at : at + span], side) for at in range(0, len(days), span)] for side in ("live", "draft")}
    top = _nice(max(1.0, *(value for values in series.values() for value in values)))
    grid = "".join(
        f'<line x1="0" x2="{_WIDTH}" y1="{_HEIGHT * part / 4:.0f}" y2="{_HEIGHT * part / 4:.0f}" stroke="var(--line)"'
        ' vector-effect="non-scaling-stroke"/>'
        for part in range(4)
    )
    drawn = "".join(_curve(values, top, side) for side, values in series.items())
    scale = "".join(f"<span>{top * part / 4:,.0f}</span>" for part in range(4, -1, -1))
    ends = "".join(f"<span>{days[at]['day']}</span>" for at in (0, len(days) // 2, len(days) - 1))
    keys = "".join(f'<span class="key" style="background:var(--{side})"></span>{side}' for side in series)
    return (
        f'<section><h2>{what}<span style="font-weight:400">{keys}</span></h2><div class="chart"><div class="scale">{scale}</div>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{what}">{grid}{drawn}</svg>'
        f'<div class="days">{ends}</div></div></section>'
    )


def _mean(days: Sequence[dict[str, Any]], side: str) -> float:
    return float(sum(day[side] for day in days)) / len(days)


def _curve(values: Sequence[float], top: float, side: str) -> str:
    step = _WIDTH / max(1, len(values) - 1)
    points = " ".join(f"{number * step:.1f},{_HEIGHT - value / top * _HEIGHT:.1f}" for number, value in enumerate(values))
    area = f'<polygon points="0,{_HEIGHT} {points} {_WIDTH},{_HEIGHT}" fill="var(--{side})" opacity=".12"/>'
    stroke = f'stroke="var(--{side})" stroke-width="2" vector-effect="non-scaling-stroke" stroke-linejoin="round"'
    return f'{area}<polyline points="{points}" fill="none" {stroke}/>'


def _nice(value: float) -> float:
    """Give the next number that divides well by four."""
    size: float = 1.0
    while size * 10 <= value:
        size *= 10
    return next(size * each for each in (1, 2, 4, 6, 8, 10) if size * each >= value) if value > 4 else 4.0


def _table(title: str, rows: Iterable[dict[str, Any]], *, absent: str = "") -> str:
    found = list(rows)
    if not found:
        return f"<section><h2>{title}</h2><p>{absent}</p></section>"
    most = max(max(row["live"], row["draft"]) for row in found) or 1
    cells = "".join(
        f"<tr><td>{escape(_named(row))}</td><td>{row['live']:,}</td><td>{row['draft']:,}</td>"
        f'<td>{_change(row)}</td><td class="bar">{_bar(row["live"], most, "live")}{_bar(row["draft"], most, "draft")}</td></tr>'
        for row in found
    )
    head = '<tr><th></th><th>live</th><th>draft</th><th>change</th><th class="bar"></th></tr>'
    return f'<section><h2>{title}</h2><div class="wide"><table>{head}{cells}</table></div></section>'


def _named(row: dict[str, Any]) -> str:
    journey = f"{row['journey']}: " if "journey" in row else ""
    return f"{journey}{row['what']} {row['by']}".rstrip()


def _change(row: dict[str, Any]) -> str:
    return f"{row['draft'] - row['live']:+,}" if row["draft"] != row["live"] else ""


def _bar(value: int, most: int, side: str) -> str:
    return f'<i style="width:{value / most * 100:.1f}%;background:var(--{side})"></i>'
