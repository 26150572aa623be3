"""The section `disclosure` of a server's configuration."""

from __future__ import annotations

import datetime

from pydantic import Field

from juki.config import Configuration


class FeeConfiguration(Configuration):
    """The fee of a disclosure by J-LIS (Act Art. 30-34), with the approval that sets it."""

    yen: int = Field(ge=1, le=1_000_000)
    approved_by: str = Field(min_length=1, max_length=200)
    """The Minister's approval (総務大臣の認可), by its number."""

    approved_on: datetime.date
