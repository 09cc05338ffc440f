"""The page of `mien serve` in Chromium: for keyboards, screen readers, small and dark screens.

MIEN_AXE may name axe-core's axe.min.js; without it only what is checked by hand here is.
MIEN_SHOTS may name a folder for pictures of the page, to be looked at.
"""

import os

import pytest
from page_in_browser import contrast

pytest.importorskip("fastapi", reason="needs the extra serve")

from served_page import PATIENCE, SIZES, Page

pytestmark = pytest.mark.journey


def test_the_keyboard_does_everything(page):
    page.tab.focus("#camera")
    page.tab.keyboard.press("Enter")
    assert page.tab.is_visible("#consent")
    page.tab.keyboard.press("Escape")
    assert not page.tab.is_visible("#consent")
    page.tab.keyboard.press("Enter")
    page.tab.keyboard.press("Enter")  # the first button of the dialog has the focus
    page.tab.wait_for_selector(".card", timeout=PATIENCE)
    page.tab.focus("#open")
    reached = []
    for _ in range(6):
        page.tab.keyboard.press("Tab")
        reached.append(page.tab.evaluate("document.activeElement.id"))
    assert reached == ["pause", "stop", "model", "crops", "snapshot", "csv"]


def test_what_has_a_purpose_has_a_name(page):
    """Every control has a name, every section a heading, and what changes is told politely."""
    nameless = page.tab.eval_on_selector_all(
        "button, select, input",
        "all => all.filter((n) => !(n.textContent.trim() || n.labels?.length ||"
        " n.getAttribute('aria-label'))).map((n) => n.id)",
    )
    assert nameless == []
    assert page.tab.get_attribute("#state", "role") == "status"
    assert page.tab.get_attribute("#spoken", "aria-live") == "polite"
    assert page.tab.locator("html[lang=en]").count() == 1
    assert page.tab.locator("main").count() == page.tab.locator("h1").count() == 1
    headless = page.tab.eval_on_selector_all(
        "section, dialog",
        "all => all.filter((n) => !document.getElementById(n.getAttribute('aria-labelledby')))",
    )
    assert headless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_read(browser, address, size, scheme):
    """No sideways scrolling; text at 4.5 to 1 or more (WCAG 2, AA); axe-core finds nothing."""
    page = Page(browser, address, size=size, scheme=scheme)
    page.start_camera()
    page.tab.check("#crops")
    page.tab.wait_for_selector(".crop img", timeout=PATIENCE)
    assert page.tab.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    low = page.tab.eval_on_selector_all(
        ".tools button:enabled",
        "all => all.map((n) => n.getBoundingClientRect().height).filter((h) => h > 0 && h < 38)",
    )
    assert low == []  # fingers are wide
    pairs = page.tab.evaluate(
        """() => {
            const of = (selector, name) =>
                getComputedStyle(document.querySelector(selector))[name];
            const body = of("body", "backgroundColor"), card = of(".card", "backgroundColor");
            return [
                [of("body", "color"), body], [of("#rate", "color"), body],
                [of("#affect", "color"), body],
                [of("a", "color"), of(".notice", "backgroundColor")],
                [of(".value", "color"), card], [of("figcaption", "color"), card],
                [of("#csv", "color"), of("#csv", "backgroundColor")],
                [of("#agree", "color"), of("#agree", "backgroundColor")],
                [of(".chip", "color"), of(".chip", "backgroundColor")],
            ];
        }"""
    )
    assert min(contrast(*pair) for pair in pairs) >= 4.5, pairs
    if shots := os.environ.get("MIEN_SHOTS"):
        page.tab.screenshot(path=f"{shots}/{size}-{scheme}.png", full_page=True)
    page.is_accessible()
    assert page.complaints == []
    page.context.close()


def test_nothing_moves_for_those_who_want_it_still(browser, address):
    context = browser.new_context(reduced_motion="reduce")
    tab = context.new_page()
    tab.goto(address)
    tab.click("#camera")
    tab.click("#agree")
    tab.wait_for_selector(".fill", timeout=PATIENCE)
    durations = tab.eval_on_selector_all(
        "*", "all => [...new Set(all.map((n) => getComputedStyle(n).transitionDuration))]"
    )
    assert durations == ["0s"]
    context.close()
