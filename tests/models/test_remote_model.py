"""A model behind a server: what is sent, what comes back, and what is said when nothing does."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest

from sku.core.config import DecodingConfig
from sku.core.errors import Unavailable
from sku.core.records import AskedPrompt
from sku.core.servers import Server
from sku.models.remote_model import Question, RemoteModel
from tests.openai_server import Told, openai_server, told

__all__ = ["told"]
SHORT = DecodingConfig(max_new_tokens=20)
LLAMA = [{"id": "m.gguf", "owned_by": "llamacpp", "created": 1, "meta": {"n_params": 7}}]


def asked(text: str = "Why?", start: str = "", sample: int = 0) -> Question:
    return Question(AskedPrompt(text, text, start), sample)


def model(told: Told, **settings: Any) -> RemoteModel:
    return RemoteModel(Server(told.url, name="toy", **{"retries": 2} | settings))


def test_an_answer_with_its_length_and_its_end(told: Told) -> None:
    answer = model(told).ask(asked(), SHORT)
    assert (answer.text, answer.tokens, answer.stopped) == ("You said Why? (greedy).", 4, "end")
    cut = model(told).ask(asked(), DecodingConfig(max_new_tokens=2))
    assert (cut.text, cut.tokens, cut.stopped) == ("You said", 2, "length")
    assert told.requests[0] == {
        "model": "toy", "max_tokens": 20, "temperature": 0.0, "messages": [{"role": "user", "content": "Why?"}],
    }  # fmt: skip


def test_samples_have_seeds_of_their_own_and_the_same_seed_gives_the_same(told: Told) -> None:
    hot = DecodingConfig(max_new_tokens=20, temperature=0.7, seed=3)
    first, second, again = (model(told).ask(asked(sample=i), hot).text for i in (0, 1, 0))
    assert first == again != second
    assert {request["top_p"] for request in told.requests} == {1.0}


def test_settings_for_every_request_are_sent(told: Told) -> None:
    model(told, body={"top_k": 0}).ask(asked(), SHORT)
    assert told.requests[0]["top_k"] == 0


def test_a_llama_cpp_server_with_adapters_reads_every_prompt_anew(told: Told) -> None:
    told.models = LLAMA
    model(told).ask(asked(), SHORT)
    told.adapters = [{"id": 0, "path": "sku.gguf", "scale": 1.0}]
    model(told, body={"lora": [{"id": 0, "scale": 0.0}]}).ask(asked(), SHORT)
    assert [request.get("cache_prompt") for request in told.requests] == [None, False]
    assert told.requests[1]["lora"] == [{"id": 0, "scale": 0.0}]


@pytest.mark.parametrize("forbidden", [(), ("stream_options",)])
def test_a_stream_grows_and_ends_as_the_whole_answer(told: Told, forbidden: tuple[str, ...]) -> None:
    told.forbidden = forbidden
    one = model(told)
    for _ in range(2):
        states = list(one.stream(asked(), SHORT))
        texts = [state.text for state in states]
        assert texts[:3] == ["", "You", "You said"]
        assert all(longer.startswith(shorter) for shorter, longer in itertools.pairwise(texts))
        assert states[-1].text == one.ask(asked(), SHORT).text
        assert states[-1].stopped == "end"
    assert states[-1].tokens == (5 if forbidden else 4), "without usage, the pieces that came are counted"
    assert len(told.requests) == (5 if forbidden else 4), "the option is tried once"


def test_a_stream_ends_when_it_is_told_to(told: Told) -> None:
    states = list(model(told).stream(asked(), SHORT, lambda: True))
    assert (states[-1].text, states[-1].stopped) == ("You", "cancelled")


def test_reasoning_is_kept_apart_from_the_answer(told: Told) -> None:
    from sku.core.thinking import split_thinking

    told.thought = "hm"
    assert split_thinking(model(told).ask(asked(), SHORT).text) == ("hm", "You said Why? (greedy).")


def test_a_base_model_is_asked_in_the_papers_form(told: Told) -> None:
    one = model(told, api="text")
    assert one.ask(asked(start="Sure"), SHORT).text == "You said ### Question: Why?\n ### Answer: Sure (greedy)."
    assert told.requests[0]["stop"] == ["### Question:", "### Answer:"]
    assert list(one.stream(asked(), SHORT))[-1].stopped == "end"


@pytest.mark.parametrize("owner", ["llamacpp", "vllm", "toys"])
def test_a_given_beginning_is_continued_only_where_that_is_known(told: Told, owner: str) -> None:
    told.models = [{"id": "m", "owned_by": owner}]
    told.reply = lambda body: body["messages"][-1]["content"] + " and more"
    one = model(told)
    assert one.can_prefill == (owner != "toys")
    if owner == "toys":
        with pytest.raises(ValueError, match="not known to continue"):
            one.ask(asked(start="Sure:"), SHORT)
        assert model(told, prefill="message").can_prefill
        return
    assert one.ask(asked(start="Sure:"), SHORT).text == " and more", "a repeated beginning is left out"
    assert told.requests[0]["messages"][1] == {"role": "assistant", "content": "Sure:"}
    assert told.requests[0].get("continue_final_message", False) == (owner == "vllm")


def test_what_a_server_says_identifies_its_model(told: Told) -> None:
    told.models = LLAMA
    before = model(told).identity
    told.models = [{**LLAMA[0], "created": 2}]
    assert model(told).identity == before, "the time of the start is no part of it"
    told.adapters = [{"id": 0, "path": "sku.gguf", "scale": 1.0}]
    scaled = model(told).identity
    told.models = [{**LLAMA[0], "meta": {"n_params": 8}}]
    others = [model(told).identity, model(told, body={"top_k": 1}).identity, model(told, api="text").identity]
    assert len({before, scaled, *others}) == 5
    assert model(told).description == {
        "server": "toy", "model": "m.gguf", "identity": others[0], "owned_by": "llamacpp",
    }  # fmt: skip


def test_a_server_with_several_models_wants_a_name_and_one_without_a_list_too(told: Told) -> None:
    told.models = [{"id": "a"}, {"id": "b"}]
    with pytest.raises(ValueError, match=r"has 2 models \(a, b\); name one"):
        model(told).facts.model  # noqa: B018
    assert model(told, model="b").facts.model == "b"
    told.models = []
    with pytest.raises(ValueError, match="lists none"):
        model(told).facts.model  # noqa: B018
    assert model(told, model="c").ask(asked(), SHORT).tokens == 4


def test_passing_faults_are_retried(told: Told) -> None:
    told.faults = [503, 429]
    assert model(told).ask(asked(), SHORT).tokens == 4
    assert len(told.requests) == 3


@pytest.mark.parametrize(
    ("faults", "kind", "said"),
    [
        ([500] * 3, Unavailable, "failed, also after 2 retries"),
        ([429] * 3, Unavailable, "too many requests"),
        ([401], ValueError, "refuses the key in SKU_KEY_TOY"),
        ([400], ValueError, "refuses the request"),
    ],
)
def test_a_lasting_fault_is_one_line_without_address_and_key(
    told: Told, faults: list[int], kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKU_KEY_TOY", "sesame")
    told.key, told.faults = "sesame", list(faults)
    with pytest.raises(kind, match=said) as error:
        model(told).ask(asked(), SHORT)
    for hidden in ("\n", told.url, "sesame"):
        assert hidden not in str(error.value)
    assert len(told.requests) == len(faults)


def test_keys_come_from_the_environment(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told.key = "sesame"
    with pytest.raises(ValueError, match="set that variable"):
        model(told).facts.model  # noqa: B018
    monkeypatch.setenv("MINE", "sesame")
    assert model(told, key="MINE").ask(asked(), SHORT).tokens == 4


def test_a_server_that_is_not_there_or_breaks_off_is_one_line(told: Told) -> None:
    told.faults = ["cut"]
    one, states = model(told), list[Any]()
    with pytest.raises(Unavailable, match=r"server toy (broke off|cannot be reached)"):
        states += one.stream(asked(), SHORT)
    gone = RemoteModel(Server("http://127.0.0.1:9/v1", "m", retries=0, name="gone"))
    with pytest.raises(Unavailable, match="server gone cannot be reached"):
        gone.ask(asked(), SHORT)
    told.seconds = 1.0
    with pytest.raises(Unavailable, match=r"did not answer within 0.1 s"):
        model(told, timeout=0.1, retries=0).ask(asked(), SHORT)


def test_at_most_so_many_requests_wait_at_once_whoever_asks(told: Told) -> None:
    told.seconds = 0.05
    one = model(told, concurrency=3)
    questions = [asked(f"Q{i}") for i in range(8)]
    threads = [threading.Thread(target=lambda: list(one.ask_each(questions, SHORT))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.most_at_once == 3
    assert len(told.requests) == 16


def test_many_questions_keep_their_places_and_a_fault_keeps_what_came_before(told: Told) -> None:
    one = model(told, concurrency=2, retries=0)
    questions = [asked(f"Q{i}") for i in range(6)]
    found = dict(one.ask_each(questions, SHORT))
    assert [found[i].text for i in range(6)] == [f"You said Q{i} (greedy)." for i in range(6)]
    told.reply = lambda body: "fine"
    told.requests.clear()
    told.faults = ["", "", 400]
    kept: dict[int, str] = {}
    with pytest.raises(ValueError, match="refuses"):
        kept.update((i, answer.text) for i, answer in one.ask_each(questions, SHORT))
    assert 2 <= len(kept) < 6
    assert len(told.requests) < 6, "after a fault no more questions are asked"


def test_two_servers_do_not_mix() -> None:
    with openai_server() as first, openai_server() as second:
        second.reply = lambda body: "other"
        assert model(first).ask(asked(), SHORT).text != model(second).ask(asked(), SHORT).text
        assert model(first).identity != model(second).identity
