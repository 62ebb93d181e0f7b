/**
 * tDSM for native code in C and C++: global variables that every node shares, and semaphores,
 * mutexes, barriers, waits for words and allocations, the same that a program in JavaScript has.
 * `tdsm.hpp` has classes for C++.
 *
 * Global variables
 * ================
 *
 * TDSM_SHARED marks the global variables of a native module that every node shares.
 *
 *     TDSM_SHARED _Atomic int counter;
 *     TDSM_SHARED static struct cell cells[1 << 20];
 *
 * Link the module with `-T rdma.ld` (GNU ld or LLD): it puts these variables on pages of their own.
 * They start as zero, and compilers refuse an initial value. Nothing may touch them before the
 * runtime has loaded the module, so neither may a constructor.
 *
 * Works in C and C++, with GCC and Clang. In templates only with Clang: GCC (12, for one) forgets
 * the section of a template's variables. The runtime refuses a module with such a variable, but
 * cannot know of one that is static in a function template. In Zig write
 * `linksection(".bss.rdma")`, in Rust `#[unsafe(link_section = ".bss.rdma")]`.
 */
#ifndef TDSM_H
#define TDSM_H

#ifndef __ELF__
#error "tdsm.h: only ELF platforms can share variables"
#endif

#if defined(__cplusplus) && defined(__clang__)
#define TDSM_SHARED __attribute__((section(".bss.rdma")))
/* Where only templates have variables in a section, Clang takes it for read-only, and the variables
   for constants. This one says that it is not; nothing uses it, so it takes no room. */
TDSM_SHARED __attribute__((unused)) static char tdsm_section_is_writable;
#elif defined(__cplusplus)
/* The visibility stays where GCC forgets the section, and shows the runtime such a variable. GCC
   would warn of it wherever a variable is static: no pragma can stand around a variable, so that the
   warning about attributes is off in the rest of the file that includes this one. */
#pragma GCC diagnostic ignored "-Wattributes"
#define TDSM_SHARED __attribute__((section(".bss.rdma"), visibility("protected")))
#else
#define TDSM_SHARED __attribute__((section(".bss.rdma")))
#endif

/*
 * Functions
 * =========
 *
 * Any thread of a process whose node has joined may call any of them, also one that native code has
 * made. They block the calling thread only. They are found in the process, so a module is linked
 * with nothing for them; it is to be loaded after the node has joined.
 *
 * A call answers TDSM_OK or another code that is not below zero when it succeeds, and a code below
 * zero when it fails; then tdsm_last_error() on the same thread has the reason in words.
 *
 * Time-outs are in milliseconds: TDSM_FOREVER is none, 0 is not to wait, and any other below zero is
 * TDSM_INVALID. Take care where a program computes what is left of a time: -1 is TDSM_FOREVER. Where
 * what was waited for comes at the same moment as the end of the time, it is taken.
 *
 * fork: the child has no node. Every call there answers TDSM_NOT_JOINED, until the child runs
 * another program, and the child has neither the region nor shared variables. The parent goes on.
 * The child keeps the parent's connections open, so let it end or run another program soon.
 *
 * Cancelling is not supported: a thread that waits in a call does not act on pthread_cancel, and one
 * whose cancel type is asynchronous may end in the midst of a call, after which the node cannot
 * close. End a wait by a time-out, or by a permit or a notify.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What calls answer. The list only grows, and a number never changes its meaning. */
enum tdsm_code {
  TDSM_OK = 0,
  /** Barriers: the calling thread was the last to arrive. */
  TDSM_LAST = 1,
  /** Mutexes: locked, but the last holder, its node or its thread, is gone without unlocking. */
  TDSM_ABANDONED = 2,
  /** Waits for words: the word has another value than expected. */
  TDSM_CHANGED = 3,
  /** The time is over. */
  TDSM_TIMED_OUT = -1,
  /** There is no permit now, or another thread holds the mutex; or no launcher gave a rank. */
  TDSM_UNAVAILABLE = -2,
  /** An argument cannot be used; or threads of a barrier give different numbers of parties. */
  TDSM_INVALID = -3,
  /** This process has no node; or it has several, and the thread has named none. */
  TDSM_NOT_JOINED = -4,
  /** The node was closed while, or before, the call ran. */
  TDSM_NODE_CLOSED = -5,
  /** A node has failed, and the cluster ends with it. */
  TDSM_NODE_FAILED = -6,
  /** A node is gone that takes part in the barrier. */
  TDSM_PEER_LOST = -7,
  /** The directory node is gone. */
  TDSM_DIRECTORY_LOST = -8,
  /** A page was only on a node that is gone. */
  TDSM_PAGE_LOST = -9,
  /** No node has memory left for pages. */
  TDSM_MEMORY_EXHAUSTED = -10,
  /** The region has no room for an allocation. */
  TDSM_OUT_OF_MEMORY = -11,
  /** An allocation of that name has another type, length or home. */
  TDSM_NAME_CONFLICT = -12,
  /** What is to be freed is no allocation, or is free already. */
  TDSM_NOT_ALLOCATED = -13,
  /** A bound of the runtime is reached, such as that of threads that use a node. */
  TDSM_LIMIT_EXCEEDED = -14,
  /** The engine of the node has failed, or is silent. */
  TDSM_ENGINE_FAILED = -15,
  /** The node cannot go on for another reason. */
  TDSM_FAILED = -16
};

/** No time-out. */
#define TDSM_FOREVER (-1)

/** What a code means, in words that are never freed. */
const char *tdsm_strerror(int code);

/** Why the last failed call of this thread has failed, until the next one; "" before the first. */
const char *tdsm_last_error(void);

