"""Compiles the modules that an event goes through to C, beside their sources, where `orchestrator.compiled` finds them.

    python deploy/compile.py [--optional]

Takes a minute or two; nothing where it is done already. Where it cannot be done, for want of a C compiler or Python's headers
perhaps, it says so and exits with 1, with --optional with 0: everything works without, and takes more of a processor.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))

from orchestrator import compiled  # noqa: E402

BUILD = "build/compiled"
SLOWER = "the engine runs interpreted, the same but slower"


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


def compile_quietly() -> bool:
    """Compile in a process of its own, whose output is shown where it fails. Tells whether it went well."""
    print("compile: the modules that an event goes through, to C; a minute or two", flush=True)
    done = subprocess.run([sys.executable, __file__, "--build"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return True
    print(f"{done.stdout}{done.stderr}\ncompile: failed, see above; {SLOWER}", file=sys.stderr)
    return False


def main() -> int:
    """Compile unless it is done. Gives the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--optional", action="store_true", help="exit with 0 where it cannot be done")
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)  # for itself: see `compile_quietly`
    options = parser.parse_args()
    os.chdir(HERE)
    if options.build:
        build()
        return 0
    if compiled.is_done():
        return 0
    if lacks := missing():
        print(f"compile: {lacks} is missing; {SLOWER}", file=sys.stderr)
        print("  next: install it (Debian: gcc python3-dev), then `make compile`", file=sys.stderr)
    elif compile_quietly():
        return 0
    return 0 if options.optional else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
