"""Kernel profiles: what one memory cgroup of a certain kernel allocates, structure by structure, as TOML files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from percpu_emu.percpu import AreaLayout
from percpu_emu.percpu.layout import ATOM_SIZE
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

PROFILES: Final = Path(__file__).parent / "profiles"

Stage = Literal["mkdir", "charge"]
_FROM_ARRAY: Final = Field(strict=False)  # a TOML array comes as a list


class ProfileError(ValueError):
    """A kernel profile that cannot be used: file, key path, what was found there and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Line(_Section):
    """Something that every cgroup allocates: `count` of `size` bytes, for the cgroup or for each of its NUMA nodes.

    `stage` is when: at `mkdir`, or at the first `charge` by a task in it. `source` names the kernel function.
    """

    name: str
    size: PositiveInt
    per: Literal["cgroup", "node"] = "cgroup"
    count: PositiveInt = 1
    stage: Stage
    source: str

    def times(self, nr_nodes: int) -> int:
        """How many of them a cgroup has on a machine of `nr_nodes` NUMA nodes."""
        return self.count * nr_nodes if self.per == "node" else self.count


class PercpuArea(Line):
    """A line of per-CPU memory: bytes per CPU.

    `until` tells when it goes: with the last reference to the cgroup (`free`), or already a grace period after the
    cgroup went offline, if the kernel is patched so (`release-percpu`). `calibrated` marks a size that is not traced
    to a structure.
    """

    size: Annotated[int, Field(gt=0, le=32768)]  # PCPU_MIN_UNIT_SIZE
    align: Literal[4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    until: Literal["release-percpu", "free"]
    calibrated: bool = False
    accounted: bool = False
    """Whether the area is charged to the parent cgroup (GFP_KERNEL_ACCOUNT); see `PercpuSizes.accounted_apart`."""


class SlabObject(Line):
    """A line of slab memory, kept until the last reference goes; from kmalloc unless it has a `cache` of its own."""

    align: Literal[8, 16, 32, 64] = 8
    cache: str | None = None


class PercpuSizes(_Section):
    """The first chunk: `boot_pages` of each unit hold the static, the `reserved` and the `dynamic` area (bytes).

    `early` bytes of the dynamic area are in use by the kernel itself before the first cgroup is made. `depopulates`:
    the kernel gives empty pages of chunks in use back (since 5.14). `accounted_apart`: it keeps accounted areas in
    chunks of their own (5.9 to 5.13).
    """

    boot_pages: PositiveInt
    reserved: NonNegativeInt
    dynamic: PositiveInt
    early: NonNegativeInt
    depopulates: bool = False
    accounted_apart: bool = False

    @property
    def static(self) -> int:
        """Bytes of static per-CPU variables: what the other two areas leave of the boot pages."""
        return self.boot_pages * PAGE_SIZE - self.reserved - self.dynamic

    @model_validator(mode="after")
    def _fits(self) -> PercpuSizes:
        if self.static <= 0:
            raise ValueError("boot_pages must hold more than the reserved and the dynamic area")
        if self.early > self.dynamic:
            raise ValueError("early must not be more than dynamic")
        return self


class Counters(_Section):
    """The numbers of counters, and the batch up to which a CPU keeps changes to itself, under the kernel's names."""

    MEMCG_CHARGE_BATCH: PositiveInt
    MEMCG_NR_STAT: PositiveInt
    NR_VM_EVENT_ITEMS: PositiveInt
    NR_VM_NODE_STAT_ITEMS: PositiveInt


class KernelProfile(_Section):
    """One kernel. The lines stand in the order in which the kernel allocates.

    `verified`: every size was read out of a compiled kernel of that version. `basis` says what the sizes come from, and
    `assumed` lists what that did not hold. `release_posted` names the patch for this very kernel that releases the
    `release-percpu` areas at offline; where it is empty, there is none: a release is what such a patch would do.
    """

    name: str
    title: str
    verified: bool
    basis: str
    release_posted: str = ""
    assumed: Annotated[tuple[str, ...], _FROM_ARRAY] = ()
    percpu: PercpuSizes
    counters: Counters
    percpu_area: Annotated[tuple[PercpuArea, ...], _FROM_ARRAY]
    slab_object: Annotated[tuple[SlabObject, ...], _FROM_ARRAY]

    @property
    def trust(self) -> str:
        """In a few words, how far its sizes can be trusted."""
        return "sizes verified" if self.verified else "sizes NOT verified"

    def layout(self, cpus_per_node: Sequence[int], atom_size: int = ATOM_SIZE) -> AreaLayout:
        """The per-CPU layout of a machine with these possible CPUs that runs this kernel."""
        sizes = self.percpu
        return AreaLayout(cpus_per_node, sizes.static, sizes.reserved, sizes.dynamic, atom_size)


def profile_names() -> list[str]:
    """The kernels that come with the package."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load_profile(name_or_path: str | Path) -> KernelProfile:
    """The profile of that name, or of that TOML file. Raises ProfileError."""
    path = Path(name_or_path)
    if name_or_path in profile_names():
        path = PROFILES / f"{name_or_path}.toml"
    elif path.suffix != ".toml":
        known = ", ".join(profile_names())
        raise ProfileError(f"no kernel profile {str(name_or_path)!r}: known are {known}, or a path to a .toml file")
    return profile_of(_read(path), str(path))


def profile_of(data: dict[str, Any], where: str) -> KernelProfile:
    """The profile that a table says. Raises ProfileError, whose lines begin with `where` the table stands."""
    try:
        return KernelProfile.model_validate(data)
    except ValidationError as error:
        raise ProfileError("\n".join(f"{where}: {_explain(detail)}" for detail in error.errors())) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a NUL in the path, too deep
        raise ProfileError(f"{path}: not TOML: {error}") from error


_MODELS: Final[dict[str, type[_Section]]] = {
    "percpu": PercpuSizes,
    "counters": Counters,
    "percpu_area": PercpuArea,
    "slab_object": SlabObject,
}


def _explain(error: ErrorDetails) -> str:
    """Key path, what was found there and what is allowed."""
    *parents, last = error["loc"] or ("",)
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).removeprefix(".")
    if error["type"] == "extra_forbidden":
        model = _MODELS[str(parents[0])] if parents else KernelProfile
        return f"{key}: unknown key {last!r}; allowed are {', '.join(model.model_fields)}"
    if error["type"] == "missing":
        return f"{key}: missing"
    return f"{key}: found {error['input']!r}; {error['msg']}"
