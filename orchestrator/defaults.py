"""Where the files that come with the project stand: in an installed package beside the code, in a checkout at its root."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent
_SHIPPED: Final = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent

SCHEMAS: Final = _SHIPPED / "schemas" / "avro"
TOPOLOGIES: Final = _SHIPPED / "topologies"
