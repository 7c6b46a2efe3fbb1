"""Say in one sentence what is wrong with a server that a model is behind, without its address and its key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sku.core.errors import Unavailable, error_line
from sku.core.servers import Server

if TYPE_CHECKING:
    from openai import APIStatusError

_MAX_CHARACTERS = 300
"""How much of a server's own words a message holds."""


@contextmanager
def server_errors_as_sentences(server: Server) -> Iterator[None]:
    """Turn what the client and its HTTP library raise into one sentence.

    Raises:
        Unavailable: if the server does not answer, fails, or is asked too often; the same request may succeed later.
        ValueError: if it refuses the request or the key.
    """
    import openai

    try:
        yield
    except openai.APITimeoutError as error:
        raise Unavailable(
            f"server {server.name} did not answer within {server.timeout:g} s, also after {server.retries} retries; "
            "run the same again later, or raise its timeout"
        ) from error
    except openai.APIConnectionError as error:
        cause = _said(server, error.__cause__ or error)
        raise Unavailable(
            f"server {server.name} cannot be reached ({cause}); start it or check its address, and run the same again"
        ) from error
    except openai.APIStatusError as error:
        raise _refusal(server, error) from error
    except (ValueError, Unavailable):
        raise
    except Exception as error:  # a stream that breaks off raises errors of the HTTP library, which have no family
        raise Unavailable(f"server {server.name} broke off ({_said(server, error)}); ask again") from error


def _refusal(server: Server, error: APIStatusError) -> Exception:
    status, said = error.status_code, _said(server, error)
    if status in (401, 403):
        return ValueError(
            f"server {server.name} refuses the key in {server.key_variable} (status {status}); set that variable to a "
            "key of the server"
        )
    if status == 429:
        return Unavailable(
            f"server {server.name} gets too many requests (429), also after {server.retries} retries; lower its "
            "concurrency, or run the same again later"
        )
    if status >= 500:
        return Unavailable(
            f"server {server.name} failed, also after {server.retries} retries ({said}); look at its log, and run the "
            "same again"
        )
    return ValueError(f"server {server.name} refuses the request ({said})")


def _said(server: Server, error: BaseException) -> str:
    """The error's own words, cut."""
    text = error_line(error)
    for hidden in (server.secret, server.url):
        text = text.replace(hidden, "***") if hidden else text
    return text[:_MAX_CHARACTERS]
