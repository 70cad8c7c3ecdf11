"""Every process of a machine stops for a while, and goes on: nothing is concluded from that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from percpu_emu.bundled import bundled
from tests.web.serving import descendants

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)  # the first run compiles its programs


def test_a_machine_that_is_stopped_as_a_whole_has_not_stalled(tmp_path: Path) -> None:
    """As by a suspended computer: every process stops, for longer than a grace period may take, and goes on."""
    own = tmp_path / "stopped.toml"
    text = (bundled("scenarios") / "release-storm.toml").read_text()
    own.write_text(text.replace("[machine]\n", "[machine]\nstall_seconds = 1.0\n"))
    command = [sys.executable, "-m", "percpu_emu", "run", str(own), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while len(everyone := [process.pid, *descendants(process.pid)]) < 9:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)
        for number, seconds in ((signal.SIGSTOP, 2.0), (signal.SIGCONT, 0.3)) * 2:
            for pid in everyone:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(seconds)
        out, _ = process.communicate(timeout=100)
    report = json.loads(out)
    assert [check for check in report["checks"] if not check["ok"]] == []
    assert (report["verdict"], report["figures"]["patched"].get("stalls")) == ("pass", None)
