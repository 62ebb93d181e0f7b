/* What instances of several nodes do to one memory. Freestanding: Zig's clang alone builds it. */

#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define PAGE 65536

static _Atomic int32_t counter;
static _Atomic int32_t lock; /* 0 free, 1 held, 2 held and somebody may wait */
static int32_t under_lock;
static _Atomic int32_t turn;
static _Atomic int64_t wide;
static int32_t first_values[4] = {11, 22, 33, 44};

EXPORT(count) int32_t count(int32_t times) {
  int32_t last = 0;
  for (int32_t i = 0; i < times; i++) last = ++counter;
  return last;
}

static void acquire(void) {
  int32_t seen = 0;
  if (__c11_atomic_compare_exchange_strong(&lock, &seen, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return;
  while (__c11_atomic_exchange(&lock, 2, __ATOMIC_SEQ_CST) != 0) {
    __builtin_wasm_memory_atomic_wait32((int32_t *)&lock, 2, -1);
  }
}

static void release(void) {
  if (__c11_atomic_exchange(&lock, 0, __ATOMIC_SEQ_CST) == 2) {
    __builtin_wasm_memory_atomic_notify((int32_t *)&lock, 1);
  }
}

/* A mutex of the program's own, made of nothing but wait and notify. */
EXPORT(count_locked) int32_t count_locked(int32_t times) {
  for (int32_t i = 0; i < times; i++) {
    acquire();
    under_lock = under_lock + 1;
    release();
  }
  acquire();
  int32_t seen = under_lock;
  release();
  return seen;
}

/* Takes its turn so many times, of so many that take turns. */
EXPORT(take_turns) int32_t take_turns(int32_t mine, int32_t parties, int32_t times) {
  for (int32_t i = 0; i < times; i++) {
    for (int32_t now = turn; now % parties != mine; now = turn) {
      __builtin_wasm_memory_atomic_wait32((int32_t *)&turn, now, -1);
    }
    turn++;
    __builtin_wasm_memory_atomic_notify((int32_t *)&turn, UINT32_MAX);
  }
  return turn;
}

EXPORT(wait_long) int32_t wait_long(int64_t expected, int64_t timeout_ns) {
  return __builtin_wasm_memory_atomic_wait64((int64_t *)&wide, expected, timeout_ns);
}

EXPORT(store_long) int32_t store_long(int64_t value) {
  wide = value;
  return __builtin_wasm_memory_atomic_notify((int32_t *)&wide, 7);
}

EXPORT(size) int32_t size(void) { return __builtin_wasm_memory_size(0); }

/* Grows the memory, and writes the value into the first page that is new. */
EXPORT(grow_and_write) int32_t grow_and_write(int32_t pages, int32_t value) {
  int32_t first = __builtin_wasm_memory_grow(0, pages);
  if (first >= 0 && pages > 0) *(volatile int32_t *)(first * PAGE) = value;
  return first;
}

EXPORT(load) int32_t load(uint32_t address) { return *(volatile int32_t *)address; }
EXPORT(store) void store(uint32_t address, int32_t value) { *(volatile int32_t *)address = value; }
EXPORT(first_value) int32_t first_value(int32_t index) { return first_values[index]++; }
EXPORT(wait_at) int32_t wait_at(uint32_t address) {
  return __builtin_wasm_memory_atomic_wait32((int32_t *)address, 0, 0);
}
