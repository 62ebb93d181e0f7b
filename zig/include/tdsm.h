/**
 * Marks the global variables of a native module that every node shares.
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

#endif
