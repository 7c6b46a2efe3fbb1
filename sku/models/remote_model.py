"""A model behind an OpenAI-compatible server: it writes answers, and nothing else is known of it.

It has no weights here, so it has no coefficients, no KL from base and no lens. What the server says of the model, with
its address and settings, identifies it, as the hash of its weights identifies an adapter.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from sku.core.config import DecodingConfig
from sku.core.conversation import Conversation
from sku.core.records import Answer, AskedPrompt, StopReason, digest
from sku.core.servers import Server
from sku.core.thinking import CLOSE, OPEN
from sku.core.variants import Variant
from sku.models.chat_template import PAPER_MARKERS, PAPER_TEMPLATE
from sku.models.requests_at_once import each_at_once
from sku.models.server_errors import server_errors_as_sentences

if TYPE_CHECKING:
    from openai import OpenAI

_SAID = ("owned_by", "root", "parent", "max_model_len", "meta")
"""What a server says of a model that stays the same while the model does."""
_CONTINUES = {"llamacpp": "message", "vllm": "continue_final_message"}
"""How the programs that name themselves in `owned_by` continue a given beginning of an answer."""
_SECONDS_BETWEEN_LOOKS = 0.1


class RemoteFacts(NamedTuple):
    """What a server says of its model."""

    model: str
    said: dict[str, Any]
    """Empty if the server does not list the model."""


class Question(NamedTuple):
    """One prompt and the number of the answer among the samples to it."""

    asked: AskedPrompt
    sample: int = 0


@dataclass(frozen=True)
class RemoteAnswer:
    """An answer as far as it is written."""

    text: str = ""
    tokens: int = 0
    """New tokens as the server counts them. While the answer is written, the pieces that came; if the server never
    counts, the words."""
    stopped: StopReason | None = None
    """None while it is being written."""
    seconds: float = 0.0

    def record(self, variant: str, question: Question, seed: int) -> Answer:
        """The answer as a record."""
        asked = question.asked
        return Answer(
            variant, None, asked.prompt, question.sample, seed, self.text, self.tokens, self.seconds,
            self.stopped or "cancelled", asked.answer_start, asked.attack,
        )  # fmt: skip


class RemoteModel:
    """Asks one server. Safe for several threads, which together send at most `server.concurrency` requests at once."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.slots = threading.BoundedSemaphore(server.concurrency)
        """Held by every request that waits for an answer."""
        self._counts_streams = True
        """Whether the server accepts the option that makes it count the tokens of a stream."""

    @property
    def variant(self) -> Variant:
        """The variant's name; it has no coefficients."""
        return Variant(self.server.variant, None)

    @cached_property
    def facts(self) -> RemoteFacts:
        """What the server says of the model; asked once.

        Raises:
            OSError: if the server does not answer.
            ValueError: if it refuses, or the settings name no model and the server has several.
        """
        from openai import APIStatusError

        listed: dict[str, dict[str, Any]] = {}
        with server_errors_as_sentences(self.server):
            try:
                listed = {model.id: model.model_dump() for model in self.client.models.list().data}
            except APIStatusError as error:
                if error.status_code not in (404, 405, 501):  # some servers list nothing
                    raise
        name = self.server.model or (next(iter(listed)) if len(listed) == 1 else "")
        if not name:
            raise ValueError(
                f"server {self.server.name} has {len(listed)} models ({', '.join(listed)[:200] or 'it lists none'}); "
                "name one in its settings"
            )
        said = {key: value for key, value in listed.get(name, {}).items() if key in _SAID and value is not None}
        return RemoteFacts(name, said | self._llama_cpp_adapters(said))

    @property
    def body(self) -> dict[str, Any]:
        """The settings' values for every request.

        A llama.cpp server with adapters is told to read every prompt anew. What it keeps of a prompt may have been
        computed at another scale (seen with `xllamacpp`: answers at scale 0 were partly those at scale 1).
        """
        return {"cache_prompt": False} | self.server.body if self.facts.said.get("adapters") else self.server.body

    @cached_property
    def identity(self) -> str:
        """Equal for equal address, model, settings and statements of the server. Keys of work folders contain it.

        Raises:
            OSError, ValueError: as `facts`.
        """
        server = self.server
        parts = (server.url, self.facts.model, server.api, self._continues)
        return "server-" + digest(*parts, json.dumps([self.body, self.facts.said], sort_keys=True))

    @property
    def description(self) -> dict[str, str]:
        """For result rows: who answered. The address is left out, because results are shown to strangers."""
        said = {"owned_by": str(self.facts.said["owned_by"])} if "owned_by" in self.facts.said else {}
        return {"server": self.server.name, "model": self.facts.model, "identity": self.identity, **said}

    @property
    def can_prefill(self) -> bool:
        """Whether the server is known to continue an answer whose beginning is given."""
        return self._continues != "no"

    def ask(self, question: Question, config: DecodingConfig) -> RemoteAnswer:
        """The whole answer to one question.

        Raises:
            OSError: if the server does not answer, also after all retries.
            ValueError: if it refuses the request, or cannot continue the given beginning.
        """
        request = self._request(question, config)
        with self.slots, server_errors_as_sentences(self.server):
            began = time.perf_counter()
            reply = self._endpoint.create(**request)
            seconds = time.perf_counter() - began
        choice = reply.choices[0]
        message = choice.text if self.server.api == "text" else _message_text(choice.message)
        text = self._cleaned(message, question)
        return RemoteAnswer(text, _count(reply.usage, text), _stop_reason(choice.finish_reason), seconds)

    def stream(
        self, question: Question, config: DecodingConfig, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[RemoteAnswer]:
        """One answer while it is written: after every piece the whole text so far, and at the end how it ended.

        Raises:
            OSError, ValueError: as `ask`. A stream that breaks off is not tried again.
        """
        request = self._request(question, config)
        while not self.slots.acquire(timeout=_SECONDS_BETWEEN_LOOKS):
            if cancelled():
                yield RemoteAnswer(stopped="cancelled")
                return
        try:
            with server_errors_as_sentences(self.server):
                yield from self._pieces(question, request, cancelled)
        finally:
            self.slots.release()

    def ask_each(self, questions: Sequence[Question], config: DecodingConfig) -> Iterator[tuple[int, RemoteAnswer]]:
        """Ask many questions, `server.concurrency` at once; yields the place of each with its answer as they come.

        Raises:
            OSError, ValueError: as `ask`, after the answers that were under way have been yielded.
        """
        yield from each_at_once(lambda question: self.ask(question, config), questions, self.server.concurrency)

    @cached_property
    def client(self) -> OpenAI:
        """Sends the requests, with retries."""
        from openai import OpenAI  # slow to import, and only remote models need it

        server = self.server
        key = server.secret or "none"  # the client wants one, and a server without keys accepts any
        return OpenAI(base_url=server.url, api_key=key, max_retries=server.retries, timeout=server.timeout)

    @property
    def _endpoint(self) -> Any:
        return self.client.completions if self.server.api == "text" else self.client.chat.completions

    @property
    def _continues(self) -> str:
        """How the server continues a given beginning of an answer; `no` if that is not known."""
        if self.server.api == "text":
            return "text"
        if self.server.prefill != "auto":
            return self.server.prefill
        return _CONTINUES.get(str(self.facts.said.get("owned_by")), "no")

    def _request(self, question: Question, config: DecodingConfig) -> dict[str, Any]:
        asked, body = question.asked, dict(self.body)
        if asked.ids is not None:
            raise ValueError(f"server {self.server.name} takes texts and no tokens; choose an attack on the prompt")
        request: dict[str, Any] = {"model": self.facts.model, "max_tokens": config.max_new_tokens}
        request["temperature"] = config.temperature
        if config.temperature:
            request |= {"top_p": 1.0, "seed": int(digest(str(config.seed), str(question.sample), length=7), 16)}
        if self.server.api == "text":
            if asked.before:
                raise ValueError(
                    f"server {self.server.name} reads plain text (api: text), which has no conversation; ask a first "
                    "question, without a system prompt"
                )
            start = f" {asked.answer_start}" if asked.answer_start else ""
            prompt = PAPER_TEMPLATE.replace("{prompt}", asked.text) + start
            return {**request, "prompt": prompt, "stop": list(PAPER_MARKERS), "extra_body": body}
        messages = [*_earlier_messages(asked.before), {"role": "user", "content": asked.text}]
        if asked.answer_start:
            if not self.can_prefill:
                raise ValueError(
                    f"server {self.server.name} is not known to continue a given beginning of an answer; choose "
                    "another attack, or set prefill in the server's settings"
                )
            messages.append({"role": "assistant", "content": asked.answer_start})
            if self._continues == "continue_final_message":
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        return {**request, "messages": messages, "extra_body": body}

    def _pieces(
        self, question: Question, request: Mapping[str, Any], cancelled: Callable[[], bool]
    ) -> Iterator[RemoteAnswer]:
        began, thought, written, pieces = time.perf_counter(), "", "", 0
        usage, reason, left = None, None, False
        yield RemoteAnswer()
        with self._open_stream(request) as chunks:
            for chunk in chunks:
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    new_thought, new_text = _delta(choice)
                    thought, written, pieces = thought + new_thought, written + new_text, pieces + 1
                    reason = choice.finish_reason or reason
                text = self._cleaned(_with_thought(thought, written), question, growing=True)
                yield RemoteAnswer(text, pieces, seconds=time.perf_counter() - began)
                if left := cancelled():
                    break
        text = self._cleaned(_with_thought(thought, written), question)
        stopped: StopReason = "cancelled" if left else _stop_reason(reason)
        yield RemoteAnswer(text, usage.completion_tokens if usage else pieces, stopped, time.perf_counter() - began)

    def _open_stream(self, request: Mapping[str, Any]) -> Any:
        from openai import BadRequestError, UnprocessableEntityError

        if self._counts_streams:
            try:
                return self._endpoint.create(**request, stream=True, stream_options={"include_usage": True})
            except (BadRequestError, UnprocessableEntityError) as error:
                if "stream_options" not in str(error):
                    raise
                self._counts_streams = False
        return self._endpoint.create(**request, stream=True)

    def _cleaned(self, text: str, question: Question, growing: bool = False) -> str:
        """The text without the given beginning, which some servers repeat, and the space that running text has."""
        start = question.asked.answer_start
        if growing and start.startswith(text):
            return ""
        if self.server.api == "text":
            return text if start else text.removeprefix(" ")
        return text.removeprefix(start) if start else text

    def _llama_cpp_adapters(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The LoRA adapters of a llama.cpp server and their scales; it does not list them with its model."""
        if said.get("owned_by") != "llamacpp":
            return {}
        with server_errors_as_sentences(self.server):
            loaded: Any = self.client.get(f"{self.server.url.removesuffix('/v1')}/lora-adapters", cast_to=object)
        return {"adapters": [{key: one.get(key) for key in ("id", "path", "scale")} for one in loaded]}


def _earlier_messages(before: Conversation) -> list[dict[str, str]]:
    system = [{"role": "system", "content": before.system}] if before.system else []
    turns = [(("user", turn.prompt), ("assistant", turn.answer)) for turn in before.turns]
    return [*system, *({"role": role, "content": text} for pair in turns for role, text in pair)]


def _message_text(message: Any) -> str:
    return _with_thought(_reasoning(message), message.content or "")


def _delta(choice: Any) -> tuple[str, str]:
    """The new reasoning and the new text of one piece of a stream."""
    if hasattr(choice, "text"):
        return "", choice.text or ""
    return _reasoning(choice.delta), choice.delta.content or ""


def _reasoning(message: Any) -> str:
    """What a reasoning model thought; servers name it in two ways, outside of the protocol."""
    extra = message.model_extra or {}
    return str(extra.get("reasoning_content") or extra.get("reasoning") or "")


def _with_thought(thought: str, text: str) -> str:
    return f"{OPEN}\n{thought}\n{CLOSE}\n\n{text}" if thought else text


def _stop_reason(reason: str | None) -> StopReason:
    return "length" if reason == "length" else "end"


def _count(usage: Any, text: str) -> int:
    return int(usage.completion_tokens) if usage else len(text.split())
