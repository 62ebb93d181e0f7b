/* Native code of a test: threads that know of no JavaScript use the node by tdsm.h. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tdsm.h"

enum { THREADS_MAX = 80 };

/* What each thread of a job is given, and how it ended. */
struct task {
  pthread_t thread;
  uint64_t at;
  uint32_t index;
  uint32_t parties;
  uint32_t rounds;
  int64_t result;
};

/* Runs a job in threads of its own; answers the sum of their results, or the code with which they
   failed: TDSM_FAILED where the codes differ. */
static int64_t run(void *(*job)(void *), uint32_t threads, struct task common) {
  struct task tasks[THREADS_MAX];
  for (uint32_t i = 0; i < threads; i++) {
    tasks[i] = common;
    tasks[i].index = i;
    if (pthread_create(&tasks[i].thread, NULL, job, &tasks[i]) != 0) abort();
  }
  int64_t sum = 0, failure = 0;
  for (uint32_t i = 0; i < threads; i++) {
    pthread_join(tasks[i].thread, NULL);
    int64_t result = tasks[i].result;
    if (result < 0) failure = failure == 0 || failure == result ? result : TDSM_FAILED;
    sum += result;
  }
  return failure < 0 ? failure : sum;
}

/* Adds to a word that is not atomic, under a mutex. */
static void *count_job(void *given) {
  struct task *task = given;
  for (uint32_t round = 0; round < task->rounds && task->result >= 0; round++) {
    tdsm_lock lock;
    task->result = tdsm_mutex_lock("native count", TDSM_FOREVER, &lock);
    if (task->result < 0) break;
    volatile int32_t *word = tdsm_at(task->at);
    *word = *word + 1;
    task->result = tdsm_mutex_unlock(&lock);
  }
  return NULL;
}

int64_t count(uint32_t threads, uint32_t rounds, uint64_t at) {
  return run(count_job, threads, (struct task){.at = at, .rounds = rounds});
}

/* Arrives at a barrier round by round; the result is in how many rounds it was the last. Between
   two rounds every thread sees what all have written before the first. */
static void *phases_job(void *given) {
  struct task *task = given;
  for (uint32_t round = 0; round < task->rounds; round++) {
    _Atomic int32_t *arrived = tdsm_at(task->at);
    atomic_fetch_add(&arrived[round], 1);
    int code = tdsm_barrier_wait("native phases", task->parties, TDSM_FOREVER);
    if (code >= 0 && atomic_load(&arrived[round]) != (int32_t)task->parties) code = TDSM_FAILED;
    if (code < 0) {
      task->result = code;
      return NULL;
    }
    task->result += code == TDSM_LAST;
  }
  return NULL;
}

int64_t phases(uint32_t threads, uint32_t parties, uint32_t rounds, uint64_t at) {
  return run(phases_job, threads, (struct task){.at = at, .parties = parties, .rounds = rounds});
}

/* Takes permits, one a round. */
static void *take_job(void *given) {
  struct task *task = given;
  for (uint32_t round = 0; round < task->rounds; round++) {
    int code = tdsm_sem_acquire(task->at, TDSM_FOREVER);
    if (code < 0) {
      task->result = code;
      return NULL;
    }
    task->result++;
  }
  return NULL;
}

int64_t take(uint32_t threads, uint32_t rounds, uint64_t key) {
  return run(take_job, threads, (struct task){.at = key, .rounds = rounds});
}

/* Waits until a word is a multiple of the parties and its own number, then raises it. */
static void *turns_job(void *given) {
  struct task *task = given;
  uint32_t me = task->parties / THREADS_MAX + task->index;
  uint32_t parties = task->parties % THREADS_MAX;
  _Atomic uint32_t *word = tdsm_at(task->at);
  for (uint32_t round = 0; round < task->rounds; round++) {
    for (uint32_t now = atomic_load(word); now % parties != me; now = atomic_load(word)) {
      int code = tdsm_futex_wait(word, now, TDSM_FOREVER);
      if (code < 0) {
        task->result = code;
        return NULL;
      }
    }
    atomic_fetch_add(word, 1);
    int64_t woken = tdsm_futex_notify(word, UINT32_MAX);
    if (woken < 0) {
      task->result = woken;
      return NULL;
    }
  }
  return NULL;
}

int64_t turns(uint32_t threads, uint32_t first, uint32_t parties, uint32_t rounds, uint64_t at) {
  struct task common = {.at = at, .parties = first * THREADS_MAX + parties, .rounds = rounds};
  return run(turns_job, threads, common);
}

/* Locks, and ends without unlocking. */
static void *leave_locked_job(void *given) {
  struct task *task = given;
  tdsm_lock lock;
  task->result = tdsm_mutex_lock("left locked", TDSM_FOREVER, &lock);
  return NULL;
}

int64_t leave_locked(void) { return run(leave_locked_job, 1, (struct task){0}); }

/* Attaches, and goes on once all others have tried to; so that all have a slot at one time. */
static pthread_barrier_t tried;

static void *crowd_job(void *given) {
  struct task *task = given;
  int code = tdsm_thread_attach(0);
  task->result = code == TDSM_OK;
  pthread_barrier_wait(&tried);
  return NULL;
}

/* How many of so many threads could attach at one time. */
int64_t crowd(uint32_t threads) {
  pthread_barrier_init(&tried, NULL, threads);
  int64_t attached = run(crowd_job, threads, (struct task){0});
  pthread_barrier_destroy(&tried);
  return attached;
}

