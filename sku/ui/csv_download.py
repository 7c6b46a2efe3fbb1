"""A link that downloads a table as CSV. The link itself holds the data, so the server stores no file."""

from __future__ import annotations

import base64


def csv_link(text: str, file: str, label: str) -> str:
    """The link, as HTML.

    Args:
        text: the table as CSV.
        file: the name under which the browser saves it.
        label: what the link says.
    """
    data = base64.b64encode(text.encode("utf-8-sig")).decode()  # Excel knows UTF-8 by the mark only
    return f"<a class='button' download='{file}' href='data:text/csv;base64,{data}'>{label}</a>"
