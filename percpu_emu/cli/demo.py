"""`percpu-emu demo`: serve the lessons and open them in a browser."""

from __future__ import annotations

import errno
import os
import webbrowser
from typing import Final

import typer

from percpu_emu.cli.errors import MissingExtra
from percpu_emu.cli.output import print_object
from percpu_emu.report.result import Report, reported
from percpu_emu.scenario.verdict import Check, verdict_of

_SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
_UNUSABLE: Final = (errno.EADDRINUSE, errno.EACCES)


def demonstrate(port: int, seed: int | None, *, open_browser: bool, as_json: bool) -> None:
    """Serve until Ctrl-C or SIGTERM, the orderly end. With `as_json` the object comes once the page can be opened."""
    try:
        from percpu_emu.web.server import serve
    except ModuleNotFoundError as error:
        install = "pip install 'percpu-emu[web]', or pip install '.[web]' in its folder"
        raise MissingExtra(f"demo needs the package {error.name}, which is not installed: {install}") from error

    def ready(address: str) -> None:
        if as_json:
            print_object(_report(address, seed))
        else:
            typer.echo(f"The lessons: {address}   Ctrl-C ends them.")
        if open_browser and any(os.environ.get(name) for name in _SCREENS):  # else it might be one for the terminal
            webbrowser.open(address)

    try:
        serve(port, seed, ready)
    except KeyboardInterrupt:
        typer.echo("percpu-emu: ended; every tab's processes are, too", err=True)
    except OSError as error:
        if error.errno not in _UNUSABLE:
            raise
        raise OSError(f"port {port} cannot be used ({error.strerror}): --port 0 takes one that is free") from error


def _report(address: str, seed: int | None) -> Report:
    check = Check("listening", True, "at an address of this machine only; what is run, the tabs say")
    return Report(
        command="demo",
        subject=address,
        verdict=verdict_of([check], None),
        scope={"engine": "none"},
        checks=reported([check]),
        figures={"address": address, "pid": os.getpid()},
        seed=seed,
    )
