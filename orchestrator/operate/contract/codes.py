"""Every code that `schemas check` may print about a schema file, each explained in one line. Codes are stable."""

from __future__ import annotations

from typing import Final

UNUSABLE: Final = "ORC-200"

# Style.
TYPE_NAME: Final = "ORC-201"
FIELD_NAME: Final = "ORC-202"
NO_DOC: Final = "ORC-203"
OPTIONAL: Final = "ORC-204"
NO_DEFAULT_SYMBOL: Final = "ORC-205"
MONEY: Final = "ORC-206"
TIME: Final = "ORC-207"
SPAN: Final = "ORC-208"

# Versions.
NOT_BACKWARD: Final = "ORC-210"
NOT_FORWARD: Final = "ORC-211"
RENAMED: Final = "ORC-212"
NOT_KEPT: Final = "ORC-213"
GONE: Final = "ORC-214"

EXPLAINED: Final = {
    UNUSABLE: "A file that is no schema, or none that an event may have.",
    TYPE_NAME: "A record, enum or fixed that is not in PascalCase, or a namespace that is missing or not in lower case.",
    FIELD_NAME: "A field that is neither in snake_case nor in camelCase, or not in the one that most others are in.",
    NO_DOC: "A record, enum or field without `doc`.",
    OPTIONAL: 'A field that may be null and is not `["null", ...]` with `"default": null`.',
    NO_DEFAULT_SYMBOL: "An enum without a default: a symbol that is added later breaks everybody who reads.",
    MONEY: "An amount of money as a float or double.",
    TIME: "A time or date without its logical type.",
    SPAN: "A length of time that is no long, or whose name does not say the unit.",
    NOT_BACKWARD: "Records of an earlier version could not be read by this one.",
    NOT_FORWARD: "Readers of an earlier version could not read records of this one; for what others read and keep.",
    RENAMED: "A record whose full name was another: its subject in a registry, and what producers there write, is another.",
    NOT_KEPT: "An earlier version that no file of `history/` keeps, and whose records nobody without a registry can read.",
    GONE: "A schema that earlier commits had, and that is there no more.",
}
