"""The keys of kernel profiles, from the models in `kernel.profile`."""

from __future__ import annotations

from typing import Final

from percpu_emu.kernel.profile import KernelProfile
from percpu_emu.report.manual.markdown import page
from percpu_emu.report.manual.models import places
from percpu_emu.report.manual.scenario import section

_ABOUT: Final = (
    "A kernel profile is TOML, and `--kernel PATH.toml` takes one. `percpu-emu profile` writes one from a kernel's own "
    "types. An unknown key, a value of another type and a value that is not allowed are refused with exit code 2."
)


def kernel_profile_page() -> str:
    """Every table of a kernel profile."""
    return page("Kernel profiles", _ABOUT, *(section(place) for place in places(KernelProfile)))
