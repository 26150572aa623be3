"""A disclosure as JSON, in a stable form: the protobuf JSON mapping of `juki.v1.Disclosure`.

Field names are those of `proto/juki/v1/disclosure.proto`, where each is explained; instants are
RFC 3339 in UTC, 64-bit integers are strings, enums are their names. `form` names the version. An
inclusion proof stands as the JSON object that `juki audit prove` writes.
"""

from __future__ import annotations

import json
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from juki.domain.errors import InvalidValue
from juki.v1 import disclosure_pb2

FORM: Final = "juki.disclosure/1"


def to_json(disclosure: disclosure_pb2.Disclosure) -> str:
    """The disclosure as indented JSON; characters as they are written."""
    values: dict[str, Any] = MessageToDict(
        disclosure, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for provision in values["provisions"]:
        if "proof" in provision:
            provision["proof"] = json.loads(provision["proof"]["json"])
    return json.dumps({"form": FORM, **values}, ensure_ascii=False, indent=2) + "\n"


def from_json(text: str) -> disclosure_pb2.Disclosure:
    """What `to_json` gave; raises InvalidValue for anything else, quoting nothing of it."""
    try:
        values = json.loads(text)
        if not isinstance(values, dict) or values.pop("form", "") != FORM:
            raise InvalidValue(f"the file is no disclosure of the form {FORM}")
        for provision in values["provisions"]:
            if "proof" in provision:
                proof = json.dumps(provision["proof"], ensure_ascii=False)
                provision["proof"] = {"json": proof}
        return ParseDict(values, disclosure_pb2.Disclosure())
    except (json.JSONDecodeError, ParseError, KeyError, TypeError, AttributeError):
        raise InvalidValue("the file is no disclosure that can be read") from None
