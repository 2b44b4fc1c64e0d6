"""Every code that `validate` may print, each explained in one line. Codes are stable: they are never reused or renumbered."""

from __future__ import annotations

from typing import Final

# The text of a file.
NOT_UTF8: Final = "ORC-101"
TOO_LARGE: Final = "ORC-102"
SYNTAX: Final = "ORC-103"
EMPTY: Final = "ORC-104"
SEVERAL_DOCUMENTS: Final = "ORC-105"
DUPLICATE_KEY: Final = "ORC-106"
TAG: Final = "ORC-107"
MERGE_KEY: Final = "ORC-108"
ALIAS: Final = "ORC-109"
EXPANSION: Final = "ORC-110"
TOO_DEEP: Final = "ORC-111"
BAD_KEY: Final = "ORC-112"
DIRECTIVE: Final = "ORC-113"

# One setting.
UNKNOWN_KEY: Final = "ORC-120"
MISSING_KEY: Final = "ORC-121"
WRONG_TYPE: Final = "ORC-122"
BAD_NAME: Final = "ORC-123"
BAD_DURATION: Final = "ORC-124"
OUT_OF_RANGE: Final = "ORC-125"
BAD_CHOICE: Final = "ORC-126"
CONFLICT: Final = "ORC-127"
BAD_VERB: Final = "ORC-128"

# An expression.
EXPRESSION_SYNTAX: Final = "ORC-140"
EXPRESSION_NAME: Final = "ORC-141"
EXPRESSION_TYPE: Final = "ORC-142"
CONDITION_NOT_BOOL: Final = "ORC-143"

# A name that something else must declare.
UNKNOWN_STATE: Final = "ORC-150"
UNKNOWN_CHANNEL: Final = "ORC-151"
UNKNOWN_PURPOSE: Final = "ORC-152"
UNKNOWN_EVENT_TYPE: Final = "ORC-153"
UNKNOWN_TIMEZONE: Final = "ORC-154"
UNKNOWN_JOURNEY: Final = "ORC-155"
DUPLICATE_ID: Final = "ORC-156"
NOT_EARLIER: Final = "ORC-157"

# The shape of a journey.
UNREACHABLE_STATE: Final = "ORC-160"
NO_WAY_OUT: Final = "ORC-161"
FINAL_WITH_STEPS: Final = "ORC-162"
LOOP: Final = "ORC-163"
LIMIT: Final = "ORC-164"
WAIT_TOO_LONG: Final = "ORC-165"
UNREACHABLE_STEP: Final = "ORC-166"

# Warnings.
NO_OWNER: Final = "ORC-180"
NOT_STREAMED: Final = "ORC-181"
NO_POLICY: Final = "ORC-182"
NO_EXIT: Final = "ORC-183"
SILENT_WAIT: Final = "ORC-184"
NO_ON_ERROR: Final = "ORC-185"
NOT_URGENT: Final = "ORC-186"
NO_SCENARIO: Final = "ORC-187"
NOT_REGISTERED: Final = "ORC-188"
LONG_RETRY: Final = "ORC-189"
NO_CAP: Final = "ORC-193"
NO_QUIET_HOURS: Final = "ORC-194"
NO_HOLDOUT: Final = "ORC-195"
NO_ADDRESS: Final = "ORC-196"
NO_LIVE_VERSION: Final = "ORC-197"

# A scenario.
UNFIT_EVENT: Final = "ORC-190"
UNCLEAR_OUTCOME: Final = "ORC-191"
UNKNOWN_STEP: Final = "ORC-192"

