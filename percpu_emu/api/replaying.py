"""`percpu_emu.replay`: one schedule, step by step, on real processes."""

from __future__ import annotations

import time

from percpu_emu.api.calls import call
from percpu_emu.api.result import Result, result_of
from percpu_emu.api.scenarios import Scenario, name_of
from percpu_emu.report.replay_report import report_of
from percpu_emu.scenario.replaying import replay_token


def replay(token: str, scenario: Scenario | None = None) -> Result:
    """Replay a token as `percpu-emu replay` does; print nothing and leave no process behind.

    A pass says that real processes did what the virtual engine does. The schedule, and the check that it breaks, are
    the result's counterexample; None where it breaks none.

    Args:
        token: A schedule, as `explore` gives it: `result.counterexample.token`.
        scenario: The scenario that the token is about, if it does not ship.

    Raises:
        WrongInput: The token or the scenario is wrong, or they do not belong together.
        WrongEnvironment: The operating system refuses what is needed.
        RunFailed: The replay could not be carried out.
    """
    with call():
        start = time.monotonic()
        done = replay_token(token, None if scenario is None else name_of(scenario))
        report = report_of(done, time.monotonic() - start)
        return result_of(report, done.expected if done.expected.check else None)
