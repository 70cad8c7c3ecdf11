/* Broken: nobody waits for the updates that read the pointer before it became NULL. */
#include "memcg.pml"

proctype coordinator() {
    byte cpu, sum;
    publish_null();
    flush(cpu, sum);
    free_percpu();
    check(cpu, sum)
}
