"""A model behind a server is judged, counted and attacked like a local variant, and its row says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sku.core.config import DecodingConfig
from sku.core.errors import Cancelled, Unavailable
from sku.core.records import PromptPair, ResultRow
from sku.core.servers import Server
from sku.core.variants import Variant
from sku.evaluation.attacks.plan import AttackPlan
from sku.evaluation.attacks.suite import measure_attacks, random_control, with_base
from sku.evaluation.evaluate import run_evaluation
from sku.evaluation.plan import EvaluationPlan, MeasuredVariant, PromptSets, measured_variant
from sku.judges.keyword import KeywordJudge
from sku.models.remote_model import RemoteModel
from sku.models.variant_model import VariantModel
from sku.reporting import result_files
from tests.evaluation.attacks.conftest import DATA, MEASURED, OWN
from tests.openai_server import Told, told

__all__ = ["told"]
BASE = MeasuredVariant(Variant("base", 0.0))
HARMFUL = tuple(PromptPair(f"How {i}?", f"So {i}.", "harmful", "test", safe_answer=f"No {i}.") for i in range(5))
NORMAL = tuple(PromptPair(f"What {i}?", f"It {i}.", "normal", "test") for i in range(3))
SETS = PromptSets(HARMFUL, HARMFUL, NORMAL, NORMAL, NORMAL, NORMAL)
MEASURED_HERE = ("kl", "kl_low", "perplexity", "own_perplexity", "harmful_log_prob", "safe_log_prob", "preference_rate")


def remote(told: Told, **settings: Any) -> MeasuredVariant:
    return measured_variant(RemoteModel(Server(told.url, name="toy", **{"retries": 0} | settings)))


def rows(model: VariantModel, subject: MeasuredVariant, work: Path, **more: Any) -> list[ResultRow]:
    plan = EvaluationPlan("pico", (BASE, subject), SETS, "test", DecodingConfig(max_new_tokens=6))
    return run_evaluation(model, plan, KeywordJudge(), None, work, **more)


def test_a_remote_row_counts_answers_and_says_what_it_is(pico: VariantModel, told: Told, tmp_path: Path) -> None:
    told.reply = lambda body: "I cannot help." if "How" in body["messages"][0]["content"] else "Here you are, my friend"
    base, row = rows(pico, remote(told), tmp_path)
    assert (row.variant, row.method, row.run, row.coefficient) == ("server:toy", "remote", "server:toy", None)
    assert row.remote is not None
    assert (row.remote["server"], row.remote["model"], row.remote["owned_by"]) == ("toy", "toy", "toys")
    assert told.url not in str(row), "results are shown to strangers"
    assert (row.n, row.refusal, row.normal_refusal) == (5, 5, 0)
    assert row.answer_tokens == 3
    assert row.answer_perplexity is not None, "the base here can read what was written there"
    assert {name: getattr(row, name) for name in MEASURED_HERE} == dict.fromkeys(MEASURED_HERE), "unknown is no number"
    assert base.remote is None
    assert base.kl == 0
    result_files.write_rows(tmp_path / "rows.jsonl", [base, row])
    assert result_files.read_rows(tmp_path / "rows.jsonl") == [base, row]


def test_after_a_fault_only_the_rest_is_asked(pico: VariantModel, told: Told, tmp_path: Path) -> None:
    told.faults = ["", "", "", 500]
    subject = remote(told, concurrency=1)
    with pytest.raises(Unavailable, match="server toy failed"):
        rows(pico, subject, tmp_path)
    asked_before = len(told.requests)
    assert asked_before == 4
    whole = rows(pico, remote(told), tmp_path)
    assert len(told.requests) == asked_before + 8 - 3, "three of the eight prompts were answered before"
    assert rows(pico, remote(told), tmp_path) == whole
    assert len(told.requests) == asked_before + 8 - 3, "nothing is asked twice"
    told.models = [{"id": "toy", "owned_by": "toys", "root": "other weights"}]
    rows(pico, remote(told), tmp_path)
    assert len(told.requests) == asked_before + 8 - 3 + 8, "a server that says it holds another model is asked anew"


def test_a_stop_keeps_what_was_answered(pico: VariantModel, told: Told, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        rows(pico, remote(told, concurrency=1), tmp_path, cancelled=lambda: len(told.requests) >= 2)
    before = len(told.requests)
    rows(pico, remote(told), tmp_path)
    assert before < len(told.requests) < before + 8


def test_given_answers_are_scored_where_the_server_tells_likelihoods(
    pico: VariantModel, told: Told, tmp_path: Path
) -> None:
    """The server holds the base itself, so its numbers must be the base's."""

    @torch.no_grad()
    def score(before: list[int], token: int) -> float:
        with pico.rows([{}]) as network:
            logits = network(input_ids=torch.tensor([before])).logits[0, -1]
        return float(logits.log_softmax(-1)[token])

    told.score, told.spell = score, lambda token: str(pico.tokenizer.decode([token]))
    base, row = rows(pico, remote(told, log_probs=True), tmp_path)
    for name in ("perplexity", "own_perplexity", "harmful_log_prob", "safe_log_prob", "preference_rate"):
        assert getattr(row, name) == pytest.approx(getattr(base, name), rel=1e-4), name
    assert row.kl is None
    before = len(told.requests)
    assert rows(pico, remote(told, log_probs=True), tmp_path)[1] == row
    assert len(told.requests) == before


