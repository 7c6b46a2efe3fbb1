"""Cards of all judges, for a page or a document to show before any judge is loaded. Knows no torch."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sku.core import storage
from sku.core.records import digest
from sku.judges import hub_models
from sku.judges.keyword import KeywordJudge
from sku.judges.protocol import Agreement, JudgeCard

JUDGE_FOLDER = storage.ASSETS / "judge"
"""The embedded judge that is shipped."""


@dataclass(frozen=True)
class JudgeFile:
    """What `judge.json` in an embedded judge's folder holds."""

    base_fingerprint: str
    """Of the base that the judge was trained on and runs on."""
    card: JudgeCard
    keyword: tuple[Agreement, ...] = ()
    """Agreement of the keyword judge on the same answers, for comparison."""


_JUDGE_FILE = TypeAdapter(JudgeFile)


def embedded_card(folder: Path = JUDGE_FOLDER) -> JudgeCard:
    """The card of the embedded judge in `folder`, with the digest of its weights."""
    weights = digest(*(sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*.safetensors"))))
    return dataclasses.replace(read_judge_file(folder).card, weights=weights)


def keyword_card(folder: Path = JUDGE_FOLDER) -> JudgeCard:
    """The card of the keyword judge, measured on the same answers as the embedded judge in `folder`."""
    return dataclasses.replace(KeywordJudge.card, agreement=read_judge_file(folder).keyword)


def all_cards() -> list[JudgeCard]:
    """The cards of all judges that can be chosen; the default judge comes first."""
    return [embedded_card(), keyword_card(), *map(hub_models.hub_card, hub_models.HUB_JUDGES)]


def read_judge_file(folder: Path) -> JudgeFile:
    """Read `judge.json`.

    Raises:
        ValueError: if it is not a judge's file; the message names the file and the field.
    """
    path = folder / "judge.json"
    try:
        return _JUDGE_FILE.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        raise ValueError(f"{path} is no judge's file: {field}: {first['msg']}; train the judge again") from error


def write_judge_file(folder: Path, content: JudgeFile) -> None:
    """Write `judge.json`."""
    storage.write_atomically(folder / "judge.json", json.dumps(dataclasses.asdict(content), indent=2) + "\n")
