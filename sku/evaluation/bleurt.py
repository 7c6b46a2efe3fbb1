"""BLEURT (Sellam et al., arXiv:2004.04696) from a transformers checkpoint: a model trained on people's ratings of how
well an answer matches a reference.

Checkpoints with BERT's own classes and one output can be loaded, such as Elron/bleurt-base-128. BLEURT-20 and its small
forms (lucadiliello/BLEURT-20-D3) need a class of the package bleurt-pytorch, which transformers does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging

from sku.data import Unavailable
from sku.models.variant_model import fingerprint

BLEURT_MAX_TOKENS = 512
"""Tokens of a reference and its answer together that are read."""
PAIRS_PER_BLEURT_BATCH = 16


class Bleurt:
    """The checkpoint in a folder or with a hub id.

    Raises:
        Unavailable: if it is neither here nor can be fetched.
        ValueError: if it is not a regression model that transformers can load.
    """

    def __init__(self, where: str) -> None:
        logging.disable_progress_bar()
        place = Path(where).expanduser()
        source = str(place) if place.is_dir() else where
        try:
            config = _config(source, where)
            network, loaded = AutoModelForSequenceClassification.from_pretrained(source, output_loading_info=True)
            self.tokenizer = AutoTokenizer.from_pretrained(source)
        except OSError as error:
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise Unavailable(
                f"BLEURT checkpoint {where} could not be loaded ({first[:200]}); "
                "name a folder with a transformers checkpoint, or use the metric minilm"
            ) from error
        if loaded["missing_keys"]:  # transformers would fill them with random numbers
            missing = ", ".join(sorted(loaded["missing_keys"])[:3])
            raise ValueError(f"BLEURT checkpoint {where} lacks {missing}; use a whole one, or the metric minilm")
        self.network = network.eval()
        self.max_tokens = min(BLEURT_MAX_TOKENS, getattr(config, "max_position_embeddings", BLEURT_MAX_TOKENS))
        self.name = f"bleurt-{place.name}-{fingerprint(network)[:8]}"
        """Name and version: scores of different checkpoints cannot be compared."""

    @torch.no_grad()
    def similarity(self, answers: Sequence[str], references: Sequence[str]) -> list[float]:
        """The score of each answer against its reference: about 0 if they differ, about 1 if they mean the same.

        Scores are not bounded, and swapping answer and reference changes them.

        Raises:
            ValueError: if the two lists differ in length.
        """
        if len(answers) != len(references):
            raise ValueError(f"{len(answers)} answers cannot be compared with {len(references)}; give pairs")
        order = sorted(range(len(answers)), key=lambda i: len(answers[i]) + len(references[i]))
        found: dict[int, float] = {}
        for start in range(0, len(order), PAIRS_PER_BLEURT_BATCH):
            places = order[start : start + PAIRS_PER_BLEURT_BATCH]
            given = self.tokenizer(
                [references[i] for i in places],  # as BLEURT was trained: the reference comes first
                [answers[i] for i in places],
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            )
            found |= zip(places, self.network(**given).logits[:, 0].tolist(), strict=True)
        return [found[i] for i in range(len(answers))]


def _config(source: str, where: str) -> Any:
    """The checkpoint's configuration; raises ValueError if it is not a regression model."""
    said, _ = PreTrainedConfig.get_config_dict(source)
    if not said:
        raise OSError("no config.json")
    kind, architecture = said.get("model_type"), next(iter(said.get("architectures") or []), "model")
    known = kind in CONFIG_MAPPING and architecture.endswith("ForSequenceClassification")
    config = AutoConfig.from_pretrained(source) if known else None
    if config is None or config.num_labels != 1:
        outputs = f" with {config.num_labels} outputs" if config else ""
        raise ValueError(
            f"BLEURT checkpoint {where} is a {architecture}{outputs} (model type {kind}), not a regression model that "
            "transformers can load; use a BertForSequenceClassification with one output, or the metric minilm"
        )
    return config
