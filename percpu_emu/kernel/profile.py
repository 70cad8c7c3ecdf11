"""Kernel profiles: what one memory cgroup of a certain kernel allocates, structure by structure, as TOML files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from percpu_emu.bundled import bundled_kernels
from percpu_emu.percpu import AreaLayout
from percpu_emu.percpu.layout import ATOM_SIZE
from percpu_emu.shm import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

PROFILES: Final = Path(__file__).parent / "profiles"

Stage = Literal["mkdir", "charge"]


class ProfileError(ValueError):
    """A kernel profile that cannot be used: file, key path, what was found there and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Line(_Section):
    """Something that every cgroup allocates, for itself or for each of its NUMA nodes."""

    name: str = Field(description="the structure, or the member that points to it")
    size: PositiveInt
    per: Literal["cgroup", "node"] = Field(default="cgroup", description="what each of them is allocated for")
    count: int = Field(default=1, gt=0, le=1000, description="how many are allocated at a time")
    of_cgroup: int = Field(
        default=0, ge=0, le=1000, description="how many of these a cgroup has without the memory controller, too"
    )
    stage: Stage = Field(description="when: as the cgroup is made, or at the first charge by a task in it")
    source: str = Field(description="the kernel function that allocates it")

    @model_validator(mode="after")
    def _of_cgroup_are_some_of_all(self) -> Self:
        if self.of_cgroup > self.count:
            raise ValueError("of_cgroup must not be more than count")
        return self

    def times(self, nr_nodes: int) -> int:
        """How many of them a cgroup has on a machine of `nr_nodes` NUMA nodes."""
        return self.count * nr_nodes if self.per == "node" else self.count


class PercpuArea(Line):
    """A line of per-CPU memory."""

    size: int = Field(gt=0, le=32768, description="bytes on each possible CPU, up to PCPU_MIN_UNIT_SIZE")
    align: Literal[4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096] = Field(description="alignment in bytes")
    until: Literal["release-percpu", "free"] = Field(
        description="when it goes: with the last reference to the cgroup (`free`), or a grace period after the cgroup "
        "went offline already, where the kernel is patched so"
    )
    calibrated: bool = Field(default=False, description="whether the size is not traced to a structure")
    accounted: bool = Field(
        default=False, description="whether the area is charged to the parent cgroup (GFP_KERNEL_ACCOUNT)"
    )


class SlabObject(Line):
    """A line of slab memory, kept until the last reference goes."""

    size: int = Field(gt=0, le=8192, description="bytes, up to KMALLOC_MAX_CACHE_SIZE")
    align: Literal[8, 16, 32, 64] = Field(default=8, description="alignment in bytes, in a cache of its own")
    cache: str | None = Field(default=None, description="its own cache; from kmalloc where there is none")


class PercpuSizes(_Section):
    """The first chunk, and how the allocator keeps chunks."""

    boot_pages: PositiveInt = Field(
        description="pages of each unit that hold the static, the reserved and the dynamic area"
    )
    reserved: NonNegativeInt = Field(description="bytes of the reserved area: PERCPU_MODULE_RESERVE")
    dynamic: PositiveInt = Field(description="bytes of the dynamic area: PERCPU_DYNAMIC_RESERVE")
    early: NonNegativeInt = Field(
        description="bytes of the dynamic area that the kernel itself uses before the first cgroup is made"
    )
    depopulates: bool = Field(
        default=False, description="whether empty pages of chunks in use are given back (since 5.14)"
    )
    accounted_apart: bool = Field(
        default=False, description="whether accounted areas lie in chunks of their own (5.9 to 5.13)"
    )

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
    """Numbers under the kernel's names; of counters those that a cgroup keeps, which newer kernels choose."""

    MEMCG_CHARGE_BATCH: PositiveInt = Field(description="up to which a CPU keeps changes to itself")
    MEMCG_NR_STAT: PositiveInt = Field(description="counters of a cgroup")
    NR_VM_EVENT_ITEMS: PositiveInt = Field(description="events of a cgroup")
    NR_VM_NODE_STAT_ITEMS: PositiveInt = Field(description="counters of a node of a cgroup")


class KernelProfile(_Section):
    """One kernel. The lines stand in the order in which the kernel allocates."""

    name: str = Field(description="the name of the file without its ending")
    title: str = Field(description="which kernel, in a line")
    verified: bool = Field(
        description="whether every size was read out of a kernel that was built to run, or the figures of a booted one "
        "come out"
    )
    basis: str = Field(description="what the sizes come from")
    release_posted: str = Field(
        default="",
        description="the patch for this very kernel that releases the `release-percpu` areas at offline; where it is "
        "empty, a release is what such a patch would do",
    )
    # a TOML array comes as a list, which is no tuple in strict mode
    assumed: tuple[str, ...] = Field(default=(), strict=False, description="what the basis did not hold")
    percpu: PercpuSizes = Field(description="the first chunk")
    counters: Counters = Field(description="numbers of counters")
    percpu_area: tuple[PercpuArea, ...] = Field(strict=False, description="per-CPU areas of a cgroup")
    slab_object: tuple[SlabObject, ...] = Field(strict=False, description="slab objects of a cgroup")

    @property
    def trust(self) -> str:
        """In a few words, how far its sizes can be trusted."""
        return "sizes verified" if self.verified else "sizes NOT verified"

    def layout(self, cpus_per_node: Sequence[int], atom_size: int = ATOM_SIZE) -> AreaLayout:
        """The per-CPU layout of a machine with these possible CPUs that runs this kernel."""
        sizes = self.percpu
        return AreaLayout(cpus_per_node, sizes.static, sizes.reserved, sizes.dynamic, atom_size)


def profile_names() -> list[str]:
    """The kernels that come with the package, by version."""
    return list(bundled_kernels())


def load_profile(name_or_path: str | Path) -> KernelProfile:
    """The profile of that name, with or without `linux-`, or of that TOML file. Raises ProfileError."""
    path, names = Path(name_or_path), profile_names()
    found = [name for name in (name_or_path, f"linux-{name_or_path}") if name in names]
    if found:
        path = PROFILES / f"{found[0]}.toml"
    elif path.suffix != ".toml":
        known = ", ".join(names)
        raise ProfileError(f"no kernel profile {str(name_or_path)!r}: known are {known}, or a path to a .toml file")
    return profile_of(_read(path), str(path))


def is_profile(path: Path) -> bool:
    """Whether a TOML file is meant as a kernel profile; of one that cannot be read, what loads it says why."""
    try:
        return path.suffix == ".toml" and "percpu_area" in _read(path)
    except ProfileError:
        return False


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
