"""The lessons' server against its limits: first paint, a step, and memory while a machine is watched.

python benchmarks/demo.py [--minutes 60] [--json]

First paint is a browser's (chromium and chromium-driver); where there is none it is left out, and said so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

LIMITS = {"first paint, s": 1.0, "a step, ms": 50.0, "memory at the end / after a minute": 1.05}
STEPS = 200
WARM = 60.0


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Its address and process."""
    command = [sys.executable, "-m", "percpu_emu", "demo", "--port", "0", "--no-open", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["figures"]["address"].rstrip("/"), process.pid
    finally:
        process.terminate()
        process.wait()


def tab(address: str) -> ClientConnection:
    """As a page of the server opens it."""
    return connect(f"{address.replace('http', 'ws')}/tab", origin=address, max_size=None)  # type: ignore[arg-type]


def step_ms(address: str) -> float:
    """From a choice to its answer, the median of steps at random places of release-3x3."""
    times = []
    with tab(address) as socket:

        def play(choices: list[int]) -> dict[str, Any]:
            socket.send(json.dumps({"to": "explorer", "ask": "play", "scenario": "release-3x3", "choices": choices}))
            said: dict[str, Any] = json.loads(socket.recv())["says"]
            return said

        choices: list[int] = []
        play(choices)
        for number in range(STEPS):
            start = time.perf_counter()
            found = play(choices)
            times.append((time.perf_counter() - start) * 1000)
            able = [option["choice"] for option in found["next"] if not option["why_not"]]
            choices = [*choices, able[number % len(able)]] if able else []
    return statistics.median(times)


def first_paint(address: str) -> float | None:
    """Seconds, the median of five visits; None without a browser."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        return None
    from selenium import webdriver  # noqa: PLC0415 - only where there is a browser

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    with tempfile.TemporaryDirectory() as folder:
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
        try:
            return statistics.median(_paint(browser, address) for _ in range(5))
        finally:
            browser.quit()


def _paint(browser: Any, address: str) -> float:
    browser.get("about:blank")
    browser.get(address)
    script = "return performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)[0]"
    while (found := browser.execute_script(script)) is None:
        time.sleep(0.01)
    return float(found) / 1000


def growth(address: str, pid: int, minutes: float) -> tuple[float, float]:
    """Megabytes of the server and all its processes after a minute of watching, and at the end."""
    with tab(address) as socket:
        socket.send(
            json.dumps({"to": "machine", "do": "start", "scenario": "release-storm", "overrides": {"seconds": 3600}})
        )
        start, early = time.monotonic(), 0.0
        while time.monotonic() < start + WARM + minutes * 60:
            socket.recv()
            if not early and time.monotonic() > start + WARM:
                early = megabytes(pid)
        return early, megabytes(pid)


def megabytes(pid: int) -> float:
    """What a process and its descendants hold for themselves, and share with nobody."""
    status = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own / 1024 + sum(map(megabytes, map(int, children)))


def main() -> int:
    """Measure, print, and say by the exit code whether every limit was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long the memory is watched, after the first")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with server() as (address, pid):
        paint, step = first_paint(address), step_ms(address)
        early, late = growth(address, pid, options.minutes)
    found = {"first paint, s": paint, "a step, ms": step, "memory at the end / after a minute": late / early}
    if options.json:
        print(json.dumps({**found, "limits": LIMITS, "minutes": options.minutes, "megabytes": [early, late]}))
    else:
        for name, value in found.items():
            print(f"{name:36} {'no browser' if value is None else f'{value:10.2f}'}  (limit {LIMITS[name]:g})")
        print(f"memory: {early:.0f} MB after a minute, {late:.0f} MB {options.minutes:g} minutes later")
    return 0 if all(value is None or value <= LIMITS[name] for name, value in found.items()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
