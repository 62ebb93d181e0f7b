// What the rows of the family "threads" measure: a program with pthreads as anyone would write it,
// but that it says on which node a thread is to be. Each line of standard input names a measurement
// and how much of it; it is answered with a line of JSON: its samples in microseconds, those of
// chunks in milliseconds.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The first node of the program, and the other.
enum { HOME = 1, OTHER = 2 };
enum { THREADS = 2, SAMPLES_MAX = 100000 };
enum { CHUNKS = 400, CHUNK_WIDTH = 20000, CHUNK_THREADS_MAX = 8 };
// The primes in all chunks, which are those below eight million. A chunk takes some 3 ms.
enum { PRIMES = 539777 };

__attribute__((import_module("tdsm_threads"), import_name("spawn_on"))) int spawn_on(int node);

// Each has a page of its own: nothing but what is measured moves it.
#define APART __attribute__((aligned(4096)))

// The samples of each thread: no other node writes to their pages.
static struct {
  APART int count;
  APART double us[SAMPLES_MAX];
} taken[THREADS];
static APART pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static APART pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static APART pthread_barrier_t barrier;
static APART _Atomic int word;
static APART struct {
  long count;
  int turn;
  int holder;
  double released;
} shared;
static APART _Atomic int next_chunk;
static APART int rounds;
static int duration_ms;

static double now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void sample(long thread, double us) {
  if (taken[thread].count < SAMPLES_MAX) taken[thread].us[taken[thread].count++] = us;
}

static void fail(const char *reason) {
  fprintf(stderr, "threads: %s\n", reason);
  exit(1);
}

static pthread_t start(int node, void *(*work)(void *), long index) {
  pthread_t thread;
  if (spawn_on(node) != 0) fail("there is no such node");
  if (pthread_create(&thread, NULL, work, (void *)index) != 0) fail("there is no room");
  return thread;
}

// Has one thread on each of two nodes do the same.
static void both(int first, int second, void *(*work)(void *)) {
  pthread_t threads[] = {start(first, work, 0), start(second, work, 1)};
  for (int index = 0; index < 2; index++) pthread_join(threads[index], NULL);
}

static void *nothing(void *argument) { return argument; }

static void create(int count) {
  for (int round = 0; round < count; round++) {
    double since = now_us();
    pthread_join(start(OTHER, nothing, 0), NULL);
    sample(0, now_us() - since);
  }
}

// Locks, adds and unlocks for as long as the round goes on.
static void *contend(void *index) {
  pthread_barrier_wait(&barrier);
  double end = now_us() + duration_ms * 1e3;
  do {
    for (int time = 0; time < 100; time++) {
      pthread_mutex_lock(&mutex);
      shared.count++;
      pthread_mutex_unlock(&mutex);
    }
  } while (now_us() < end);
  return index;
}

static void contended(int ms) {
  duration_ms = ms;
  shared.count = 0;
  double since = now_us();
  both(HOME, OTHER, contend);
  sample(0, (now_us() - since) / shared.count);
}

// The same; a lock behind another thread's unlock is a hand-over, and is timed.
static void *hand_over(void *index) {
  int thread = (int)(long)index;
  pthread_barrier_wait(&barrier);
  double end = now_us() + duration_ms * 1e3;
  for (double now = 0; now < end;) {
    pthread_mutex_lock(&mutex);
    now = now_us();
    if (shared.holder != thread && shared.released > 0) sample(thread, now - shared.released);
    shared.holder = thread;
    shared.released = now_us();
    pthread_mutex_unlock(&mutex);
  }
  return index;
}

static void handed_over(int ms) {
  duration_ms = ms;
  shared.holder = -1;
  shared.released = 0;
  both(HOME, OTHER, hand_over);
}

// Each waits until it is its turn; a turn is half of the way there and back.
static void *take_turns_by_cond(void *index) {
  int mine = (int)(long)index;
  pthread_barrier_wait(&barrier);
  double since = now_us();
  for (int round = 0; round < rounds; round++) {
    pthread_mutex_lock(&mutex);
    while (shared.turn != mine) pthread_cond_wait(&turned, &mutex);
    shared.turn = !mine;
    pthread_cond_signal(&turned);
    pthread_mutex_unlock(&mutex);
    double now = now_us();
    if (mine == 0 && round > 0) sample(0, (now - since) / 2);
    since = now;
  }
  return index;
}

