// Condition variables and barriers as programs use them, by threads on all nodes in turn: counts
// that come out wrong where a wake-up is lost, or a thread is let through too early.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"

enum { THREADS = 6, ITEMS = 100, ROOM = 3, GENERATIONS = 40, ROUNDS = 200, TIMEOUT_MS = 20 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_items = PTHREAD_COND_INITIALIZER, has_room, changed;
static int items, produced, consumed, generation, arrived, parties;
static pthread_barrier_t barrier;
static _Atomic int passed, serial;

static void run(int count, void *(*work)(void *)) {
  pthread_t threads[THREADS];
  for (long index = 0; index < count; index++) {
    CHECK(pthread_create(&threads[index], NULL, work, (void *)index) == 0);
  }
  for (int index = 0; index < count; index++) CHECK(pthread_join(threads[index], NULL) == 0);
}

// Half of the threads fill a small queue, the others empty it; each signal is for one thread.
static void *trade(void *index) {
  int produces = (long)index % 2 == 0;
  for (int item = 0; item < ITEMS; item++) {
    pthread_mutex_lock(&mutex);
    while (items == (produces ? ROOM : 0)) {
      CHECK(pthread_cond_wait(produces ? &has_room : &has_items, &mutex) == 0);
    }
    items += produces ? 1 : -1;
    (*(produces ? &produced : &consumed))++;
    CHECK(items >= 0 && items <= ROOM);
    pthread_cond_signal(produces ? &has_items : &has_room);
    pthread_mutex_unlock(&mutex);
  }
  return index;
}

// Every thread sees every generation: the last to arrive begins the next one, and wakes all.
static void *meet(void *index) {
  for (int round = 0; round < GENERATIONS; round++) {
    pthread_mutex_lock(&mutex);
    CHECK(generation == round);
    if (++arrived == THREADS) {
      arrived = 0;
      generation++;
      pthread_cond_broadcast(&changed);
    }
    while (generation == round) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
  }
  return index;
}

static void *pass(void *index) {
  for (int round = 1; round <= ROUNDS; round++) {
    passed++;
    int result = pthread_barrier_wait(&barrier);
    CHECK(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
    if (result != 0) serial++;
    // Between two barriers nobody counts.
    CHECK(passed == parties * round);
    pthread_barrier_wait(&barrier);
  }
  return index;
}

static void pass_together(int count, int is_shared) {
  pthread_barrierattr_t attributes;
  CHECK(pthread_barrierattr_init(&attributes) == 0);
  CHECK(pthread_barrierattr_setpshared(&attributes, is_shared) == 0);
  CHECK(pthread_barrier_init(&barrier, &attributes, count) == 0);
  parties = count;
  passed = serial = 0;
  run(count, pass);
  CHECK(passed == count * ROUNDS && serial == ROUNDS);
  CHECK(pthread_barrier_destroy(&barrier) == 0);
}

static struct timespec in_ms(clockid_t clock, int ms) {
  struct timespec time;
  CHECK(clock_gettime(clock, &time) == 0);
  long long ns = time.tv_nsec + ms * 1000000LL;
  time.tv_sec += ns / 1000000000;
  time.tv_nsec = ns % 1000000000;
  return time;
}

static int is_over(clockid_t clock, struct timespec end) {
  struct timespec now = in_ms(clock, 0);
  return now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
}

// A wait that nobody ends takes as long as it may, and leaves the mutex locked.
static void time_out(pthread_cond_t *cond, clockid_t clock) {
  struct timespec end = in_ms(clock, TIMEOUT_MS);
  pthread_mutex_lock(&mutex);
  // Nobody waits, so it is for nobody.
  CHECK(pthread_cond_signal(cond) == 0 && pthread_cond_broadcast(cond) == 0);
  int result;
  do result = pthread_cond_timedwait(cond, &mutex, &end);
  while (result == 0);
  CHECK(result == ETIMEDOUT && is_over(clock, end));
  CHECK(pthread_mutex_trylock(&mutex) == EBUSY);
  CHECK(pthread_cond_timedwait(cond, &mutex, &(struct timespec){0}) == ETIMEDOUT);
  CHECK(pthread_cond_timedwait(cond, &mutex, &(struct timespec){.tv_nsec = -1}) == EINVAL);
  pthread_mutex_unlock(&mutex);
}

static void time_outs(void) {
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  time_out(&cond, CLOCK_REALTIME);
  CHECK(pthread_cond_destroy(&cond) == 0);
  pthread_condattr_t attributes;
  CHECK(pthread_condattr_init(&attributes) == 0);
  CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
  CHECK(pthread_cond_init(&cond, &attributes) == 0);
  time_out(&cond, CLOCK_MONOTONIC);
  CHECK(pthread_cond_destroy(&cond) == 0);
}

// A thread that does not hold the mutex does not wait, and takes nobody's wake-up.
static void refuse(void) {
  pthread_mutexattr_t attributes;
  pthread_mutex_t checked;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  CHECK(pthread_mutex_init(&checked, &attributes) == 0);
  CHECK(pthread_cond_wait(&changed, &checked) == EPERM);
  // Whose the mutex is comes first.
  CHECK(pthread_cond_timedwait(&changed, &checked, &(struct timespec){.tv_nsec = -1}) == EPERM);
  CHECK(pthread_mutex_lock(&checked) == 0);
  struct timespec end = in_ms(CLOCK_REALTIME, 1);
  CHECK(pthread_cond_timedwait(&changed, &checked, &end) == ETIMEDOUT);
  CHECK(pthread_mutex_unlock(&checked) == 0);
}

int main(void) {
  for (int is_shared = 0; is_shared < 2; is_shared++) {
    pthread_condattr_t attributes;
    CHECK(pthread_condattr_init(&attributes) == 0);
    CHECK(pthread_condattr_setpshared(&attributes, is_shared) == 0);
    CHECK(pthread_cond_init(&has_room, &attributes) == 0);
    CHECK(pthread_cond_init(&changed, &attributes) == 0);
    items = produced = consumed = generation = 0;
    run(THREADS, trade);
    CHECK(items == 0 && produced == consumed && consumed == ITEMS * THREADS / 2);
    run(THREADS, meet);
    CHECK(generation == GENERATIONS);
    CHECK(pthread_cond_destroy(&has_room) == 0 && pthread_cond_destroy(&changed) == 0);
  }
  time_outs();
  CHECK(pthread_cond_init(&changed, NULL) == 0);
  refuse();
  // One after the other at one address, each with other parties.
  pass_together(THREADS, 0);
  pass_together(2, 0);
  pass_together(1, 0);
  pass_together(3, 1);
  puts("OK");
  return 0;
}