/**
 * Attaches the calling thread to a node: `node.handle.region` in JavaScript, or 0 for the only node
 * of the process. Every other call does the same with 0, so only programs with several nodes have
 * to. At most 64 threads use a node at one time, Workers that are attached among them.
 */
int tdsm_thread_attach(uint32_t node);

/**
 * Gives up what the thread has of its node: mutexes that it holds are abandoned. A thread that ends
 * does so by itself.
 */
void tdsm_thread_detach(void);

/** The node's id, 1, 2, 3 ... in order of joining; below zero a code. */
int64_t tdsm_node_id(void);

/** Its place, from 0, among the nodes that a launcher has started; TDSM_UNAVAILABLE without one. */
int64_t tdsm_node_rank(void);

/** How many nodes a launcher has started together; without one, the setting `nodes`. */
int64_t tdsm_node_count(void);

/** How many nodes are there now, this one included. */
int64_t tdsm_nodes_here(void);

/** The first byte of the region in this process, another address on each node; NULL on failure. */
void *tdsm_memory(void);

/** The bytes of the region. */
int64_t tdsm_memory_size(void);

/** The bytes of a page. Pages move between nodes as a whole. */
int64_t tdsm_page_size(void);

/**
 * Where an address is in the region, in bytes: the same number on every node, to be kept in the
 * region instead of a pointer. Also for shared global variables.
 */
int64_t tdsm_offset_of(const volatile void *address);

/** The address of a byte of the region in this process; NULL where the region has none such. */
void *tdsm_at(uint64_t offset);

/** What an allocation is an array of. In JavaScript, `TDSM_F64` is a `Float64Array`, and so on. */
enum tdsm_element {
  TDSM_U8 = 0,
  TDSM_I8 = 1,
  TDSM_U16 = 2,
  TDSM_I16 = 3,
  TDSM_U32 = 4,
  TDSM_I32 = 5,
  TDSM_U64 = 6,
  TDSM_I64 = 7,
  TDSM_F32 = 8,
  TDSM_F64 = 9
};

/** As `home` of an allocation: all nodes in turn, by chunks of 128 pages. */
#define TDSM_SPREAD UINT32_MAX

/** How to allocate. All zero is what most want. */
typedef struct tdsm_alloc_options {
  /** Under this name every node gets the same cells: 1 to 255 bytes of UTF-8. NULL for none. */
  const char *name;
  /** What the offset in the region is a multiple of, in bytes: a power of two. */
  uint64_t alignment;
  /** The node that keeps the order of the pages: its id, or TDSM_SPREAD. */
  uint32_t home;
  /** Not 0: may share pages with other such allocations of this node. */
  uint32_t packed;
} tdsm_alloc_options;

/**
 * Allocates an array of so many elements in the region, all zero, and writes its address.
 * `options` may be NULL.
 */
int tdsm_alloc(enum tdsm_element element, uint64_t length, const tdsm_alloc_options *options,
               void **out);

/** Frees a whole allocation of so many bytes, made on this node or any other. */
int tdsm_free(const volatile void *address, uint64_t bytes);

/** Takes a permit of a semaphore, or waits for one. Any key names one; it starts at 0. */
int tdsm_sem_acquire(uint64_t key, int64_t timeout_ms);

/** Takes a permit if there is one; TDSM_UNAVAILABLE where there is none. */
int tdsm_sem_try_acquire(uint64_t key);

/**
 * Adds permits, and does not wait until the directory node has them. If it refuses them, a later
 * call of this thread tells of that: TDSM_LIMIT_EXCEEDED or TDSM_INVALID, and tdsm_last_error()
 * begins its reason with "an earlier release". The call that tells of it has done nothing itself,
 * a release has added nothing, so the same call may be made again. tdsm_mutex_unlock never tells.
 */
int tdsm_sem_release(uint64_t key, uint32_t count);

/** Makes a semaphore with so many permits, and writes its key, which no other has. */
int tdsm_sem_make(uint32_t count, uint64_t *key);

/** A mutex that is held. The contents are the library's. */
typedef struct tdsm_lock {
  uint32_t ticket;
  uint32_t reserved;
} tdsm_lock;

/**
 * Locks the mutex of that name, 1 to 255 bytes of UTF-8, or waits for it. Answers TDSM_OK or
 * TDSM_ABANDONED. A thread that holds it and locks it again waits for itself.
 */
int tdsm_mutex_lock(const char *name, int64_t timeout_ms, tdsm_lock *lock);

/** Locks it if it is free; TDSM_UNAVAILABLE where it is not. */
int tdsm_mutex_try_lock(const char *name, tdsm_lock *lock);

/**
 * Unlocks it; any thread that is attached to the node may. Does not wait for the directory node: if
 * that refuses, a later call tells of it, as for tdsm_sem_release().
 */
int tdsm_mutex_unlock(tdsm_lock *lock);

/**
 * Arrives at the barrier of that name, and waits until as many threads of all nodes have as
 * `parties` says. Answers TDSM_LAST in one of them and TDSM_OK in the others.
 */
int tdsm_barrier_wait(const char *name, uint32_t parties, int64_t timeout_ms);

/**
 * Waits until a word of 32 bits in the region is notified, by any thread of any node, unless it has
 * another value than expected: then TDSM_CHANGED. Looks at the word for a short time first.
 */
int tdsm_futex_wait(const volatile void *word, uint32_t expected, int64_t timeout_ms);

/** The same for a word of 64 bits. */
int tdsm_futex_wait64(const volatile void *word, uint64_t expected, int64_t timeout_ms);

/** Wakes as many threads at most that wait for a word; answers how many, or below zero a code. */
int64_t tdsm_futex_notify(const volatile void *word, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif
