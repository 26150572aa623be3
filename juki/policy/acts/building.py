"""From the register's readable form to what the policy decides by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from juki.domain.errors import JukiError, Reason
from juki.policy.registry import Registry
from juki.policy.registry_file import RegistryFile
from juki.policy.revisions import Law

NOBODY: Final = Registry(MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))
"""What is registered where no body has a grant: every call is refused."""


def build_registry(document: Mapping[str, Any], laws: Sequence[Law]) -> Registry:
    """The registry of a document, held against the loaded law.

    Raises JukiError (INVALID_FIELD) naming the entry that cannot be or that no law allows.
    """
    try:
        file = RegistryFile.model_validate(document)
        return file.build(laws) if file.agency else NOBODY
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise JukiError(Reason.INVALID_FIELD, f"{where}: {fault['msg']}") from None
    except ValueError as error:
        message = error.message if isinstance(error, JukiError) else str(error)
        raise JukiError(Reason.INVALID_FIELD, message) from None
