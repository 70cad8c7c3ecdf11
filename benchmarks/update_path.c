/*
 * The update path of percpu_emu.kernel.memcg (__mod_memcg_state, then a quiescent state) in C: what the native
 * engine is measured against. It works on the same words of shared memory, finds them by the same pointers (indices
 * of words) and does to them what the program does, access by access. `unlikely` stands where the kernel has it.
 *
 * The offsets come from update_path.py as -D options, so that the two cannot drift apart. With -DWITH_LIBURCU the
 * quiescent state is reported to liburcu (qsbr flavour), else to the machine's own control block, as the engine does.
 */

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef WITH_LIBURCU
#define _LGPL_SOURCE /* its read side inline; this file is MIT, which LGPL code may be combined with */
#include <urcu/urcu-qsbr.h>
#endif

#define unlikely(condition) __builtin_expect(!!(condition), 0)

typedef int64_t word;

/* A percpu_emu.lang.context.Context as an array. */
struct context {
	word *memory;
	word *percpu;
	word *unit;
	word *block;
	word *ledger;
	word *header;
};

/* __this_cpu_read and __this_cpu_write: two instructions, which the compiler can neither fuse nor drop. */
#ifdef __x86_64__
static inline word this_cpu_read(const word *slot)
{
	word value;

	__asm__ volatile("movq %1, %0" : "=r"(value) : "m"(*slot));
	return value;
}

static inline void this_cpu_write(word *slot, word value)
{
	__asm__ volatile("movq %1, %0" : "=m"(*slot) : "re"(value));
}
#else
static inline word this_cpu_read(const word *slot)
{
	return *(const volatile word *)slot;
}

static inline void this_cpu_write(word *slot, word value)
{
	*(volatile word *)slot = value;
}
#endif

static inline word rcu_dereference_word(const word *pointer)
{
	return __atomic_load_n(pointer, __ATOMIC_ACQUIRE);
}

static inline void atomic_long_add(word *counter, word value)
{
	__atomic_fetch_add(counter, value, __ATOMIC_RELAXED);
}

static inline void mod_memcg_state(const struct context *ctx, word memcg, word item, word delta)
{
	word vmstats_percpu = rcu_dereference_word(&ctx->memory[memcg + VMSTATS_PERCPU]);
	word *twin = &ctx->memory[memcg + VMSTATS + item];

	if (vmstats_percpu) {
		word *slot = &ctx->unit[vmstats_percpu + STAT + item];
		word x = this_cpu_read(slot) + delta;

		if (unlikely(labs(x) > MEMCG_CHARGE_BATCH)) {
			atomic_long_add(twin, x);
			x = 0;
		}
		this_cpu_write(slot, x);
	} else {
		atomic_long_add(twin, delta);
	}
}

#ifdef WITH_LIBURCU

typedef struct urcu_qsbr_reader *rcu_reader;

/*
 * In a library that is loaded while the process runs, every look at thread-local storage is a function call
 * (__tls_get_addr), dearer than the whole update. A program linked with liburcu has no such call, so to be fair it
 * is made once; the asm keeps the compiler from making it again in the loop.
 */
static inline rcu_reader rcu_begin(const struct context *ctx)
{
	rcu_reader reader;

	(void)ctx;
	urcu_qsbr_register_thread();
	reader = &URCU_TLS(urcu_qsbr_reader);
	__asm__("" : "+r"(reader));
	return reader;
}

/* As urcu_qsbr_quiescent_state() begins, which does the rest where there is anything to report. */
static inline void quiescent_state(const struct context *ctx, rcu_reader reader)
{
	(void)ctx;
	if (CMM_LOAD_SHARED(urcu_qsbr_gp.ctr) != reader->ctr)
		urcu_qsbr_quiescent_state();
}

static inline void rcu_end(void)
{
	urcu_qsbr_unregister_thread();
}

#else

typedef word *rcu_reader;

static inline rcu_reader rcu_begin(const struct context *ctx)
{
	return &ctx->block[QUIESCENT];
}

static inline void quiescent_state(const struct context *ctx, rcu_reader reader)
{
	word sequence = __atomic_load_n(&ctx->header[GP_SEQ], __ATOMIC_ACQUIRE);

	if (unlikely(sequence != __atomic_load_n(reader, __ATOMIC_RELAXED))) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		__atomic_store_n(reader, sequence, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		sched_yield();
	}
}

static inline void rcu_end(void)
{
}

#endif

void updates(const struct context *bases, word memcg, word turns)
{
	const struct context ctx = *bases;
	rcu_reader reader = rcu_begin(&ctx);

	for (word turn = 0; turn < turns; turn++) {
		mod_memcg_state(&ctx, memcg, ITEM, 1);
		quiescent_state(&ctx, reader);
	}
	rcu_end();
}
