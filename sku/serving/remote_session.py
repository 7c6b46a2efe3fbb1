"""A session that also asks models behind servers; everything else it passes to another session.

The columns of servers and those of the other session are written at the same time. The servers are those that the owner
named when the session was made (`core/servers.py`): no question can name an address.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.records import Answer
from sku.core.servers import Server, find_server, read_servers
from sku.core.variants import parse_variant
from sku.serving.passing_session import PassingSession
from sku.serving.session import Session
from sku.serving.streaming import MAX_UPDATES_PER_SECOND, ColumnState
from sku.serving.variant_catalog import CatalogEntry, server_entry

if TYPE_CHECKING:
    from sku.models.remote_model import Question, RemoteAnswer, RemoteModel
    from sku.serving.token_lens import TokenLens


class RemoteSession(PassingSession):
    """Adds models behind servers to another session. `session.py` describes the methods."""

    def __init__(self, session: Session, servers: Mapping[str, Server] | None = None) -> None:
        """Wrap a session.

        Args:
            session: answers for all variants that are not behind a server.
            servers: by name; None: those of `SKU_SERVERS`.

        Raises:
            ValueError: if `SKU_SERVERS` cannot be read.
        """
        self._session = session
        self._servers = read_servers() if servers is None else servers
        self._models: dict[str, RemoteModel] = {}
        self._lock = threading.Lock()

    @property
    def answering(self) -> Session:
        """The other session."""
        return self._session

    def choices(self, owner: str | None = None) -> list[CatalogEntry]:
        """The other session's, and the owner's servers."""
        found = {entry.name: entry for entry in self._session.choices(owner)}
        return list((found | {server.variant: server_entry(server) for server in self._servers.values()}).values())

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> Iterator[list[ColumnState]]:
        """Stream all columns at the same time. A server that fails leaves the others running."""
        remote = {i: text for i, text in enumerate(variants) if self._is_remote(text)}
        if not remote:
            yield from self._session.ask(prompt, variants, config, cancelled, attack, before)
            return
        if not prompt.strip():
            raise ValueError("the prompt is empty; write a question")
        local = [i for i in range(len(variants)) if i not in remote]
        own = list(before) or [NO_CONVERSATION] * len(variants)
        columns = _SharedColumns([ColumnState(text, None, writing=True) for text in variants])

        def stopped() -> bool:
            return columns.left.is_set() or cancelled()

        if local:
            texts, earlier = [variants[i] for i in local], [own[i] for i in local]
            columns.fill(local, lambda: self._session.ask(prompt, texts, config, stopped, attack, earlier))
        for i, text in remote.items():
            columns.fill([i], partial(self._stream, text, prompt, config, stopped, attack, own[i]))
        yield from columns.stream()

    def answers(
        self,
        prompts: Sequence[str],
        variants: Sequence[str],
        config: DecodingConfig,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> list[Answer]:
        """All answers: the servers are asked at the same time, while the other session answers."""
        remote = [i for i, text in enumerate(variants) if self._is_remote(text)]
        local = [i for i in range(len(variants)) if i not in remote]
        if not remote:
            return self._session.answers(prompts, variants, config, attack, before)
        own = list(before) or [NO_CONVERSATION] * len(variants)
        with ThreadPoolExecutor(len(remote), "servers") as pool:
            asked = {i: pool.submit(self._answers_of, variants[i], prompts, config, attack, own[i]) for i in remote}
            texts, earlier = [variants[i] for i in local], [own[i] for i in local]
            here = self._session.answers(prompts, texts, config, attack, earlier) if local else []
            by_server = {i: future.result() for i, future in asked.items()}
        samples, ordered, taken = config.samples, list[Answer](), iter(here)
        for number in range(len(prompts)):
            for i in range(len(variants)):
                found = by_server.get(i)
                ordered += found[number * samples :][:samples] if found else (next(taken) for _ in range(samples))
        return ordered

    def divergence(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> list[float | None]:
        """The other session's; None for models behind servers."""
        local = [text for text in variants if _has_weights(text)]
        measured = iter(self._session.divergence(prompt, answer, local, before) if local else ())
        return [next(measured) if _has_weights(text) else None for text in variants]

    def lens(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> TokenLens:
        """The other session's; models behind servers are not in it."""
        return self._session.lens(prompt, answer, [text for text in variants if _has_weights(text)], before)

    def _is_remote(self, text: str) -> bool:
        """Whether a server is asked. Where answers are recorded, those of servers that are not at hand may be too."""
        name = parse_variant(text).server
        return name is not None and (name in self._servers or self.status.mode == "live")

    def _model(self, text: str) -> RemoteModel:
        from sku.models.remote_model import RemoteModel

        server = find_server(str(parse_variant(text).server), self._servers)
        with self._lock:
            return self._models.setdefault(server.name, RemoteModel(server))

    def _stream(
        self,
        text: str,
        prompt: str,
        config: DecodingConfig,
        cancelled: Callable[[], bool],
        attack: ChosenAttack,
        before: Conversation,
    ) -> Iterator[list[ColumnState]]:
        """One column: the first sample is streamed, then the others are asked at once."""
        try:
            model, questions = self._model(text), _questions(text, [prompt], config, attack, before)
            first, *others = questions
            written = []
            for state in model.stream(first, config, cancelled):
                answer = state.record(text, first, config.seed)
                written = [answer]
                column = ColumnState(text, answer, True, None, (answer,), state.seconds)
                yield [column]
            if not cancelled():
                written += _records(model, text, others, config)
            yield [dataclasses.replace(column, writing=False, samples=tuple(written))]
        except (ValueError, OSError) as error:
            yield [ColumnState(text, None, error=str(error))]

    def _answers_of(
        self, text: str, prompts: Sequence[str], config: DecodingConfig, attack: ChosenAttack, before: Conversation
    ) -> list[Answer]:
        return _records(self._model(text), text, _questions(text, prompts, config, attack, before), config)


class _SharedColumns:
    """Columns that several threads write and one consumer reads."""

    def __init__(self, columns: list[ColumnState]) -> None:
        self.left = threading.Event()
        """Set once the consumer is gone."""
        self._columns = columns
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None

    def fill(self, places: Sequence[int], source: Callable[[], Iterator[list[ColumnState]]]) -> None:
        """Run `source` on a thread of its own; it writes the columns at `places`."""

        def work() -> None:
            try:
                for columns in source():
                    with self._changed:
                        for i, column in zip(places, columns, strict=True):
                            self._columns[i] = column
                        self._changed.notify()
            except BaseException as error:
                self._error = error
            with self._changed:
                self._changed.notify()

        thread = threading.Thread(target=work, name="columns", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stream(self) -> Iterator[list[ColumnState]]:
        """All columns, whenever one has changed, until every thread has ended.

        Raises:
            Exception: what a source raised.
        """
        try:
            while True:
                running = any(thread.is_alive() for thread in self._threads)
                with self._changed:
                    columns = list(self._columns)
                if self._error is not None:
                    raise self._error
                yield columns
                if not running:
                    return
                time.sleep(1 / MAX_UPDATES_PER_SECOND)
        finally:
            self.left.set()


def _has_weights(text: str) -> bool:
    return parse_variant(text).server is None


def _questions(
    text: str, prompts: Sequence[str], config: DecodingConfig, chosen: ChosenAttack, before: Conversation
) -> list[Question]:
    """Every prompt under the attack, for every sample.

    Raises:
        ValueError: for an attack on the weights.
    """
    from sku.models.remote_model import Question
    from sku.serving.attacked_answers import worded

    if chosen.attack.weaken:
        raise ValueError(
            f"the attack “{chosen.attack.label}” changes weights, and those of {text} are on another machine; choose "
            "an attack on the prompt"
        )
    asked = [dataclasses.replace(worded(prompt, chosen), before=before) for prompt in prompts]
    return [Question(one, sample) for one in asked for sample in range(config.samples)]


def _records(model: RemoteModel, text: str, questions: Sequence[Question], config: DecodingConfig) -> list[Answer]:
    found: dict[int, RemoteAnswer] = dict(model.ask_each(questions, config))
    return [found[i].record(text, question, config.seed) for i, question in enumerate(questions)]


if TYPE_CHECKING:

    def _check(session: RemoteSession) -> Session:
        return session
