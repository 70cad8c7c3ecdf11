/* Broken: the slots are flushed while they are still published. What is added to one after it was read is lost. */
#include "memcg.pml"

proctype coordinator() {
    byte cpu, sum;
    flush(cpu, sum);
    publish_null();
    synchronize_rcu();
    free_percpu();
    check(cpu, sum)
}
