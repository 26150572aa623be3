"""The disclosure on paper: PDF/A-2b with its font in it, names in the variants they are written in.

The font is IPAmj Mincho (Debian: `fonts-ipamj-mincho`), which knows the ideographic variation
sequences of the registers. A character that it does not know stops the document instead of being
left out or replaced: the standard wants that, and so does the person.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import typst

from juki.disclosure.view import view
from juki.domain.errors import JukiError, Reason
from juki.v1 import disclosure_pb2

FONTS: Final = Path("/usr/share/fonts/truetype/ipamj")
"""Where Debian's package has the font."""

_compile: Any = typst.compile
"""Its types ask for fonts' paths of the type of the source."""


def paper(disclosure: disclosure_pb2.Disclosure, fonts: Path = FONTS) -> bytes:
    """The document as PDF.

    Raises:
        JukiError: CONFIGURATION_INVALID without the font; INTERNAL where the document cannot be
            set, for example for want of a character.
    """
    if not any(fonts.glob("*.ttf")):
        raise JukiError(
            Reason.CONFIGURATION_INVALID, "IPAmj Mincho is missing: install fonts-ipamj-mincho"
        )
    source = files("juki").joinpath("disclosure", "document.typ").read_bytes()
    try:
        made = _compile(
            source,
            format="pdf",
            font_paths=[str(fonts)],
            ignore_system_fonts=True,
            sys_inputs={"view": json.dumps(view(disclosure), ensure_ascii=False)},
            pdf_standards="a-2b",
            timestamp=disclosure.disclosed_at.seconds,
        )
    except typst.TypstError:
        # What the typesetter says quotes the text.
        raise JukiError(Reason.INTERNAL, "the document cannot be set on paper") from None
    if not isinstance(made, bytes):
        raise JukiError(Reason.INTERNAL, "the typesetter gave no document")
    return made
