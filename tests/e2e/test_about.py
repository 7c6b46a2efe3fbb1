"""What About tells: the two stages, every number, every method with its fidelity; also to who cannot see it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from sku.core.methods import METHODS
from sku.core.records import OUTCOMES
from sku.core.runs import shipped_sku
from sku.reporting.utilities import UTILITIES
from tests.e2e.test_stories import open_tab

pytestmark = pytest.mark.e2e

# The lines of running text, as the browser breaks them, that have more than 75 characters.
LONG_LINES = """() => [...document.querySelectorAll('.about-text p, .about-text li, #methods td')].flatMap((block) => {
  if (!block.checkVisibility()) { return []; }
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT), lines = new Map();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (let i = 0; i < node.length; i++) {
      const range = document.createRange();
      range.setStart(node, i);
      range.setEnd(node, i + 1);
      const line = Math.round(range.getBoundingClientRect().bottom / 8);
      lines.set(line, (lines.get(line) || '') + node.data[i]);
    }
  }
  return [...lines.values()].filter((line) => line.trim().length > 75);
})"""


@pytest.mark.parametrize("page", [1400, 400], indirect=True)
def test_about_tells_stages_numbers_methods_judge_and_licences(page: Page) -> None:
    open_tab(page, "About")
    diagram, findings = page.get_by_role("img", name="The two stages of SKU"), page.locator("#findings")
    expect(diagram).to_be_visible()
    lines, heads = (diagram.locator(f"> path{kind}") for kind in (":not([fill])", "[fill=currentColor]"))
    shafts, tips = (str(path.get_attribute("d")).count("M") for path in (lines, heads))
    assert shafts == tips == 4, "every arrow has a head"
    assert findings.locator("li").count() == 3
    for finding in findings.locator("li").all():
        assert re.search(r"\d", finding.inner_text()), "a finding has a number"
    if page.viewport_size == {"width": 1400, "height": 900}:
        left, right = findings.bounding_box(), diagram.bounding_box()
        assert left["x"] + left["width"] <= right["x"], "the findings stand beside the diagram"
    page.get_by_role("button", name="All methods, with papers").click()
    expect(page.locator("#methods td").first).to_be_visible()
    assert page.evaluate(LONG_LINES) == [], "at most 75 characters a line"
    numbers, methods = page.locator("#numbers").inner_text(), page.locator("#methods")
    assert not [found.label for found in UTILITIES.values() if found.label not in numbers]
    for name, method in METHODS.items():
        row = methods.locator("tr", has=page.get_by_text(name, exact=True)).inner_text()
        assert method.fidelity in row, f"{name} does not say how faithful it is"
    expect(page.locator("#judge-cards")).to_be_visible()
    expect(page.locator("#other-judge-cards")).to_be_hidden()
    page.get_by_role("button", name="Judges that were not measured here").click()
    expect(page.locator("#other-judge-cards")).to_be_visible()
    expect(page.locator("#results")).to_contain_text(shipped_sku())
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
