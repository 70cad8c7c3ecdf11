"""The stepper as a person uses it, in a real browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from percpu_emu.report.glossary import meanings
from percpu_emu.report.stepper import html, script_safe
from percpu_emu.report.trace_json import trace_dict

from . import traces
from .browser import chromium
from .traces import COUNTER, TRACES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


class Page:
    """The stepper of one trace, open in the browser."""

    def __init__(self, browser: Chrome, path: Path) -> None:
        self.browser = browser
        self.path = path
        self.open()

    def open(self, fragment: str = "") -> None:
        self.browser.get("about:blank")
        self.browser.get(self.path.as_uri() + fragment)

    def text(self, selector: str) -> str:
        return str(self.browser.find_element("css selector", selector).text)

    def texts(self, selector: str) -> list[str]:
        return [" ".join(found.text.split()) for found in self.browser.find_elements("css selector", selector)]

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains  # noqa: PLC0415

        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def click(self, selector: str) -> None:
        self.browser.find_element("css selector", selector).click()

    @property
    def at(self) -> int:
        return int(self.text("#count").split()[0])


@pytest.fixture
def page(browser: Chrome, tmp_path: Path) -> Page:
    return _page(browser, tmp_path, "lost_count")


def _page(browser: Chrome, folder: Path, name: str) -> Page:
    path = folder / f"{name}.html"
    path.write_text(html(TRACES[name]()), encoding="utf-8")
    return Page(browser, path)


LEFT, RIGHT, HOME, END = "\ue012", "\ue014", "\ue011", "\ue010"


def test_keys_step_forwards_and_backwards(page: Page) -> None:
    assert page.at == 0
    page.press(RIGHT, RIGHT, RIGHT)
    assert page.at == 3
    assert page.text("#step").startswith("Step 3. CPU 1: rcu_dereference(STATS)")
    page.press(LEFT)
    assert page.at == 2
    page.press(END)
    assert page.at == 21
    page.press(RIGHT)
    assert page.at == 21
    page.press(HOME, LEFT)
    assert page.at == 0


def test_g_goes_to_the_steps_to_blame_one_after_the_other(page: Page) -> None:
    found = []
    for _ in range(3):
        page.press("g")
        found.append(page.at)
    assert found == [11, 13, 11]
    assert page.text("#step").startswith("!! Step 11.")


def test_a_word_that_a_step_writes_is_marked_with_its_old_and_new_value(page: Page) -> None:
    page.open("#12")
    assert page.texts("#words tr.new") == ["counter ● written 0 → 7 7"]
    page.press(RIGHT)
    assert page.texts("#words tr.new") == []
    assert page.texts("#memory .cell.new") == ["CPU 1 ● 7 → 8"]
    page.press(LEFT, LEFT, LEFT)
    assert page.texts("#words tr.new, #memory .new") == []
    assert page.text(f"#words tr[data-address='{COUNTER}'] .value") == "0"


def test_a_link_to_a_step_opens_it_and_follows_the_steps(page: Page) -> None:
    page.open("#12")
    assert page.at == 12
    page.press(RIGHT)
    assert page.browser.current_url.endswith("#13")
    page.browser.execute_script("location.hash = '#4'")
    assert page.at == 4
    for wrong in ("#none", "#-3"):
        page.open(wrong)
        assert page.at == 0
    page.open("#4000")
    assert page.at == 21


def test_the_line_of_the_step_is_marked_and_where_the_others_stand(page: Page) -> None:
    page.open("#13")
    assert "yield __this_cpu_write(slots, x + delta)" in page.text(".code .now")
    assert page.text(".code .now .chip") == "!! CPU 1"
    standing = dict(zip(page.texts(".code .stands .chip"), page.texts(".code .stands .text"), strict=True))
    assert standing["CPU 1"].strip() == "yield rcu_read_unlock()"
    assert standing["coord."].strip() == "cpu = yield cpumask_next(cpu, ONLINE)"


def test_whom_a_grace_period_waits_for_is_shown_until_it_is_over(page: Page) -> None:
    page.open("#17")
    assert page.texts("#waits li") == ["synchronize_rcu (step 17) waits for CPU 1: inside"]
    assert "waits for CPU 1" in page.text("#contexts li:nth-child(3)")
    page.press(RIGHT)
    assert page.texts("#waits li") == ["synchronize_rcu (step 17) is over CPU 1 ✓"]


def test_freed_memory_is_drawn_as_freed(page: Page) -> None:
    page.open("#20")
    assert page.texts("#memory .cell") == ["CPU 0 0", "CPU 1 8"]
    page.press(RIGHT)
    assert page.texts("#memory .cell.freed") == ["CPU 0 ✕", "CPU 1 ✕"]
    assert page.text("#closing").startswith("1 is lost")


def test_buttons_and_the_list_of_steps_do_what_the_keys_do(page: Page) -> None:
    page.click("#next")
    page.click("#guilty")
    assert page.at == 11
    page.click("#steps li:nth-child(8) a")
    assert page.at == 8
    page.click("#to-end")
    assert page.at == 21
    assert page.texts("#steps [aria-current]")[0].startswith("21 ")


def test_known_words_say_what_they_mean_where_the_pointer_rests(page: Page) -> None:
    page.press(END)
    known = page.browser.find_elements("css selector", "#told dfn")
    assert known
    for found in known:
        spelling = next(spelling for spelling in meanings() if spelling.lower() == found.text.lower())
        assert found.get_attribute("data-meaning") == meanings()[spelling]


def test_space_plays_and_stops(page: Page) -> None:
    page.press(" ")
    assert page.text("#play") == "Pause"
    page.press(" ")
    assert page.text("#play") == "Play"


@pytest.mark.parametrize("name", TRACES)
def test_the_words_shown_are_those_of_the_trace_at_every_step(browser: Chrome, tmp_path: Path, name: str) -> None:
    page = _page(browser, tmp_path, name)
    found = trace_dict(TRACES[name]())
    words = {str(word["address"]): word["text"] for word in found["words"]}
    for step in found["steps"]:
        words.update({str(access["address"]): access["new_text"] for access in step["accesses"]})
        page.press(RIGHT)
        found_words = page.browser.find_elements("css selector", "#state [data-address]")
        addresses = [word.get_attribute("data-address") for word in found_words]
        values = [value.split(" → ")[-1] for value in page.texts("#state [data-address] .value")]
        assert sorted(addresses) == sorted(words)
        assert {a: v for a, v in zip(addresses, values, strict=True) if v != "✕"}.items() <= words.items()


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_without_a_message_in_the_console_or_a_request_to_the_network(
    browser: Chrome, tmp_path: Path, name: str, width: int
) -> None:
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    size = {"width": width, "height": 720, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page = _page(browser, tmp_path, name)
    page.press(END, "g")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith(("file:", "about:", "data:"))} == set()
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_what_an_author_writes_is_text_and_nothing_else(browser: Chrome, tmp_path: Path) -> None:
    nasty = "</script><script>document.title='taken'</script><!--<b>"
    trace = replace(traces.lost_count(), scenario=nasty, summary=nasty, missing=nasty)
    path = tmp_path / "nasty.html"
    path.write_text(html(trace), encoding="utf-8")
    page = Page(browser, path)
    assert page.text("#scenario") == nasty
    assert page.text("#summary") == nasty
    assert browser.title.startswith("</script>")


def test_json_in_a_script_stays_json() -> None:
    data = json.dumps({"a": "</script><!--\u2028"})
    assert "<" not in script_safe(data)
    assert json.loads(script_safe(data)) == json.loads(data)


@pytest.mark.parametrize("name", TRACES)
def test_the_file_names_nothing_outside_itself(name: str) -> None:
    text = html(TRACES[name]())
    assert not re.search(r"https?://|src=|@import|url\(", text)
