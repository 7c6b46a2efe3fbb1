"""How likely a given answer is to a model behind a server, where the server takes tokens and tells log-probabilities.

Each token of the answer is one request: the server reads the tokens before it and must write it, because a bias of 100
leaves it no choice, and tells the log-probability that it had without the bias. llama.cpp and vLLM do so. The tokens
are those of the base here, so the server must hold a model with the same tokenizer; both are tried before anything is
measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sku.models.batching import EncodedPair
from sku.models.chat_template import ChatTemplate
from sku.models.remote_model import RemoteModel
from sku.models.requests_at_once import each_at_once
from sku.models.server_errors import server_errors_as_sentences

_FORCED = 100
"""The largest bias that the protocol allows."""
_TRIED_TEXT = "The capital of France is Paris, 42."
_LEAST_NATS = 1e-3
"""Two different tokens cannot both be more likely than this allows; if both seem so, the bias is in the numbers."""


def tells_likelihoods(remote: RemoteModel, template: ChatTemplate) -> bool:
    """Whether the server takes the tokens of the base here and tells log-probabilities without the bias.

    Raises:
        OSError: if the server does not answer.
    """
    prompt, answer = template.prompt_ids("Say something."), template.answer_ids(_TRIED_TEXT)[: -len(template.end_ids)]
    found = []
    try:
        for token in answer:
            text, log_prob = _forced(remote, prompt, token)
            if text.strip() != template.tokenizer.decode([token]).strip():
                return False
            found.append(log_prob)
    except ValueError:  # the server refuses tokens, or a bias
        return False
    return all(one is not None for one in found) and sum(one > -_LEAST_NATS for one in found if one is not None) < 2


def answer_log_probs(remote: RemoteModel, pairs: Sequence[EncodedPair]) -> Iterator[tuple[int, list[float]]]:
    """The log-probability of every token of each answer, in nats, as they come; with the place of the pair.

    Raises:
        OSError, ValueError: if the server does not answer or refuses, after what was under way has been yielded.
    """
    yield from each_at_once(lambda pair: token_log_probs(remote, pair), pairs, remote.server.concurrency)


def token_log_probs(remote: RemoteModel, pair: EncodedPair) -> list[float]:
    """The log-probability of every token of one answer, in nats.

    Raises:
        OSError, ValueError: if the server does not answer, refuses, or tells no log-probability.
    """
    ids, found = list(pair.ids), []
    for place in range(pair.prompt_tokens, len(ids)):
        _, log_prob = _forced(remote, ids[:place], ids[place])
        if log_prob is None:
            raise ValueError(f"server {remote.server.name} tells no log-probability of a token; leave log_probs out")
        found.append(log_prob)
    return found


def _forced(remote: RemoteModel, before: Sequence[int], token: int) -> tuple[str, float | None]:
    """The text that the server writes when it must write `token`, and the token's own log-probability."""
    with remote.slots, server_errors_as_sentences(remote.server):
        reply = remote.client.completions.create(
            model=remote.facts.model, prompt=list(before), max_tokens=1, temperature=0.0, logprobs=1,
            logit_bias={str(token): _FORCED}, extra_body=remote.body,
        )  # fmt: skip
    choice = reply.choices[0]
    return choice.text, _log_prob(choice.logprobs)


def _log_prob(told: Any) -> float | None:
    """OpenAI and vLLM tell lists of numbers, llama.cpp a list of objects as for chats."""
    values = (told.token_logprobs if told else None) or []
    objects = (getattr(told, "content", None) if told else None) or []
    if values:
        return None if values[0] is None else float(values[0])
    return float(objects[0]["logprob"]) if objects else None
