"""Searching with as much room as it takes: a search that runs out of some begins anew with more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from percpu_emu.explore.model import GROWS, Checks, Limits, Model, OutOfRoom
from percpu_emu.lang.setting import MAX_NUMBERS, Setting
from percpu_emu.lang.virtual import outcomes


def with_room(setting: Setting, checks: Checks, search: Callable[[Model], Any], limits: Limits | None = None) -> Any:
    """Make a model and search it, again with more room for as long as it runs out of some."""
    limits = limits or Limits()
    while True:
        try:
            return search(Model(setting, checks, limits))
        except OutOfRoom as error:
            room = MAX_NUMBERS - len(setting.contexts)
            if error.reason not in GROWS or (error.reason == outcomes.NO_CALLBACK and limits.callbacks >= room):
                raise
            limits = limits.grown(error.reason)
            limits = replace(limits, callbacks=min(limits.callbacks, room))