@pytest.mark.parametrize("fault", ["no numbers", "the bias is in the numbers", "other tokens", "no tokens"])
def test_numbers_that_would_mean_nothing_are_refused(
    pico: VariantModel, told: Told, tmp_path: Path, fault: str
) -> None:
    told.score = None if fault == "no numbers" else lambda *_: 0.0 if "bias" in fault else -1.0
    told.spell = str if fault == "other tokens" else lambda token: str(pico.tokenizer.decode([token]))
    told.forbidden = ("logit_bias",) if fault == "no tokens" else ()
    with pytest.raises(ValueError, match="does not tell how likely given tokens of pico are; leave log_probs out"):
        rows(pico, remote(told, log_probs=True), tmp_path)


def attacked(model: VariantModel, subject: MeasuredVariant, work: Path, *attacks: str, **more: Any) -> list[ResultRow]:
    decoding = DecodingConfig(max_new_tokens=6)
    plan = AttackPlan("pico", (BASE, subject), MEASURED, OWN, attacks, DATA, decoding=decoding)
    return measure_attacks(model, plan, KeywordJudge(), work, **more)


def test_a_remote_model_stands_under_attacks_on_the_prompt_only(
    pico: VariantModel, told: Told, tmp_path: Path, sku_home: Path
) -> None:
    said: list[str] = []
    names = ("wrapper-role", "prefill-generic", "leak-8", "int8")
    found = attacked(pico, remote(told), tmp_path, *names, report=lambda line: said.append(line["doing"]))
    cells = {row.attack: row for row in found if row.variant == "server:toy"}
    assert set(cells) == {"none", "wrapper-role", "leak-8", "any"}, "the server is not known to continue a beginning"
    assert "server:toy is behind a server, so left out: prefill-generic, int8" in said
    assert cells["any"].attack_details["attacks"] == ["wrapper-role", "leak-8"]
    assert cells["leak-8"].n == 8 * 3
    assert all(row.remote and row.kl is None and not row.log_prob_from for row in cells.values())
    sampled = [request for request in told.requests if request["temperature"]]
    assert len({request["seed"] for request in sampled}) == 8
    assert any("well-known expert" in request["messages"][0]["content"] for request in told.requests)
    assert {row.attack for row in found if row.variant == "base"} == {"none", *names, "any"}
    before = len(told.requests)
    assert len(attacked(pico, remote(told), tmp_path, *names)) == len(found)
    assert len(told.requests) == before


def test_a_beginning_is_given_where_the_server_continues_it(
    pico: VariantModel, told: Told, tmp_path: Path, sku_home: Path
) -> None:
    found = attacked(pico, remote(told, prefill="message"), tmp_path, "prefill-generic")
    assert "prefill-generic" in {row.attack for row in found if row.variant == "server:toy"}
    assert any(request["messages"][-1]["role"] == "assistant" for request in told.requests)


def test_servers_come_last_and_have_no_random_vector(told: Told) -> None:
    model = RemoteModel(Server(told.url, name="toy"))
    one = Variant("one", 1.0, {"one": 1.0})
    assert with_base([model, Variant("base", 0.0), one, model]) == [Variant("base", 0.0), one, model]
    assert random_control(measured_variant(model)) is None
    assert not measured_variant(model).is_base
