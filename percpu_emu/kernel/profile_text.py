"""A kernel profile as the TOML that `kernel.profile` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import tomli_w

if TYPE_CHECKING:
    from percpu_emu.kernel.profile import KernelProfile

_FIRST: Final = "# Sizes in bytes; allocations in the order in which the kernel makes them.\n"


def profile_text(profile: KernelProfile) -> str:
    """The file's text; keys that have their default value are left out."""
    return _FIRST + tomli_w.dumps(profile.model_dump(mode="json", exclude_defaults=True))
