// Counts primes with threads of pthreads. Nothing in it knows of nodes:
//   ./tdsm wasm -n 2 primes.wasm 4
// README.md beside this file says how it is built.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNKS = 400, WIDTH = 5000, THREADS_MAX = 64 };

static _Atomic int next_chunk;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long primes;

static int is_prime(long number) {
  for (long factor = 2; factor * factor <= number; factor++) {
    if (number % factor == 0) return 0;
  }
  return number > 1;
}

// Takes chunks until none is left; returns how many those were.
static void *work(void *unused) {
  (void)unused;
  long taken = 0;
  for (int chunk = next_chunk++; chunk < CHUNKS; chunk = next_chunk++, taken++) {
    long found = 0;
    for (long number = (long)chunk * WIDTH; number < (long)(chunk + 1) * WIDTH; number++) {
      found += is_prime(number);
    }
    pthread_mutex_lock(&lock);
    primes += found;
    pthread_mutex_unlock(&lock);
  }
  return (void *)taken;
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 4;
  if (count < 1 || count > THREADS_MAX) {
    fprintf(stderr, "give a number of threads from 1 to %d\n", THREADS_MAX);
    return 2;
  }
  pthread_t threads[THREADS_MAX];
  for (int index = 0; index < count; index++) {
    if (pthread_create(&threads[index], NULL, work, NULL) != 0) {
      fprintf(stderr, "there is no room for thread %d\n", index + 1);
      return 1;
    }
  }
  for (int index = 0; index < count; index++) {
    void *taken;
    pthread_join(threads[index], &taken);
    printf("thread %d took %ld chunks\n", index + 1, (long)taken);
  }
  printf("%ld primes below %d\n", primes, CHUNKS * WIDTH);
  puts(primes == 148933 ? "OK" : "WRONG");
  return primes != 148933;
}
