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
 * Works in C and C++, with GCC and Clang. In Zig write `linksection(".bss.rdma")`, in Rust
 * `#[unsafe(link_section = ".bss.rdma")]`.
 */
#ifndef TDSM_H
#define TDSM_H

#ifndef __ELF__
#error "tdsm.h: only ELF platforms can share variables"
#endif

#define TDSM_SHARED __attribute__((section(".bss.rdma")))

#endif
