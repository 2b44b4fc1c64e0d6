"""Compiles the modules that an event goes through to C, beside their sources, where `orchestrator.compiled` finds them.

    python deploy/compile.py [--optional]

Takes about a minute; nothing where it is done already. Without a C compiler and Python's headers it says so and exits with 1,
with --optional with 0: everything works without, and takes more of a processor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))
os.environ["ORCHESTRATOR_INTERPRETED"] = "1"  # what is there may be of other sources

from orchestrator import compiled  # noqa: E402

BUILD = "build/compiled"


def missing() -> str:
    """Tell what this machine lacks, "" where it can compile."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler):
        return f"a C compiler ({compiler})"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python's headers (Python.h)"
    return ""


def build() -> None:
    """Compile in place. Raises what mypyc and the compiler say."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    for path in compiled.left_behind():
        path.unlink()
    shutil.rmtree(BUILD, ignore_errors=True)
    extensions = mypycify(
        ["--no-warn-unused-ignores", *(f"orchestrator/{path}" for path in compiled.MODULES)],
        opt_level="3",
        debug_level="0",
        target_dir=BUILD,
        group_name=f"orchestrator.{compiled.library_name().removesuffix('__mypyc')}",
    )
    command = build_ext(Distribution({"name": "journey-orchestrator", "ext_modules": extensions}))
    command.inplace, command.build_temp = True, BUILD
    command.ensure_finalized()
    command.run()


def main(arguments: list[str]) -> int:
    """Compile unless it is done. Gives the exit status."""
    os.chdir(HERE)
    if compiled.library().exists():
        return 0
    if lacks := missing():
        print(f"compile: {lacks} is missing; the engine runs interpreted, the same but slower", file=sys.stderr)
        print("  next: install it (Debian: gcc python3-dev), then `make compile`", file=sys.stderr)
        return 0 if "--optional" in arguments else 1
    if "--build" in arguments:
        build()
        return 0
    print("compile: the modules that an event goes through, to C; about a minute")
    done = subprocess.run([sys.executable, __file__, "--build"], capture_output=True, text=True, check=False)
    if done.returncode or not compiled.library().exists():
        print(done.stdout + done.stderr, file=sys.stderr)
        print("compile: failed, see above; the engine runs interpreted, the same but slower", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
