"""What machine this is, and figures as JSON or as a Markdown table."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator import compiled


class Machine(msgspec.Struct, frozen=True):
    """Facts that figures depend on. Loads are averages of one minute, the benchmark's own share included."""

    date: str
    cores: int
    processor: str
    memory_gb: float
    system: str
    python: str
    java: str
    load_before: float
    load_after: float = 0.0
    engine: str = "interpreted"  # as what was measured before it could be compiled


def machine() -> Machine:
    """Look."""
    now = datetime.datetime.now(datetime.UTC)
    return Machine(
        date=f"{now:%Y-%m-%d}", cores=os.cpu_count() or 0,
        processor=_of(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        memory_gb=round(int((_of(Path("/proc/meminfo"), "MemTotal") or "0 kB").split()[0]) / 1e6, 1),
        system=f"{platform.system()} {platform.release()}", python=platform.python_version(), java=_java(),
        load_before=round(os.getloadavg()[0], 2), engine=engine(),
    )  # fmt: skip


def engine() -> str:
    """Tell how it runs here."""
    return "compiled" if compiled.is_used() else "interpreted"


def ended(facts: Machine) -> Machine:
    """Add how loaded the machine is by now."""
    return msgspec.structs.replace(facts, load_after=round(os.getloadavg()[0], 2))


def markdown(facts: Machine, repeats: int, results: Mapping[str, Mapping[str, float]]) -> str:
    """Give a table and, below it, the machine."""
    lines = ["| benchmark | figure | median |", "|---|---|---:|"]
    for name, figures in results.items():
        for figure, value in figures.items():
            lines.append(f"| {name} | {figure} | {value:,.2f} |" if abs(value) < 100 else f"| {name} | {figure} | {value:,.0f} |")
    java = f", Java {facts.java}" if facts.java else ""
    lines += [
        "",
        f"Medians of {repeats}, {facts.date}. {facts.cores} cores of {facts.processor}, {facts.memory_gb:.0f} GB, {facts.system},"
        f" Python {facts.python}, the engine {facts.engine}{java}; brokers on the same machine;"
        f" load average {facts.load_before} before and {facts.load_after} after.",
    ]
    return "\n".join(lines)


def _of(path: Path, name: str) -> str:
    """Give the first line's value that begins with a name, or "" where there is no such file."""
    if not path.is_file():
        return ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""


def _java() -> str:
    if not shutil.which("java"):
        return ""
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    return told.split('"')[1] if '"' in told else ""
