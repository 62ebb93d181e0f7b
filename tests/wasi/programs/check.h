// Ends a program, and says where, once something does not hold.
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                \
  do {                                                                  \
    if (!(condition)) {                                                 \
      printf("line %d: %s does not hold\n", __LINE__, #condition);      \
      exit(1);                                                          \
    }                                                                   \
  } while (0)
