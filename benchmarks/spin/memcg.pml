/* What the three models share: the words, the update path (kernel.memcg.__mod_memcg_state) and the grace period.
 *
 * Every access to a shared word is a step of its own, as every `yield` of the Python is; `d_step` only ties an access
 * to the check that its memory is still there, and to arithmetic on local variables. Sequentially consistent, like the
 * virtual engine. What the models leave out: interrupts off and on, the ledger, the reference on the css, and the
 * zeroes that `percpu_take` leaves behind (v3 as posted leaves none).
 */

#ifndef CPUS
#define CPUS 3
#endif
#ifndef UPDATES
#define UPDATES 3
#endif
#ifndef BATCH
#define BATCH 1
#endif
#if CPUS > 8 || CPUS * UPDATES > 255
#error "a word has 8 bits"
#endif

bool live = true;    /* memcg->vmstats_percpu is not NULL */
bool freed;          /* the slots are gone */
byte slot[CPUS];     /* the per-CPU counter */
byte counter;        /* its atomic twin, memcg->vmstats[item] */
byte readers;        /* bit by CPU: inside rcu_read_lock */
byte waited_for;     /* bit by CPU: inside the read-side section that the grace period waits for */
byte finished;       /* CPUs that have done all their updates */

inline rcu_read_lock(cpu) {
    readers = readers | (1 << cpu)
}

inline rcu_read_unlock(cpu) {
    d_step {
        readers = readers & ~(1 << cpu);
        waited_for = waited_for & ~(1 << cpu)
    }
}

/* A section begun after the first step is not waited for. */
inline synchronize_rcu() {
    waited_for = readers;
    waited_for == 0
}

/* One update of +1. */
inline mod_memcg_state(cpu, p, x) {
    rcu_read_lock(cpu);
    p = live;
    if
    :: p ->
        d_step { assert(!freed); x = slot[cpu] + 1 };
        if
        :: x > BATCH -> counter = counter + x; x = 0
        :: else
        fi;
        d_step { assert(!freed); slot[cpu] = x; x = 0 }
    :: else ->
        counter = counter + 1
    fi;
    rcu_read_unlock(cpu)
}

proctype updater(byte cpu) {
    byte turn, x;
    bool p;
    do
    :: turn < UPDATES -> mod_memcg_state(cpu, p, x); turn++
    :: else -> break
    od;
    finished++
}

inline publish_null() {
    live = false
}

/* The sum of all CPUs' slots, each read a step, then one atomic add, unless it is 0. */
inline flush(cpu, sum) {
    do
    :: d_step { cpu < CPUS -> assert(!freed); sum = sum + slot[cpu]; cpu++ }
    :: else -> break
    od;
    if
    :: sum != 0 -> counter = counter + sum
    :: else
    fi
}

inline free_percpu() {
    freed = true
}

/* Once everybody is through: nothing lost, nothing counted twice. */
inline check(cpu, sum) {
    finished == CPUS;
    d_step {
        cpu = 0;
        sum = counter;
        do
        :: live && cpu < CPUS -> sum = sum + slot[cpu]; cpu++
        :: else -> break
        od;
        assert(sum == CPUS * UPDATES)
    }
}

init {
    byte started;
    atomic {
        run coordinator();
        do
        :: started < CPUS -> run updater(started); started++
        :: else -> break
        od
    }
}
