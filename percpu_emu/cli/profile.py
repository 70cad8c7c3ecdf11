"""`percpu-emu profile`: the sizes of a kernel as a profile, and what its file did not tell."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

import typer

from percpu_emu.cli.files import refuse_unwritable
from percpu_emu.cli.reading import print_json
from percpu_emu.kernel.btf import read_image
from percpu_emu.kernel.derive import Derived, derive
from percpu_emu.kernel.profile_text import profile_text
from percpu_emu.scenario.here import BTF

RUNNING: Final = Path("/") / BTF


def write_profile(btf: Path, boot_pages: int | None, output: Path | None, seed: int | None, *, as_json: bool) -> None:
    """Print or write the profile, and say what was not found and what is assumed. Raises BtfError, WrongArgument."""
    refuse_unwritable({"-o": output})
    what = f"Linux {platform.release()}, as it runs" if btf == RUNNING else str(btf)
    name = output.stem if output else "mine"
    derived = derive(read_image(btf), name, f"The kernel of {what}", f"BTF of {what}", boot_pages)
    text = profile_text(derived.profile)
    if output:
        output.write_text(text, encoding="utf-8")
    if as_json:
        profile = derived.profile.model_dump(mode="json")
        figures = {"profile": profile, "not_found": list(derived.not_found), "written": str(output) if output else None}
        print_json("profile", str(btf), figures, found=True, seed=seed)
        return
    if output is None:
        typer.echo(text, nl=False)
    for line in _told(derived, output):
        typer.echo(line, err=output is None)


def _told(derived: Derived, output: Path | None) -> list[str]:
    profile = derived.profile
    lines = [f"{output}: {profile.title}; `percpu-emu run dying-cgroups --kernel {output}` uses it."] if output else []
    size = sum(area.size * area.count for area in profile.percpu_area)
    lines.append(f"A memory cgroup takes {size} bytes on each CPU, on a machine of one node.")
    lines += ["Not found, so this kernel or its configuration has none:", *(f"  {one}" for one in derived.not_found)]
    return [*lines, "Assumed, since types do not tell it:", *(f"  {one}" for one in profile.assumed)]
