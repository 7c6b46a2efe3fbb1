"""Monitor a training: every few steps, record the answer to a fixed prompt and the perplexity of normal answers.

Both are measured on the model that will be served (base minus or plus the vector), not on the model in training. The
monitor draws no random numbers and changes no weights, so a run gives the same adapter with or without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer

from sku.core.config import TrainConfig
from sku.core.methods import find_method
from sku.core.records import PromptPair
from sku.models.batching import collate, encode_pair
from sku.models.chat_template import ChatTemplate
from sku.models.likelihood import answer_token_logits

_ANSWER_TOKENS = 40
_PERPLEXITY_PAIRS = 6


class Collapsed(ArithmeticError):
    """The model that would be served no longer predicts normal text."""


class Monitor:
    """The monitor of one run."""

    def __init__(
        self, peft_model: Any, template: ChatTemplate, normal: Sequence[PromptPair], config: TrainConfig
    ) -> None:
        """Perplexity is measured on the first few of the `normal` pairs."""
        self.peft_model, self.template, self.config = peft_model, template, config
        pairs = normal[:_PERPLEXITY_PAIRS] if config.probe_every else []
        self.normal = [encode_pair(template, pair, config.max_tokens) for pair in pairs]
        self.sign = -1.0 if find_method(config.method).negated else 1.0

    def due(self, step: int) -> bool:
        """Whether to probe after `step` steps: at the start, every `probe_every` steps, and at the end."""
        interval = self.config.probe_every
        return bool(interval) and (step % interval == 0 or step == self.config.steps)

    @torch.no_grad()
    def look(self, step: int) -> dict[str, Any]:
        """Probe the model. The result is one line of `probes.jsonl`: step, prompt, answer, normal perplexity."""
        with self._served():
            network = self.peft_model.get_base_model()
            ids = torch.tensor([self.template.prompt_ids(self.config.probe)], device=self._device)
            mask = torch.ones_like(ids)
            stops = sorted(self.template.stop_ids)
            written = network.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=_ANSWER_TOKENS, do_sample=False, eos_token_id=stops,
                pad_token_id=stops[0], use_cache=True,
            )  # fmt: skip
            answer = self.template.written_text(written[0, ids.shape[1] :].tolist())
            perplexity = self._perplexity(network)
        return {"step": step, "prompt": self.config.probe, "answer": answer, "normal_perplexity": perplexity}

    def check(self, line: dict[str, Any]) -> None:
        """Check that the model still predicts normal text.

        Raises:
            Collapsed: if the perplexity of normal answers exceeds `collapse_perplexity`.
        """
        perplexity, bound = line["normal_perplexity"], self.config.collapse_perplexity
        if perplexity is not None and not perplexity <= bound:
            raise Collapsed(
                f"after {line['step']} steps normal answers have a perplexity of {perplexity:.3g}, above the bound of "
                f"{bound:g}: the model would no longer write normal text. The newest checkpoint is kept; use fewer "
                "steps, a lower learning rate or a larger weight of preservation"
            )

    def _perplexity(self, network: Any) -> float | None:
        if not self.normal:
            return None
        scored = answer_token_logits(network, collate(self.normal).to(self._device))
        nll = float(torch.nn.functional.cross_entropy(scored.logits.float(), scored.targets))
        return math.exp(min(nll, 700.0)) if math.isfinite(nll) else math.inf

    @contextmanager
    def _served(self) -> Iterator[None]:
        """Inside the `with` block, the model runs as it will be served."""
        layers = [module for module in self.peft_model.modules() if isinstance(module, LoraLayer)]
        before = [layer.scaling["default"] for layer in layers]
        try:
            for layer in layers:
                layer.scaling["default"] = self.sign * self.config.alpha / self.config.rank
            yield
        finally:
            for layer, scaling in zip(layers, before, strict=True):
                layer.scaling["default"] = scaling

    @property
    def _device(self) -> torch.device:
        device: torch.device = self.peft_model.get_base_model().get_input_embeddings().weight.device
        return device
