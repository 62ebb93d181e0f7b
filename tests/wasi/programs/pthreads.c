// What pthreads and files offer, in a program that ends with OK where all of it works. It uses the
// folder /data, which is empty.
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { THREADS = 4, ROUNDS = 50 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_barrier_t barrier;
static pthread_key_t key;
static int initialised, table[THREADS], queue, taken, is_detached;
static _Atomic long destroyed;
static _Thread_local long own;
// The pages on which each thread has its stack, and its own variables.
static size_t pages[THREADS][2];

static void initialise(void) { initialised++; }
static void destroy(void *value) { destroyed += (long)value; }

static void *work(void *argument) {
  long number = (long)argument;
  pages[number - 1][0] = (size_t)__builtin_frame_address(0) / 4096;
  pages[number - 1][1] = (size_t)&own / 4096;
  pthread_once(&once, initialise);
  CHECK(pthread_setspecific(key, argument) == 0);
  pthread_barrier_wait(&barrier);
  for (int round = 0; round < ROUNDS; round++) {
    pthread_rwlock_wrlock(&table_lock);
    for (int cell = 0; cell < THREADS; cell++) table[cell]++;
    pthread_rwlock_unlock(&table_lock);
    pthread_rwlock_rdlock(&table_lock);
    for (int cell = 1; cell < THREADS; cell++) CHECK(table[cell] == table[0]);
    pthread_rwlock_unlock(&table_lock);
    own += number;
  }
  CHECK(own == number * ROUNDS);
  CHECK(pthread_getspecific(key) == argument);
  char *text = malloc(64);
  snprintf(text, 64, "%ld", number);
  return text;
}

static void *consume(void *argument) {
  pthread_mutex_lock(&mutex);
  while (taken < 100) {
    while (queue == 0) pthread_cond_wait(&changed, &mutex);
    queue--;
    taken++;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&mutex);
  return argument;
}

static void *detached(void *argument) {
  pthread_mutex_lock(&mutex);
  is_detached = 1;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&mutex);
  return argument;
}

static void together(void) {
  pthread_t threads[THREADS];
  CHECK(pthread_key_create(&key, destroy) == 0);
  CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
  for (long index = 0; index < THREADS; index++) {
    CHECK(pthread_create(&threads[index], NULL, work, (void *)(index + 1)) == 0);
  }
  for (long index = 0; index < THREADS; index++) {
    char *text;
    CHECK(pthread_join(threads[index], (void **)&text) == 0);
    CHECK(atol(text) == index + 1);
    free(text);
  }
  for (int one = 0; one < THREADS; one++) {
    for (int other = 0; other < one; other++) {
      for (int at = 0; at < 4; at++) CHECK(pages[one][at / 2] != pages[other][at % 2]);
    }
  }
  CHECK(initialised == 1 && destroyed == 1 + 2 + 3 + 4);
  CHECK(table[0] == THREADS * ROUNDS && own == 0);
}

static void conditions(void) {
  pthread_t consumer;
  CHECK(pthread_create(&consumer, NULL, consume, NULL) == 0);
  for (int item = 0; item < 100; item++) {
    pthread_mutex_lock(&mutex);
    while (queue > 3) pthread_cond_wait(&changed, &mutex);
    queue++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  CHECK(pthread_join(consumer, NULL) == 0 && taken == 100);

  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 10000000;
  soon.tv_sec += soon.tv_nsec / 1000000000;
  soon.tv_nsec %= 1000000000;
  pthread_mutex_lock(&mutex);
  CHECK(pthread_cond_timedwait(&changed, &mutex, &soon) == ETIMEDOUT);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  CHECK(pthread_create(&thread, &attributes, detached, NULL) == 0);
  while (!is_detached) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
}

static void files(void) {
  char line[64];
  struct stat found;
  CHECK(mkdir("/data/folder", 0755) == 0);
  FILE *file = fopen("/data/folder/text", "w");
  CHECK(file != NULL && fprintf(file, "forty-%s\n", "two") > 0 && fclose(file) == 0);
  file = fopen("/data/folder/text", "r");
  CHECK(file != NULL && fgets(line, sizeof line, file) == line && fclose(file) == 0);
  CHECK(strcmp(line, "forty-two\n") == 0);
  CHECK(stat("/data/folder/text", &found) == 0 && found.st_size == 10);
  DIR *folder = opendir("/data/folder");
  CHECK(folder != NULL);
  int entries = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) entries += entry->d_name[0] != '.';
  CHECK(closedir(folder) == 0 && entries == 1);
  CHECK(rename("/data/folder/text", "/data/kept") == 0 && rmdir("/data/folder") == 0);
  CHECK(fopen("/data/nothing", "r") == NULL && errno == ENOENT);
  // Nothing outside of its folder is there.
  CHECK(fopen("/data/../outside", "r") == NULL && fopen("/etc/passwd", "r") == NULL);
}

static void *in_thread(void *unused) {
  files();
  return unused;
}

int main(int argc, char **argv) {
  together();
  conditions();
  // Wherever a thread runs, its files are those of the first node.
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, in_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
  // The test has pipes for them.
  CHECK(!isatty(0) && !isatty(1) && !isatty(2));
  CHECK(argc == 2 && getenv("GREETING") != NULL);
  printf("%s, %s\nOK\n", getenv("GREETING"), argv[1]);
  return 0;
}
