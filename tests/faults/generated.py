"""Inputs that are almost right: valid files with damage, and JSON with wrong values. Hypothesis draws them."""

from __future__ import annotations

import base64
import json
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *(
                "",
                " ",
                "\0",
                "\n",
                "\r",
                "\ufeff",
                "\ud83d",
                "\udce9",
                "nan",
                "NaN",
                "inf",
                "-0",
                "1e999",
                "0x10",
                "base",
            ),
            *("sku@1", "sku@nan", "sku+ga", "a@1+a@1", "acquired:", "negated:x", "../..", "/etc/passwd", "~nobody/x"),
            *(
                "owner/name\0",
                "x" * 5000,
                "+" * 300,
                "@" * 300,
                "[" * 3000,
                "<think>",
                "<|im_end|>",
                "(a+)+$",
                "#",
                "=",
            ),
        ]
    ),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**30), 1e308, 1e-320, 0.1, 3, 8]),
)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
_SPLICES = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x1a",
        b"\xed\xa0\xbd",
        b"\r",
        b"\n",
        b'"',
        b",",
    ),
    *(b";", b"\t", b"{", b"}", b"[", b"]", b"null", b"NaN", b"1e400", b"-1", b"\\ud83d", b"\\u0000", b"9" * 5000),
    *(
        b"[" * 2000,
        b'{"a":' * 2000,
        b"x" * 70_000,
        b"\xff" * 8,
        b"\x00" * 8,
        b"\xff\xff\xff\x7f",
        b"\0\0\0\0\0\0\0\x10",
    ),
)


@st.composite
def damaged(draw: Draw, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of `whole` with up to four places changed: a part is cut out, doubled, or replaced."""
    data = draw(whole)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 4, 8, 64, len(data)])))
        middle = draw(
            st.sampled_from(_SPLICES) | st.binary(max_size=8) | st.just(data[start:end] * 2) | st.just(data[:64])
        )
        data = data[:start] + middle + data[end:]
    return data


@st.composite
def altered(draw: Draw, values: Any) -> Any:
    """JSON like `values` with up to three values replaced, left out or added, at any depth."""
    copied = json.loads(json.dumps(values))
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        copied = _alter(draw, copied)
    return copied


def _alter(draw: Draw, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(JSON_VALUES)
    key = draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
    what = draw(st.sampled_from(["change", "change", "change", "leave out", "add"]))
    if what == "change":
        value[key] = _alter(draw, value[key])
    elif what == "leave out":
        del value[key]
    elif isinstance(value, dict):
        value[draw(TEXTS)] = draw(JSON_VALUES)
    else:
        value.append(draw(JSON_VALUES))
    return value


def as_json(value: Any) -> bytes:
    """JSON as other programs write it: NaN is possible, and half a surrogate pair is an escape."""
    return json.dumps(value).encode()


def json_files(values: Any) -> st.SearchStrategy[bytes]:
    """Files like a JSON file of `values`, with wrong values or damaged."""
    return st.one_of(altered(values).map(as_json), damaged(st.just(as_json(values))))


def line_files(rows: list[Any]) -> st.SearchStrategy[bytes]:
    """Files like a JSON Lines file of `rows`."""
    lines = st.lists(altered(rows[0]).map(as_json), max_size=4).map(b"\n".join)
    return st.one_of(lines, damaged(st.just(b"\n".join(map(as_json, rows)))))


def compressed(files: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The files as .xz, some of them damaged after compression."""
    packed = files.map(lzma.compress)
    return st.one_of(packed, damaged(packed))


def fragments(values: Any) -> st.SearchStrategy[str]:
    """Link fragments like that of `values`: packed wrong values, or a damaged fragment."""

    def pack(data: bytes) -> str:
        return "#c=" + base64.urlsafe_b64encode(zlib.compress(data)).decode().rstrip("=")

    wrong = json_files(values).map(pack)
    cut = damaged(st.just(pack(as_json(values)).encode())).map(lambda data: "#c=" + data.decode("latin-1"))
    return st.one_of(wrong, cut, TEXTS, st.just(pack(b"0" * 10_000_000)))
