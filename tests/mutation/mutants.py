"""The mutants: in which file, which text becomes which other text."""

from __future__ import annotations

from typing import Final, NamedTuple

OPS: Final = "lang/ops.py"
EFFECTS: Final = "lang/effects.py"
ACCESSES: Final = "lang/virtual/accesses.py"
BLOCKING: Final = "lang/virtual/blocking.py"
CONTEXTS: Final = "lang/virtual/contexts.py"
HOTPLUG: Final = "lang/virtual/hotplug.py"
MEMORY: Final = "lang/virtual/memory.py"
RCU: Final = "lang/virtual/rcu.py"
SECTIONS: Final = "lang/virtual/sections.py"
FLOW: Final = "lang/flow.py"
CONFLICTS: Final = "explore/conflicts.py"
REDUCTION: Final = "explore/reduction.py"
TRANSITION: Final = "explore/transition.py"
STORE: Final = "explore/store.py"
SEARCH: Final = "explore/search.py"
LOCKS: Final = "lang/virtual/locks.py"
LOCK_ORDER: Final = "explore/lock_order.py"
FAIRNESS: Final = "explore/fairness.py"
GRAPH: Final = "explore/graph.py"
STEPPING: Final = "lang/virtual/stepping.py"
PLANS: Final = "scenario/replaying.py"
REPLAY: Final = "replay/operations.py"
PROCESS: Final = "replay/process.py"
COMPILED: Final = "replay/compiled.py"


class Mutant(NamedTuple):
    """One change, in a file of the package; `old` stands there once."""

    file: str
    old: str
    new: str


