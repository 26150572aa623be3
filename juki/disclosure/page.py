"""The disclosure as a web page: one file, without scripts or anything fetched from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from juki.disclosure.view import view
from juki.v1 import disclosure_pb2


def page(disclosure: disclosure_pb2.Disclosure) -> str:
    """The whole page as HTML; every value is escaped."""
    return _template().render(view(disclosure))


@cache
def _template() -> Template:
    source = files("juki").joinpath("disclosure", "page.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