EXPLAINED: Final = {
    NOT_UTF8: "The file is not UTF-8 text.",
    TOO_LARGE: "The file is larger than 1 MB.",
    SYNTAX: "The file is not YAML.",
    EMPTY: "The file says nothing.",
    SEVERAL_DOCUMENTS: "The file holds more than one YAML document.",
    DUPLICATE_KEY: "A mapping has the same key twice.",
    TAG: "YAML tags are not allowed.",
    MERGE_KEY: "YAML merge keys (<<) are not allowed.",
    ALIAS: "A YAML alias names no anchor, or one that contains it.",
    EXPANSION: "The file has more than 10,000 nodes once its aliases are expanded.",
    TOO_DEEP: "The file nests deeper than 64 levels.",
    BAD_KEY: "A key of a mapping is not plain text.",
    DIRECTIVE: "A YAML directive other than %YAML 1.2 is not allowed.",
    UNKNOWN_KEY: "No such setting here.",
    MISSING_KEY: "A required setting is missing.",
    WRONG_TYPE: "A setting has the wrong shape: a list where text belongs, text where a number belongs, and so on.",
    BAD_NAME: "A name has characters that names may not have, is too long, or is reserved.",
    BAD_DURATION: "A duration cannot be read.",
    OUT_OF_RANGE: "A number is outside its range.",
    BAD_CHOICE: "A word that is not one of the allowed ones.",
    CONFLICT: "Two settings that exclude each other, or one that needs another.",
    BAD_VERB: "A step without a verb, or with several.",
    EXPRESSION_SYNTAX: "An expression is not CEL.",
    EXPRESSION_NAME: "An expression names a field, variable or function that does not exist.",
    EXPRESSION_TYPE: "An expression mixes types that do not go together.",
    CONDITION_NOT_BOOL: "A condition is not true or false.",
    UNKNOWN_STATE: "A state that the journey does not have.",
    UNKNOWN_CHANNEL: "A channel that policy.yaml does not have.",
    UNKNOWN_PURPOSE: "A purpose that policy.yaml does not have.",
    UNKNOWN_EVENT_TYPE: "An event type that no schema declares.",
    UNKNOWN_TIMEZONE: "A time zone that the IANA database does not have.",
    UNKNOWN_JOURNEY: "A journey that does not exist.",
    DUPLICATE_ID: "Two things of one kind have the same id.",
    NOT_EARLIER: "A file under earlier/ whose version is not lower than the one that takes entries.",
    UNREACHABLE_STATE: "No way leads to a state.",
    NO_WAY_OUT: "A state cannot be left and is neither `final: true` nor `rest: true`.",
    FINAL_WITH_STEPS: "A final state has steps or handlers, which would never run.",
    LOOP: "States go round and round without ever waiting.",
    LIMIT: "More branches, steps or states than policy.yaml allows.",
    WAIT_TOO_LONG: "A wait is longer than the journey's lifetime or `limits.wait`.",
    UNREACHABLE_STEP: "A step stands after one that never goes on.",
    NO_OWNER: "A journey without an owner.",
    NOT_STREAMED: "An event type that no topic of streams.yaml carries.",
    NOT_REGISTERED: "An experiment that experiments.yaml does not register.",
    NO_POLICY: "No policy.yaml was found beside a journey that is validated alone.",
    NO_ADDRESS: "A channel whose addresses shall be compared and which has none.",
    NO_LIVE_VERSION: "A journey of which only earlier versions are kept: nobody enters it any more.",
    NO_EXIT: "A journey without an exit rule.",
    SILENT_WAIT: "A wait for the customer before which nothing was sent.",
    NO_ON_ERROR: "A call that may fail and does not say what happens then.",
    NOT_URGENT: "A message that passes quiet hours in a journey that is not urgent.",
    NO_SCENARIO: "A journey that no scenario tests.",
    LONG_RETRY: "A call that is tried again and again for longer than a day or the journey's lifetime.",
    NO_CAP: "Messages that need consent and that no cap counts.",
    NO_QUIET_HOURS: "Messages that need consent, by a channel without quiet hours.",
    NO_HOLDOUT: "Messages that need consent, and no control group to tell what they do.",
    UNFIT_EVENT: "An event of a scenario does not fit its schema.",
    UNCLEAR_OUTCOME: "The outcome of an action that was not made, or of one of several.",
    UNKNOWN_STEP: "A step that no journey of the scenario has, or not the version of a journey that `inherits` names.",
}
