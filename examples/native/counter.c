/* A module whose globals are the same cells on every node. From the root of the checkout, either of
gcc -shared -fPIC -O2 -Izig/include -Wl,-T,zig/rdma.ld -o libcounter.so examples/native/counter.c
zig cc -shared -fPIC -O2 -Izig/include -Wl,-T,zig/rdma.ld -o libcounter.so examples/native/counter.c
*/

#include <stdatomic.h>
#include <stdint.h>

#include "tdsm.h"

/* Several nodes write it, so it is atomic, as it would be between threads. */
TDSM_SHARED _Atomic int32_t counter;

/* Filled by one node and read by all: 64 MiB of address space, memory only where it is touched. */
TDSM_SHARED static double table[1 << 23];

int32_t bump(void) { return atomic_fetch_add(&counter, 1) + 1; }

void fill(double step) {
  for (int32_t i = 0; i < 1 << 23; i++) table[i] = i * step;
}

double look_up(int32_t index) { return table[index]; }

/* Memory that is handed in can be of the region too: a page of it that is missing is fetched. */
double sum(const double *numbers, int32_t count) {
  double total = 0;
  for (int32_t i = 0; i < count; i++) total += numbers[i];
  return total;
}