/* Attaches to a node by its handle; answers the node's id. */
static void *attach_job(void *given) {
  struct task *task = given;
  int code = tdsm_thread_attach((uint32_t)task->at);
  task->result = code < 0 ? code : tdsm_node_id();
  return NULL;
}

int64_t attach_to(uint32_t handle) { return run(attach_job, 1, (struct task){.at = handle}); }

/* Allocates, and writes the offset; a code below zero where the cells are not all zero. */
int64_t allocate(const char *name, uint64_t length, uint64_t *offset) {
  tdsm_alloc_options options = {0};
  options.name = name;
  void *cells = NULL;
  int code = tdsm_alloc(TDSM_I32, length, &options, &cells);
  if (code < 0) return code;
  const int32_t *words = cells;
  for (uint64_t i = 0; i < length; i++) {
    if (words[i] != 0) return TDSM_FAILED;
  }
  int64_t at = tdsm_offset_of(cells);
  *offset = (uint64_t)at;
  return at < 0 ? at : 0;
}

/* Releases one permit at a time, as fast as it can. */
int64_t release_many(uint64_t key, uint32_t times) {
  for (uint32_t time = 0; time < times; time++) {
    int code = tdsm_sem_release(key, 1);
    if (code < 0) return code;
  }
  return 0;
}

/* Says that it is there, and waits for what never comes, each thread in another way. */
static void *wait_job(void *given) {
  struct task *task = given;
  task->result = tdsm_sem_release(task->at, 1);
  if (task->result < 0) return NULL;
  switch (task->index % 3) {
    case 0: task->result = tdsm_sem_acquire(task->at + 1, TDSM_FOREVER); break;
    case 1: task->result = tdsm_barrier_wait("never", 100, TDSM_FOREVER); break;
    default: task->result = tdsm_futex_wait(tdsm_at(0), 0, TDSM_FOREVER); break;
  }
  return NULL;
}

int64_t wait_in_vain(uint32_t threads, uint64_t key) {
  return run(wait_job, threads, (struct task){.at = key});
}

/* Asks in vain again and again, counting in a word, until the word behind it is set; then takes a
   permit that may never come. By then the thread has a link of its own. */
static void *take_late_job(void *given) {
  struct task *task = given;
  _Atomic uint32_t *words = tdsm_at(4096);
  while (atomic_load(&words[1]) == 0) {
    int code = tdsm_sem_try_acquire(1000000);
    if (code != TDSM_UNAVAILABLE) {
      task->result = code < 0 ? code : TDSM_FAILED;
      return NULL;
    }
    atomic_fetch_add(&words[0], 1);
  }
  task->result = tdsm_sem_acquire(task->at, TDSM_FOREVER);
  return NULL;
}

int64_t take_late(uint64_t key) { return run(take_late_job, 1, (struct task){.at = key}); }

/* Asks by a link of its own, forks, and lets both call at one time: the child is to be refused at
   each call, and the parent to get all of its permits. */
static void *fork_job(void *given) {
  struct task *task = given;
  for (uint32_t round = 0; round < 200 && task->result >= 0; round++) {
    task->result = tdsm_sem_release(task->at, 1);
    if (task->result >= 0) task->result = tdsm_sem_acquire(task->at, TDSM_FOREVER);
  }
  if (task->result < 0) return NULL;
  pid_t child = fork();
  if (child == 0) {
    tdsm_lock lock;
    int are_refused = 1;
    for (int round = 0; round < 50; round++) {
      are_refused &= tdsm_sem_release(task->at, 1) == TDSM_NOT_JOINED;
      are_refused &= tdsm_sem_acquire(task->at, TDSM_FOREVER) == TDSM_NOT_JOINED;
      are_refused &= tdsm_mutex_lock("forked", TDSM_FOREVER, &lock) == TDSM_NOT_JOINED;
      are_refused &= tdsm_thread_attach(0) == TDSM_NOT_JOINED;
      are_refused &= tdsm_node_id() == TDSM_NOT_JOINED && tdsm_memory() == NULL;
    }
    tdsm_thread_detach();
    are_refused &= tdsm_sem_try_acquire(task->at) == TDSM_NOT_JOINED;
    _exit(are_refused ? 7 : 8);
  }
  for (uint32_t round = 0; round < 200 && task->result >= 0; round++) {
    task->result = tdsm_sem_release(task->at, 1);
    if (task->result >= 0) task->result = tdsm_sem_acquire(task->at, TDSM_FOREVER);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || task->result < 0) return NULL;
  task->result = WIFEXITED(status) ? WEXITSTATUS(status) : TDSM_FAILED;
  return NULL;
}

/* 7 where the child was refused at each call, and the parent was served. */
int64_t fork_child(uint64_t key) { return run(fork_job, 1, (struct task){.at = key}); }

TDSM_SHARED _Atomic uint32_t shared_word;

/* Waits for a shared global variable; what it is in the end. */
int64_t await_shared(void) {
  while (atomic_load(&shared_word) == 0) {
    int code = tdsm_futex_wait(&shared_word, 0, TDSM_FOREVER);
    if (code < 0) return code;
  }
  return atomic_load(&shared_word);
}

int64_t set_shared(uint32_t value) {
  atomic_store(&shared_word, value);
  return tdsm_futex_notify(&shared_word, 1);
}