MUTANTS: Final = (
    # --- the table of operations
    Mutant(OPS, 'own=True, order="relaxed", operand=1)', 'own=True, order="relaxed", operand=2)'),
    Mutant(OPS, 'own=True, order="relaxed", operand=-1)', 'own=True, order="relaxed", operand=1)'),
    Mutant(OPS, 'order="relaxed", operand="negated")', 'order="relaxed")'),
    Mutant(OPS, '@defines(_effect.FETCH_ADD, "adds', '@defines(_effect.ADD_RETURN, "adds'),
    Mutant(
        OPS, '@defines(_effect.ADD_RETURN, "adds {arg} to {word}", order', '@defines(_effect.FETCH_ADD, "adds", order'
    ),
    Mutant(OPS, '@defines(_effect.AND_WITH, "keeps', '@defines(_effect.OR_WITH, "keeps'),
    Mutant(OPS, 'order="acquire", dereference=True)', 'order="acquire")'),
    Mutant(OPS, "@defines(_effect.PREEMPT_ENABLE,", "@defines(_effect.RCU_READ_UNLOCK,"),
    Mutant(OPS, "@defines(_effect.SPIN_UNTIL,", "@defines(_effect.READ,"),
    Mutant(OPS, "@defines(_effect.WAIT_UNTIL,", "@defines(_effect.SPIN_UNTIL,"),
    Mutant(OPS, "@defines(_effect.QUEUE_WORK,", "@defines(_effect.CALL_RCU,"),
    Mutant(OPS, "@defines(_effect.RCU_BARRIER,", "@defines(_effect.SYNCHRONIZE_RCU,"),
    Mutant(OPS, "@defines(_effect.CPU_RELAX,", "@defines(_effect.SYNCHRONIZE_RCU,"),
    # --- effects
    Mutant(EFFECTS, "return c if old == b else old", "return c"),
    Mutant(EFFECTS, "return old & b", "return old"),
    Mutant(EFFECTS, "add(old, b) if opcode == i.ADD_RETURN else old", "old"),
    # --- memory, sections
    Mutant(MEMORY, "(size + 7) // 8 << v.SIZE_SHIFT", "(size + 15) // 8 << v.SIZE_SHIFT"),
    Mutant(MEMORY, "if vm[v.KERNEL_FIRST] <= address < vm[v.KERNEL_END]", "if address < vm[v.KERNEL_END]"),
    Mutant(MEMORY, "return DONE if found & v.STATE_OF_REGION == v.LIVE else USE_AFTER_FREE", "return DONE"),
    Mutant(SECTIONS, "if state[base + v.DEPTH] // unit & v.MAX_NESTED == 0:", "if state[base + v.DEPTH] == 0:"),
    Mutant(
        CONTEXTS,
        "v.INTERRUPT or (kind == v.CALLBACK and state[block_of(vm, context) + v.WORK] != v.AS_WORK)",
        "v.INTERRUPT",
    ),
    Mutant(ACCESSES, "seen = state[base + v.LOADED] if halfway else stands", "seen = stands"),
    Mutant(
        CONTEXTS,
        "if state[base + v.NOTED] == 0:\n            state[base + v.STATUS] = v.UNUSED",
        "state[base + v.STATUS] = v.UNUSED",
    ),
    # --- the blocking rule
    Mutant(BLOCKING, "if starting and state[v.IRQS_OFF] >> (cpu - 1) & 1:", "if False:"),
    Mutant(BLOCKING, "elif not level and state[base + v.DEPTH] != 0:", "elif False:"),
    Mutant(BLOCKING, "if state[base + v.MID_TURN] == v.HALFWAY and (starting or not level):", "if False:"),
    Mutant(BLOCKING, "if starting or not level:\n                return", "if not level:\n                return"),
    Mutant(BLOCKING, "if status == v.WAITING and state[base + v.WAIT] != 0:", "if False:"),
    Mutant(BLOCKING, "v.RUNNING and state[block + v.MID_TURN])):", "v.RUNNING and False)):"),
    Mutant(BLOCKING, "return NOT_BLOCKED if equal else _blocked_by(vm, WORD, 0)", "return NOT_BLOCKED"),
    # --- the reduction
    Mutant(REDUCTION, "                _class_of_access(vm, por, state, context, opcode)\n", "                pass\n"),
    Mutant(REDUCTION, "return SAFE  # it will be caught", "return VISIBLE  # it will be caught"),
    Mutant(REDUCTION, "_class_of_holding(vm, por, state, context) == VISIBLE else EARLY", "False else EARLY"),
    Mutant(
        REDUCTION,
        "if mode == v.READS:\n        return kind % OTHERS == v.READS - 1",
        "if kind % OTHERS == v.READS - 1:\n        return True",
    ),
    Mutant(REDUCTION, "if _may_move(vm, por, state, other):\n            return True\n        if other", "if other"),
    Mutant(REDUCTION, "seen = opcode != i.QUEUE_WORK and _others_may_read(vm, por, state, context)", "seen = False"),
    Mutant(REDUCTION, "found = SAFE if state[base + v.WAIT] & v.REGISTERED else VISIBLE", "found = SAFE"),
    Mutant(
        REDUCTION,
        "found = PUT_OFF if entering and _entering_matters(vm, por, state, context) else SAFE\n"
        "    elif opcode == i.LOCAL",
        "found = SAFE\n    elif opcode == i.LOCAL",
    ),
    Mutant(REDUCTION, " or kill_pending(vm, por, state, context):", ":"),
    Mutant(
        REDUCTION,
        "            if writes & _reaches(vm, por, state, other, reader, block):\n                return True",
        "            pass",
    ),
    Mutant(
        REDUCTION,
        "            return True\n    return _others_reach(vm, por, state, context, por[ENTERS], False)",
        "            return True\n    return False",
    ),
    Mutant(
        TRANSITION,
        "if committed and (kind == r.VISIBLE or kind == r.PUT_OFF or",
        "if committed and (kind == r.PUT_OFF or",
    ),
    Mutant(TRANSITION, "alone = one_way and not (committed or guarded", "alone = not (committed or guarded"),
    Mutant(TRANSITION, "alone = one_way and not (committed or guarded", "alone = one_way and not (guarded"),
    Mutant(TRANSITION, "r.enables_others(vm, state, context) or ", ""),
    Mutant(
        STORE,
        "if violated == outcomes.DONE and alone and _settle(vm, store, buffer, number, choice, steps):\n"
        "            return True",
        "if violated == outcomes.DONE and alone:\n            _settle(vm, store, buffer, number, choice, steps)\n"
        "            return True",
    ),
    Mutant(SEARCH, "return bool(self.por[r.CHANGED] or self.model.vm[layout.NEWS] & 1)", "return False"),
    Mutant(SEARCH, "to an end\n            self._judge_progress()\n", "to an end\n            pass\n"),
    Mutant(
        FLOW,
        "if opcode == i.SYNCHRONIZE_RCU and not through_waits:\n            continue",
        "if opcode in (i.SYNCHRONIZE_RCU, i.RCU_BARRIER) and not through_waits:\n            continue",
    ),
    # --- the reduction, the rules that only tests/explore/test_between_steps.py needs
    Mutant(REDUCTION, "kind == v.ADDS - 1 + (0 if own else OTHERS)", "kind % OTHERS == v.ADDS - 1"),
    Mutant(REDUCTION, "or state[mine + v.DEPTH] >= v.IRQ", "or state[mine + v.DEPTH] != 0"),
    Mutant(
        REDUCTION, "state[theirs + v.CPU] == cpu or _may_move(vm, por, state, other)", "state[theirs + v.CPU] == cpu"
    ),
    Mutant(REDUCTION, "if other != context and cpu > 0 and state[base + v.CPU] == cpu:", "if False:"),
    Mutant(REDUCTION, "return state[rows.block_of(vm, context) + v.MID_TURN] == 0 and", "return False and"),
    Mutant(
        REDUCTION,
        " or contexts.at_interrupt_level(vm, state, other):\n            return True",
        ":\n            return True",
    ),
    Mutant(REDUCTION, "if inside and state[base + v.STATUS] == v.WAITING and", "if False and"),
    Mutant(REDUCTION, "(inside and found == PUT_OFF) or ", ""),
    Mutant(REDUCTION, "if seen or _others_reach(vm, por, state, context, por[BARRIERS], False) else", "if seen else"),
    Mutant(REDUCTION, "return por[por[BEHIND] + operation]", "return por[por[NOW] + operation]"),
    Mutant(REDUCTION, "found = _disturbed(vm, por, state, context, which, 0, v.WRITES)", "found = SAFE"),
    Mutant(REDUCTION, "writes = por[_touched(por, row, v.ADDS - 1 + OTHERS) + block]", "writes = 0"),
    Mutant(CONFLICTS, "i.LOCAL_IRQ_RESTORE, *queues)", "i.LOCAL_IRQ_RESTORE)"),
    Mutant(CONFLICTS, "of(i.CALL_RCU, i.SYNCHRONIZE_RCU)", "of(i.SYNCHRONIZE_RCU)"),
    Mutant(REDUCTION, "i.IRQ_WORK or state[base + v.MID_TURN] == v.HALFWAY:", "i.IRQ_WORK:"),
    Mutant(REDUCTION, " or _may_be_stalled(vm, por, state, context):", ":"),
    Mutant(REDUCTION, "return _others_reach(vm, por, state, context, por[STALLS], False)", "return False"),
    Mutant(TRANSITION, "(guarded or not fresh)", "guarded"),
    Mutant(TRANSITION, "guarded or contexts.is_reader(vm, state, context))", "guarded)"),
    Mutant(TRANSITION, "(committed or guarded or contexts", "(committed or contexts"),
    Mutant(FLOW, "if opcode in (i.QUEUE_WORK, i.IRQ_WORK) or (opcode", "if opcode == i.IRQ_WORK or (opcode"),
    Mutant(SEARCH, "bool(self.por[r.CHANGED] or self.model.vm[layout.NEWS] & 1)", "bool(self.por[r.CHANGED])"),
    # --- the order of locks
    Mutant(
        LOCKS,
        "    if opcode == i.CMPXCHG and result != operand(vm, state, base, code(vm, pc, i.B)):\n        return DONE\n",
        "",
    ),
    Mutant(LOCKS, "turned_on = opcode == i.LOCAL_IRQ_RESTORE and", "turned_on = False and"),
    Mutant(LOCKS, "    if _forget(vm, state, context, lock):\n        return\n", "    return\n"),
    Mutant(LOCKS, "v.IN_INTERRUPT if at_interrupt_level(vm, state, context) else 0", "0"),
    Mutant(LOCKS, "        flags |= v.INTERRUPTS_OFF\n", "        pass\n"),
    Mutant(LOCKS, "(v.TRIED if effect == k.TRIES else 0)", "0"),
    Mutant(LOCK_ORDER, "first.may_be_interrupted and (first.queued or first.context != second.context)", "False"),
    Mutant(RCU, "in (v.WAITING, v.RUNNING) and", "!= v.UNUSED and"),
    Mutant(LOCK_ORDER, "for taking in self.takings if not taking.queued)", "for taking in self.takings)"),
    Mutant(STORE, "        store.numbers[EDGES] = edges  # it is made again, beside the others\n", ""),
    Mutant(LOCK_ORDER, "order.contexts & other.contexts or ", ""),
    Mutant(LOCK_ORDER, " or order.held & other.held) for", ") for"),
    Mutant(
        SEARCH,
        "        if not self._violated():\n            self._judge_lock_order()\n",
        "        if not self._violated():\n            pass\n",
    ),
    # --- interrupts that are sent to a CPU
    Mutant(FLOW, "if opcode in (i.QUEUE_WORK, i.IRQ_WORK) or (opcode", "if opcode == i.QUEUE_WORK or (opcode"),
    Mutant(RCU, "v.AS_INTERRUPT, cpu + 1, _sent_before(vm, state, cpu + 1))", "v.AS_INTERRUPT, cpu + 1, 0)"),
    Mutant(RCU, "if not state[v.ONLINE] >> cpu & 1:", "if False:"),
    Mutant(BLOCKING, "if there and (sent or (", "if there and (("),
    Mutant(HOTPLUG, "v.WAITING and state[base + v.WORK] != v.AS_INTERRUPT", "v.WAITING"),
    Mutant(CONTEXTS, "+ v.WORK] != v.AS_WORK)", "+ v.WORK] == v.AS_CALLBACK)"),
    Mutant(REDUCTION, "may_own = may_own or _reaches_any(vm, por, state, other, por[SENDS], reader)", "pass"),
    Mutant(REDUCTION, "if _others_reach(vm, por, state, context, por[SENDS], False):", "if False:"),
    Mutant(REDUCTION, "looks = _disturbed(vm, por, state, context, vm[v.ONLINE_MASK], 0, v.READS)", "looks = SAFE"),
    Mutant(REDUCTION, "_both(looks, _disturbed(vm, por, state, context, SENT_KEY + cpu, 0, v.WRITES))", "looks"),
    Mutant(REDUCTION, "i.QUEUE_WORK or opcode == i.IRQ_WORK or state", "i.QUEUE_WORK or state"),
    Mutant(CONFLICTS, "if _may_interrupt(model) else (i.IRQ_WORK,)", "if _may_interrupt(model) else ()"),
    Mutant(CONFLICTS, "starts += [entries[number] for number in sent if number is not None]", "pass"),
    # --- fair progress
    Mutant(FAIRNESS, "context in moving or not self._can_go_on(context, states).all()", "context in moving"),
    Mutant(FAIRNESS, "context in moving or not self", "not self"),
    Mutant(FAIRNESS, " & (vm[vm[layout.KINDS] + context] != layout.INTERRUPT)", ""),
    Mutant(GRAPH, "len(members) > 1 or members[0] in looping", "len(members) > 1"),
    Mutant(GRAPH, "lowest[at] = min(lowest[at], lowest.get(after[edge], lowest[at]))", "pass"),
    # --- allocations that fail
    Mutant(STEPPING, "    state[v.FAILURES] -= 1\n", ""),
    Mutant(TRANSITION, "        if steps > 0 and stepping.may_fail(vm, state, context):\n            break\n", ""),
    Mutant(
        REDUCTION, "            return VISIBLE  # it has another outcome", "            pass  # it has another outcome"
    ),
    Mutant(STEPPING, "return 1 <= operand(", "return 0 <= operand("),
    # --- CPUs that go off line by an operation
    Mutant(REDUCTION, "return _may_go_down(vm, por, state, context)\n", "return False\n"),
    Mutant(REDUCTION, "return moves or _reaches_any", "return _reaches_any"),
    Mutant(REDUCTION, "return moves or _reaches_any(vm, por, state, context, por[DOWNS], False)", "return moves"),
    Mutant(REDUCTION, " or hotplug.is_displaced(state, base):", ":"),
    Mutant(
        REDUCTION,
        "elif opcode == i.MOVE_TO:\n        found = VISIBLE",
        "elif opcode == i.MOVE_TO:\n        found = SAFE",
    ),
    Mutant(BLOCKING, "inside = state[block + v.DEPTH] != 0 or state", "inside = state"),
    Mutant(BLOCKING, "inside = inside or at_interrupt_level(vm, state, other)", "pass"),
    Mutant(BLOCKING, "cpu + 1 and (sent or (state[", "cpu + 1 and ((state["),
    Mutant(BLOCKING, "        return _blocked_by(vm, OFF_LINE, 0)", "        pass"),
    Mutant(HOTPLUG, " and state[v.ONLINE] != 1 << cpu", ""),
    Mutant(HOTPLUG, "vm[vm[v.KINDS] + context] != v.CALLBACK and is_there", "is_there"),
    Mutant(HOTPLUG, "    if leaves:\n        state[base + v.CPU] = 0\n", ""),
    Mutant(TRANSITION, "    if not hotplug.is_displaced(state, base):\n        state", "    if True:\n        state"),
    # --- replay
    Mutant(REPLAY, "self._is_online(cpu) and others else", "self._is_online(cpu) else"),
    Mutant(PROCESS, "        if moves:\n            self._turns.leave(number)\n", ""),
    Mutant(PLANS, 'return Part.LOAD if step.half == "load" else Part.STORE', "return Part.LOAD"),
    Mutant(PLANS, "queued = step.args[0]", "queued = 0"),
    Mutant(REPLAY, "i.NR_NODE_IDS: lambda: setting.nodes,", "i.NR_NODE_IDS: lambda: setting.cpus,"),
    Mutant(REPLAY, "(function, argument)\n        return 1", "(function, argument)\n        return 0"),
    Mutant(REPLAY, "online, ~(1 << order.target), 0)", "online, -1, 0)"),
    Mutant(COMPILED, "effects.new_value(opcode, loaded, b, c)", "effects.new_value(opcode, loaded, c, b)"),
)
