/* The release as it should be (kernel.release): publish NULL, wait, flush, free. */
#include "memcg.pml"

proctype coordinator() {
    byte cpu, sum;
    publish_null();
    synchronize_rcu();
    flush(cpu, sum);
    free_percpu();
    check(cpu, sum)
}
