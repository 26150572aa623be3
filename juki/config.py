"""Reads a configuration file: TOML into a frozen model that refuses keys it does not know.

A mistyped key must stop a server, not be ignored. What is refused is named by key and file, never
by value.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from juki.domain.errors import JukiError, Reason


class Configuration(BaseModel):
    """Base of every configuration model, nested ones included: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


ConfigurationT = TypeVar("ConfigurationT", bound=Configuration)

_LINE = re.compile(r"at line (\d+)")


def load_config(path: Path, model: type[ConfigurationT]) -> ConfigurationT:
    """Reads `path` as `model`.

    Raises `JukiError(CONFIGURATION_INVALID)`; metadata `file` and, where one is to blame, `key`
    (dotted), `rule` (pydantic's error type) or `line`.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(path, f"cannot be read ({type(error).__name__})") from None
    except tomllib.TOMLDecodeError as error:
        # The decoder's text may quote what stands in the file: only the line is kept.
        found = _LINE.search(str(error))
        line = found[1] if found else "last"
        raise _invalid(path, f"is not TOML (line {line})", line=line) from None
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        # A mistyped key is both unknown and missing: it is named as it was written.
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        key = ".".join(str(part) for part in first["loc"])
        raise _invalid(path, f"key {key}: {first['type']}", key=key, rule=first["type"]) from None


def _invalid(path: Path, what: str, **metadata: str) -> JukiError:
    return JukiError(
        Reason.CONFIGURATION_INVALID,
        f"configuration file {path.name} {what}",
        {"file": str(path), **metadata},
    )
