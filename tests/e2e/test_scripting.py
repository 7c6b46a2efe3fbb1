"""The script of `hosting.md` against the running app with the real default model, line by line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

HOSTING = (Path(__file__).parents[2] / "assets" / "docs" / "hosting.md").read_text(encoding="utf-8")


def test_the_documented_script_runs(app_url: str) -> None:
    (code,) = re.findall(r"```python\n(from gradio_client.*?)```", HOSTING, re.DOTALL)
    first, *calls = [line for line in code.splitlines() if line.startswith("page")]
    assert "7860" in first
    names: dict[str, Any] = {}
    exec("from gradio_client import Client\n" + first.replace("http://127.0.0.1:7860", app_url), names)
    answers, sweep = (eval(call.partition("  #")[0], names) for call in calls[:2])
    assert [one["variant"] for one in answers] == ["base", "ga@1", "sku@1.5"]
    assert all(one["verdict"] in ("harmful", "refusal", "safe", "broken") for one in answers)
    assert [one["coefficient"] for one in sweep] == [0, 0.5, 1, 1.5]
    assert sweep[0]["kl"] == 0
    assert sweep[0]["kl"] < sweep[1]["kl"] < sweep[3]["kl"]
    assert sweep[0]["text"] == answers[0]["text"], "coefficient 0 is the base"
    with pytest.raises(Exception, match="no run called"):
        eval(calls[2].partition("  #")[0], names)