static void cond(int count) {
  rounds = count;
  shared.turn = 0;
  both(HOME, OTHER, take_turns_by_cond);
}

static void *wait_at_barrier(void *index) {
  pthread_barrier_wait(&barrier);
  for (int round = 0; round < rounds; round++) {
    double since = now_us();
    pthread_barrier_wait(&barrier);
    if (index == 0) sample(0, now_us() - since);
  }
  return index;
}

static void barriers(int count) {
  rounds = count;
  both(HOME, OTHER, wait_at_barrier);
}

static void *take_turns_by_futex(void *index) {
  int mine = (int)(long)index;
  pthread_barrier_wait(&barrier);
  double since = now_us();
  for (int round = 0; round < rounds; round++) {
    while (word != mine) __builtin_wasm_memory_atomic_wait32((int *)&word, !mine, -1);
    word = !mine;
    __builtin_wasm_memory_atomic_notify((int *)&word, 1);
    double now = now_us();
    if (mine == 0 && round > 0) sample(0, (now - since) / 2);
    since = now;
  }
  return index;
}

static void futex(int count, int second) {
  rounds = count;
  word = 0;
  both(HOME, second, take_turns_by_futex);
}

static int is_prime(long number) {
  if (number % 2 == 0) return number == 2;
  for (long factor = 3; factor * factor <= number; factor += 2) {
    if (number % factor == 0) return 0;
  }
  return number > 1;
}

static void *take_chunks(void *found) {
  long primes = 0;
  for (int chunk = next_chunk++; chunk < CHUNKS; chunk = next_chunk++) {
    long first = (long)chunk * CHUNK_WIDTH;
    for (long number = first; number < first + CHUNK_WIDTH; number++) primes += is_prime(number);
  }
  pthread_mutex_lock(&mutex);
  shared.count += primes;
  pthread_mutex_unlock(&mutex);
  return found;
}

// A thread for each node, as they are placed by themselves.
static void chunks(int count) {
  pthread_t threads[CHUNK_THREADS_MAX];
  if (count > CHUNK_THREADS_MAX) fail("so many threads are too many");
  next_chunk = 0;
  shared.count = 0;
  double since = now_us();
  for (int index = 0; index < count; index++) {
    if (pthread_create(&threads[index], NULL, take_chunks, NULL) != 0) fail("there is no room");
  }
  for (int index = 0; index < count; index++) pthread_join(threads[index], NULL);
  sample(0, (now_us() - since) / 1e3);
  if (shared.count != PRIMES) fail("the number of primes is wrong");
}

int main(void) {
  char line[64], what[32];
  int amount;
  pthread_barrier_init(&barrier, NULL, 2);
  puts("\"ready\"");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "%31s %d", what, &amount) != 2) fail("a line is a name and a number");
    for (int thread = 0; thread < THREADS; thread++) taken[thread].count = 0;
    if (strcmp(what, "create") == 0) create(amount);
    else if (strcmp(what, "contended") == 0) contended(amount);
    else if (strcmp(what, "handed-over") == 0) handed_over(amount);
    else if (strcmp(what, "cond") == 0) cond(amount);
    else if (strcmp(what, "barriers") == 0) barriers(amount);
    else if (strcmp(what, "futex") == 0) futex(amount, OTHER);
    else if (strcmp(what, "futex-within") == 0) futex(amount, HOME);
    else if (strcmp(what, "chunks") == 0) chunks(amount);
    else fail("there is no such measurement");
    char before = '[';
    for (int thread = 0; thread < THREADS; thread++) {
      for (int index = 0; index < taken[thread].count; index++, before = ',') {
        printf("%c%.3f", before, taken[thread].us[index]);
      }
    }
    puts(before == '[' ? "[]" : "]");
    fflush(stdout);
  }
  return 0;
}
