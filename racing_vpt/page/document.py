"""Writes a page of HTML as one file that opens from disk and asks nothing of any server.

Templates (Jinja) lie in `templates/`, with styles, scripts and the chart library uPlot. A policy in the page
(Content-Security-Policy) allows its own scripts only, by their sha256, and no connections at all.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from racing_vpt.files import check_free, open_regular, write_text

TEMPLATES = Path(__file__).parent / "templates"
CHARTS = ("vendor/uPlot.min.css", "vendor/uPlot.iife.min.js")
GENERATOR = "racing-vpt"
OWN = f'<meta name="generator" content="{GENERATOR}">'  # by which a page is known as ours
HEAD = 4096  # bytes of a page in which that stands


def write_page(
    out: Path,
    template: str,
    context: Mapping[str, object],
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    data: Mapping[str, object],
) -> None:
    """Write a page, replacing an earlier one of ours.

    Args:
        out: the HTML file.
        template: name of the template of its body, which extends `document.html`.
        context: values for the template.
        styles: names of style sheets among the templates, in order.
        scripts: names of scripts, in order.
        data: JSON values for the scripts, as the content of the element `data`.

    Raises:
        FileExistsError: `out` is a file that is no page of ours.
    """
    check_own_page(out)
    write_text(out, page_text(template, context, styles=styles, scripts=scripts, data=data))


def page_text(
    template: str,
    context: Mapping[str, object],
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    data: Mapping[str, object],
) -> str:
    """The text of a page; arguments as `write_page`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    shelf = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    sheets = [(TEMPLATES / name).read_text() for name in styles]
    programs = [(TEMPLATES / name).read_text() for name in scripts]
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(programs)}",
            f"style-src {_hashes(sheets)}",
            "img-src data:",
            "media-src 'self' file: blob: data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {"generator": GENERATOR, "policy": policy, "sheets": sheets, "programs": programs}
    return shelf.get_template(template).render(**parts, data=json_for_script(data), **context)


def json_for_script(data: Mapping[str, object]) -> str:
    """JSON that may stand in a script element, whatever texts it holds."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def check_own_page(path: Path) -> None:
    """Raise FileExistsError if an existing file is not a page that we wrote."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file():
        check_free(path)
    with open_regular(path) as file:
        if OWN.encode() not in file.read(HEAD):
            check_free(path)


def data_address(content: bytes, kind: str) -> str:
    """A `data:` address of bytes of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _hashes(texts: Sequence[str]) -> str:
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
