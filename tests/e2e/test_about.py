"""What About tells: the two stages, every number, every method with its fidelity; also to who cannot see it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from sku.core.methods import METHODS
from sku.core.records import OUTCOMES
from sku.reporting.utilities import UTILITIES
from tests.e2e.test_stories import open_tab

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("page", [1400, 400], indirect=True)
def test_about_tells_stages_numbers_methods_judge_and_licences(page: Page) -> None:
    open_tab(page, "About")
    expect(page.get_by_role("img", name="The two stages of SKU")).to_be_visible()
    numbers, methods = page.locator("#numbers").inner_text(), page.locator("#methods")
    assert not [found.label for found in UTILITIES.values() if found.label not in numbers]
    for name, method in METHODS.items():
        row = methods.locator("tr", has=page.get_by_text(name, exact=True)).inner_text()
        assert method.fidelity in row, f"{name} does not say how faithful it is"
    expect(page.locator("#judge-cards")).to_be_visible()
    expect(page.locator("#other-judge-cards")).to_be_hidden()
    page.get_by_role("button", name="Judges that were not measured here").click()
    expect(page.locator("#other-judge-cards")).to_be_visible()
    expect(page.locator("#results")).to_contain_text("sku@2.5")
    text = page.locator("main").inner_text()
    for said in (*OUTCOMES, "harmful rate", "Wilson", "Unlearned does not mean gone", "Apache-2.0", "AUC"):
        assert said in text
    broken = page.evaluate(
        """() => [...document.querySelectorAll('#results td, #numbers td, #methods td')].map((cell) => {
          const word = Math.max(...cell.innerText.split(/\\s+/).map((part) => part.length));
          return [cell.innerText.slice(0, 30), cell.getBoundingClientRect().width, word];
        }).filter(([, width, word]) => word > 3 && width < 4 * word)"""
    )
    assert broken == [], "words of a table are broken in the middle"
