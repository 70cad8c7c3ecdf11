"""The pages as a learner uses them, in a real browser."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from percpu_emu.web.lessons import lessons
from percpu_emu.web.levels import levels
from tests.report.browser import chromium

from .serving import Server, left_of, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

pytestmark = pytest.mark.timeout(240)  # the first run compiles programs
PATIENCE = 120.0
MOVERS = "#movers[aria-busy=false] button"
"""Those of the state that is shown: a key that is pressed before they are there does nothing."""
SIZES = [(1280, 720), (768, 1024), (390, 800)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[Chrome]:  # noqa: ARG001 - ends last
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


class Page:
    """A tab of the browser."""

    def __init__(self, browser: Chrome, server: Server) -> None:
        self.browser = browser
        self.server = server
        browser.get(server.opening)

    def open(self, path: str) -> None:
        self.browser.get("about:blank")
        self.browser.get(f"{self.server.address}{path}")
        self.wait(lambda: self.texts("#view h1"))

    def texts(self, selector: str) -> list[str]:
        found = self.browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility())"
            ".map((e) => e.textContent.trim())",
            selector,
        )
        return [str(text) for text in found]

    def text(self, selector: str) -> str:
        return " ".join(self.texts(selector))

    def click(self, selector: str, number: int = 0) -> None:
        self.browser.execute_script("document.querySelectorAll(arguments[0])[arguments[1]].click()", selector, number)

    def press(self, key: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains  # noqa: PLC0415

        ActionChains(self.browser).send_keys(key).perform()

    def address(self) -> str:
        return str(self.browser.execute_script("return location.href"))

    def wait(self, so: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := so()):
            assert time.monotonic() < deadline, f"it never came; the page says: {self.text('#view')[:2000]}"
            time.sleep(0.03)
        return found

    def console(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def fits(self) -> bool:
        return bool(self.browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"))


@pytest.fixture
def page(browser: Chrome, server: Server) -> Iterator[Page]:
    page = Page(browser, server)
    page.console()
    yield page
    said = page.console()
    browser.get("about:blank")
    assert [message for message in said if f"{server.address}/x - Failed to load resource" not in message] == []


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: str(lesson.name))
def test_a_lesson_is_read_predicted_revealed_and_stepped_through(page: Page, lesson: Any) -> None:
    page.open(f"/lesson/{lesson.name}")
    assert page.text("#view > h1") == lesson.title
    assert page.texts(".stepper") == [], "nothing is shown before the prediction"
    page.click(".option input", lesson.prediction.right)
    page.click(".reveal")
    assert page.texts(".prediction .said") == ["You were right."]
    assert lesson.prediction.options[lesson.prediction.right].because in page.text(".option.right")
    page.wait(lambda: page.texts("#count"))
    total = int(page.text("#count").split()[-1])
    page.click("#next")
    assert page.text("#count") == f"1 of {total}"
    page.click("#guilty")
    page.wait(lambda: page.text("#step").startswith("!!"))
    page.wait(lambda: page.texts(".verdict-line strong.bad"))
    page.click(".tabs button", 1)
    page.wait(lambda: "no violation in this run" in page.text("#verdict"))
    page.wait(lambda: "proved" in page.text(".broad .verdict-line"))
    assert page.texts("dfn"), "words that the glossary has"


def test_a_wrong_prediction_is_told_what_is_wrong_with_it(page: Page) -> None:
    page.open("/lesson/release")
    page.click(".option input", 0)
    page.click(".reveal")
    assert "an update that comes after the flush" in page.text(".option.wrong")
    page.wait(lambda: len(page.texts(".orders strong.bad")) == 5)
    assert len(page.texts(".orders strong.fine")) == 1


def test_the_first_lesson_measures_here_and_now(page: Page) -> None:
    page.open("/lesson/why-per-cpu")
    page.click(".reveal")
    page.wait(lambda: page.texts(".chart .value"))
    page.browser.execute_script(
        "[...document.querySelectorAll('button')].find((b) => b.textContent.includes('Measure')).click()"
    )
    page.wait(lambda: all("million/s" in text for text in page.texts(".chart .value")))


def test_the_learner_chooses_who_moves_and_a_blocked_one_says_why(page: Page) -> None:
    page.open("/explore/release-in-order")
    page.wait(lambda: page.texts(MOVERS))
    page.click("#to-start")
    for who in ("CPU 0", "CPU 0", "CPU 0", *["The coordinator"] * 3):
        before = page.text("#count")
        page.wait(lambda: page.texts(MOVERS))
        buttons = page.texts(MOVERS)
        page.press(str(1 + next(i for i, text in enumerate(buttons) if who in text)))
        page.wait(lambda before=before: page.text("#count") != before)
    page.wait(lambda: page.texts("#movers button[aria-disabled]"))
    assert "waits for a grace period: CPU 0 is in a read-side section" in page.text("#movers button[aria-disabled]")
    assert "These are your own steps." in page.text("#departed")
    page.click("#recorded")
    page.wait(lambda: not page.text("#departed"))


def test_a_link_opens_the_state_that_it_was_taken_from(page: Page) -> None:
    page.open("/explore/flush-then-swap")
    page.wait(lambda: page.texts("#count"))
    for _ in range(5):
        page.click("#next")
    page.wait(lambda: page.address().endswith("/5"))
    link, step = page.address(), page.text("#step")
    page.open(link.removeprefix(page.server.address))
    page.wait(lambda: page.text("#count").startswith("5 of"))
    assert page.text("#step") == step
    page.open("/explore/flush-then-swap#nonsense/3")
    page.wait(lambda: "is not a token" in page.text(".said"))
    page.click(".said button")
    page.wait(lambda: page.texts("#count"))


def test_a_level_is_won_with_the_smallest_number_and_one_cannot_be_won(page: Page) -> None:
    page.open("/game")
    assert len(page.texts(".levels li")) == len(levels())
    page.click(".levels a", [level.scenario for level in levels()].index("one-word"))
    page.wait(lambda: page.texts(MOVERS))
    for number, key in enumerate("11222211", start=1):
        page.wait(lambda number=number: page.text("#count").startswith(f"{number - 1} of") and page.texts(MOVERS))
        page.press(key)
        page.wait(lambda number=number: page.text("#count").startswith(f"{number} of"))
    assert "fewer do not suffice" in page.wait(lambda: page.text(".won"))
    assert page.text(".score") == "8 steps, 1 preemption"
    page.open("/game/per-cpu-slots")
    page.wait(lambda: page.texts(MOVERS))
    page.click(".claim")
    assert "You are right. ✓ proved" in page.wait(lambda: page.text(".won"))
    page.open("/game/flush-then-swap")
    page.click(".claim")
    assert "It can. There is a way with 1 preemption." in page.wait(
        lambda: "way" in page.text(".outcome") and page.text(".outcome")
    )
    page.open("/game")
    assert page.texts(".levels .fine") == ["✓ 1", "✓ 0"]


def test_the_machine_is_drawn_held_and_let_go(page: Page) -> None:
    page.open("/machine/playground")
    page.wait(lambda: len(page.texts(".cpu")) == 4 and page.texts(".counters tbody tr"))
    page.wait(lambda: "in a section" in page.text(".cpu .state"))
    page.click(".cpu .hold", 1)
    page.wait(lambda: "held in a section" in page.texts(".cpu .state")[1])
    page.click(".rmdir")
    page.wait(lambda: "waits for CPU 1" in page.text(".grace"))
    page.wait(lambda: "STALL: the grace period has waited" in page.text(".log .loud"))
    page.click(".cpu .hold", 1)
    page.wait(lambda: "a (released)" in page.text(".counters"))
    assert "NULL → twin" in page.text(".counters")
    before = page.browser.execute_script("return document.querySelectorAll('*').length")
    time.sleep(1.0)
    after = page.browser.execute_script("return document.querySelectorAll('*').length")
    assert after < before + 30, "a page that is drawn anew all the time does not grow"
    page.click(".end")
    page.wait(lambda: page.text(".status") == "Ended.")
    page.click(".again")
    page.wait(lambda: "a (online)" in page.text(".counters"))


def test_what_is_lost_is_said_with_a_sign_and_a_word(page: Page) -> None:
    page.open("/lesson/interrupts")
    page.click(".reveal")
    page.wait(lambda: page.texts(".rest .tabs button"))
    page.browser.execute_script(
        "[...document.querySelectorAll('button')].find((b) => b.textContent.includes('interrupts on')).click()"
    )
    assert page.wait(lambda: page.texts(".counters td.bad"))[0].startswith("✕ ")
    assert "lost" in page.text(".counters td.bad")


@pytest.mark.parametrize(
    "path", ["/", "/game", "/glossary", "/lesson/release", "/game/one-word", "/machine/playground", "/x"]
)
def test_every_page_fits_every_screen(page: Page, path: str) -> None:
    page.open(path)
    page.wait(lambda: page.texts(WHEN_READY.get(path, "#view h1")))
    try:
        for width, height in SIZES:
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            assert page.fits(), width
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


WHEN_READY = {"/game/one-word": "#movers button", "/machine/playground": ".counters tbody tr"}


def test_a_tab_that_is_closed_ends_its_machine(page: Page) -> None:
    before = set(page.server.workers())
    page.open("/machine/playground")
    page.wait(lambda: page.texts(".counters tbody tr"))
    found = set(page.server.workers()) - before
    assert len(found) >= 5
    page.browser.get("about:blank")
    assert left_of(sorted(found)) == []
