"""The cgroup2 tree: directories, which controllers they have, and the kernel's rules for both (kernel/cgroup)."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from percpu_emu.cgroupfs.errors import refusal
from percpu_emu.machine import CgroupError, NoMemory

if TYPE_CHECKING:
    from percpu_emu.cgroupfs.memory import Charges, MemoryState
    from percpu_emu.machine.plain import PlainCgroup, PlainCgroups

CONTROLLERS: Final = ("memory",)
NO_LIMIT: Final = 2**31 - 1
_INODES: Final = itertools.count(1)


@dataclass(eq=False)
class Group:
    """A directory of the tree."""

    name: str
    parent: Group | None
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    inode: int = field(default_factory=lambda: next(_INODES))
    children: dict[str, Group] = field(default_factory=dict)
    subtree_control: set[str] = field(default_factory=set)
    memory: MemoryState | None = None
    plain: PlainCgroup | None = None
    """What it has allocated while it has no memory controller."""
    max_depth: int = NO_LIMIT
    max_descendants: int = NO_LIMIT
    nr_dying_descendants: int = 0
    nr_descendants: int = 0
    removed: bool = False
    frozen: bool = False
    """Whether cgroup.freeze says so."""
    had_members: bool = False
    """Whether a process was ever moved into it: most are empty, which is known without a look."""
    changed: dict[str, tuple[int | None, int | None, int | None]] = field(default_factory=dict)
    """Permissions and owners of its files that chmod and chown have changed."""

    @property
    def path(self) -> str:
        """Path below the root, "" for the root."""
        return f"{self.parent.path}/{self.name}".lstrip("/") if self.parent else ""

    @property
    def controllers(self) -> set[str]:
        """What cgroup.controllers says."""
        return self.parent.subtree_control if self.parent else set(CONTROLLERS)

    def ancestors(self) -> Iterator[Group]:
        """The parent, its parent, and so on."""
        above = self.parent
        while above:
            yield above
            above = above.parent

    def below(self) -> Iterator[Group]:
        """Itself and every descendant that is there."""
        yield self
        for child in list(self.children.values()):
            yield from child.below()

    def shared_with(self, other: Group) -> Group:
        """The nearest cgroup that holds both."""
        line = {other, *other.ancestors()}
        return next(group for group in (self, *self.ancestors()) if group in line)

    def permissions(self, name: str, mode: int) -> tuple[int, int, int]:
        """Permissions and owners of a file of its own that had `mode` at first."""
        changed = self.changed.get(name, (None, None, None))
        kept = zip(changed, (mode, self.uid, self.gid), strict=True)
        mode, uid, gid = (new if new is not None else old for new, old in kept)
        return mode, uid, gid

    @property
    def charged_to(self) -> MemoryState:
        """Who pays for the pages of its processes: itself, or the nearest ancestor with the memory controller."""
        return next(group.memory for group in (self, *self.ancestors()) if group.memory)


class Hierarchy:
    """All directories. `is_populated(group)`: whether a process is in that very cgroup."""

    def __init__(self, charges: Charges, plain: PlainCgroups, is_populated: Callable[[Group], bool]) -> None:
        self._charges = charges
        self._plain = plain
        self._is_populated = is_populated
        self.root = Group("", None, memory=charges.root, uid=os.geteuid(), gid=os.getegid())
        self.root.subtree_control.update(CONTROLLERS)  # as systemd leaves it

    def find(self, path: str) -> Group:
        """The cgroup at a path. Raises ENOENT."""
        group = self.root
        for name in filter(None, path.split("/")):
            if name not in group.children:
                raise refusal(errno.ENOENT)
            group = group.children[name]
        return group

    def mkdir(self, parent: Group, name: str) -> Group:
        """Make a cgroup. Raises EEXIST, EINVAL, EAGAIN at a limit of depth or number, ENOMEM."""
        if parent.removed:
            raise refusal(errno.ENODEV)
        if name in parent.children:
            raise refusal(errno.EEXIST)
        if "\n" in name:
            raise refusal(errno.EINVAL)
        for level, above in enumerate((parent, *parent.ancestors()), 1):
            if above.nr_descendants >= above.max_descendants or level > above.max_depth:
                raise refusal(errno.EAGAIN)
        group = Group(name, parent)
        self._allocate(group)
        parent.children[name] = group
        for above in group.ancestors():
            above.nr_descendants += 1
        return group

    def _allocate(self, group: Group) -> None:
        try:
            if "memory" in group.controllers:
                group.memory = self._charges.make(group)
            else:
                group.plain = self._plain.make()
        except (NoMemory, MemoryError) as error:
            raise refusal(errno.ENOMEM) from error
        except CgroupError as error:
            raise refusal(errno.EBUSY) from error

    def rmdir(self, group: Group) -> None:
        """Remove a cgroup; it may stay, dying. Raises EBUSY for the root, with children, with processes."""
        if group.parent is None or group.children or self._is_populated(group):
            raise refusal(errno.EBUSY)
        del group.parent.children[group.name]
        group.removed = True
        for above in group.ancestors():
            above.nr_descendants -= 1
            above.nr_dying_descendants += 1
        self._release(group, lambda: self._gone(group))

    def _release(self, group: Group, released: Callable[[], None]) -> None:
        """Let go of what it has; `released` is called when the last reference is gone."""
        if group.memory:
            memory, group.memory = group.memory, None
            self._charges.remove(memory, released)
        elif group.plain:
            plain, group.plain = group.plain, None
            self._plain.remove(plain, released)

    @staticmethod
    def _gone(group: Group) -> None:
        for above in group.ancestors():
            above.nr_dying_descendants -= 1

    def control_subtree(self, group: Group, text: str) -> None:
        """Write cgroup.subtree_control: `+memory`, `-memory`; all of it, or nothing.

        Raises EINVAL for what is no controller, ENOENT for one that the cgroup has not got, EBUSY where a child has
        it on for its own children, or where processes are in the way (a cgroup other than the root has either).
        """
        wanted: dict[str, bool] = {}
        for word in text.split():
            if word[0] not in "+-" or word[1:] not in CONTROLLERS:
                raise refusal(errno.EINVAL)
            wanted[word[1:]] = word[0] == "+"
        on = {name for name, is_on in wanted.items() if is_on} - group.subtree_control
        off = {name for name, is_on in wanted.items() if not is_on} & group.subtree_control
        if on - group.controllers:
            raise refusal(errno.ENOENT)
        if any(off & child.subtree_control for child in group.children.values()):
            raise refusal(errno.EBUSY)
        if on and group.parent is not None and self._is_populated(group):
            raise refusal(errno.EBUSY)
        group.subtree_control |= on
        group.subtree_control -= off
        if on or off:
            self._exchange(group)

    def _exchange(self, group: Group) -> None:
        """Give every child what it has now: counters, or only what every cgroup has. The old goes as by rmdir."""
        children = list(group.children.values())
        before = [(child.memory, child.plain) for child in children]
        done: list[Group] = []
        try:
            for child in children:
                child.memory = child.plain = None
                done.append(child)
                self._allocate(child)
        except OSError:
            group.subtree_control ^= set(CONTROLLERS)
            for child, (memory, plain) in zip(done, before, strict=False):
                self._release(child, lambda: None)
                child.memory, child.plain = memory, plain
            raise
        for memory, plain in before:
            self._release(Group("", group, memory=memory, plain=plain), lambda: None)
