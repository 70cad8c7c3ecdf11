"""What is known of the operations of a model before a search: which of them each leads to."""

from __future__ import annotations

from typing import Final

import numpy as np

from percpu_emu.explore import reduction as r
from percpu_emu.explore.model import Model, Words, flat
from percpu_emu.lang import flow
from percpu_emu.lang import instructions as i
from percpu_emu.lang.virtual import layout
from percpu_emu.lang.words import wrap

TOUCHED_ROWS: Final = 512


def known(model: Model, enabled: bool) -> Words:
    """What is known of the operations before the search: what leads where."""
    code = model.code
    entries = [stretch.start for stretch in model.queued]
    operations = [at for at, row in enumerate(code.rows) if row[i.OPCODE] >= i.FIRST_OPERATION]
    numbers = {at: number for number, at in enumerate(operations)}
    blocks = len(operations) // 64 + 1

    def bits(rows: set[int]) -> list[int]:
        found = sum(1 << numbers[at] for at in rows if at in numbers)
        return [int(wrap(found >> 64 * block & (1 << 64) - 1)) for block in range(blocks)]

    def of(*opcodes: int) -> list[int]:
        return bits({at for at in operations if code.rows[at][i.OPCODE] in opcodes})

    queues = (i.CALL_RCU, i.IRQ_WORK) if _may_interrupt(model) else (i.IRQ_WORK,)
    inside = _blocks_inside(model)
    stalling = {number for number, entry in enumerate(entries) if inside[entry]}
    calls = {at for at in operations if code.rows[at][i.OPCODE] in queues}
    keys = TOUCHED_ROWS + 2 * (model.limits.words + model.limits.areas + model.limits.objects)
    table = 1 << (keys * 4 - 1).bit_length()
    now = [flow.reachable(code, [at], entries, through_waits=False) for at in operations]
    ever = [flow.reachable(code, [at], entries, through_waits=True) for at in operations]
    behind = [flow.reachable(code, flow.following(code, at), entries, through_waits=False) for at in operations]
    header = {
        r.ENABLED: int(enabled),
        r.MAX_ROWS: keys,
        r.HASH_MASK: table - 1,
        r.BITS: blocks,
        r.HOTPLUG: int(any(code.rows[at][i.OPCODE] in (i.CPU_DOWN, i.MOVE_TO) for at in operations)),
    }
    parts: dict[int, list[int]] = {
        r.NUMBERS: [numbers.get(at, -1) for at in range(len(code.rows))],
        r.NOW: [word for rows in now for word in bits(rows)],
        r.EVER: [word for rows in ever for word in bits(rows)],
        r.BEHIND: [word for rows in behind for word in bits(rows)],
        r.WAITS: of(i.CALL_RCU, i.SYNCHRONIZE_RCU),
        r.ENTERS: of(i.RCU_READ_LOCK, i.PREEMPT_DISABLE, i.LOCAL_IRQ_SAVE, i.LOCAL_IRQ_RESTORE, *queues),
        r.BARRIERS: of(i.RCU_BARRIER),
        r.DOWNS: of(i.CPU_DOWN),
        r.MOVES: of(i.MOVE_TO),
        r.SENDS: of(i.IRQ_WORK),
        r.KEYS: [layout.EMPTY] * table,
        r.KEY_ROWS: [0] * table,
        r.TOUCHED: [0] * keys * r.KINDS * blocks,
        r.BLOCKS_INSIDE: inside,
        r.STALLS: bits({at for at in calls if code.value(code.rows[at][i.A]) in stalling}),
    }
    return flat(header, parts, r.POR_HEADER)


def words(por: Words) -> int:
    """How many words, and what else can conflict, more than one operation was seen to touch."""
    rows, bits = int(por[r.ROWS]), int(por[r.BITS])
    first = int(por[r.TOUCHED])
    sets = por[first : first + rows * r.KINDS * bits].reshape(rows, r.KINDS, bits)
    touched = np.bitwise_or.reduce(sets, axis=1) if rows else sets
    return int((np.bitwise_count(touched.view(np.uint64)).sum(axis=-1) > 1).sum())


def _blocks_inside(model: Model) -> list[int]:
    """For each row, whether its program may wait or poll as a reader: in a section, an interrupt or a callback."""
    code, waits = model.code, {i.SYNCHRONIZE_RCU, i.SPIN_UNTIL}
    readers = [s for s, spec in zip(model.stretches, model.setting.contexts, strict=True) if spec.kind == "interrupt"]
    flags = [0] * len(code.rows)
    for stretch in code.stretches:
        rows = range(stretch.start, stretch.end)
        may_wait = any(code.rows[at][i.OPCODE] in waits or at in code.polling for at in rows)
        always = any(stretch is reader for reader in [*readers, *model.queued])
        if may_wait and (always or flow.waits_as_reader(code, stretch, waits)):
            flags[stretch.start : stretch.end] = [1] * len(rows)
    return flags


def _may_interrupt(model: Model) -> bool:
    """Whether a callback may run on a CPU, where it is a reader as an interrupt is: a context there queues it."""
    contexts = zip(model.stretches, model.setting.contexts, strict=True)
    moves = any(row[i.OPCODE] == i.MOVE_TO for row in model.code.rows)
    starts = [stretch.start for stretch, spec in contexts if moves or spec.home is not None]
    entries = [stretch.start for stretch in model.queued]
    rows = model.code.rows
    sent = [model.code.value(row[i.A]) for row in rows if row[i.OPCODE] == i.IRQ_WORK]
    starts += [entries[number] for number in sent if number is not None]
    reached = flow.reachable(model.code, starts, entries, through_waits=True)
    return any(rows[at][i.OPCODE] == i.CALL_RCU for at in reached)
