/**
 * Layouts, flags and status codes of the C ABI, as numbers that TypeScript can use without asking
 * the library. `zig/src/abi.zig` is the other side; a test compares the two field by field.
 */

import { TdsmError, type TdsmErrorCode } from "../runtime/errors.ts";
import {
  NOISE_PAYLOAD_MAX_BYTES,
  PAGE_SIZE_MAX_BYTES,
  PAGE_SIZE_MIN_BYTES,
  REGION_MAX_BYTES,
} from "../runtime/limits.ts";

/** The ABI version that this code is written for. */
export const ABI_VERSION = 8;

/** Layout of `tdsm_open_options`, in bytes. */
export const OPEN_OPTIONS = {
  size: 32,
  fields: {
    size: { offset: 0, size: 8 },
    required_features: { offset: 8, size: 8 },
    page_size: { offset: 16, size: 4 },
    flags: { offset: 20, size: 4 },
    window_address: { offset: 24, size: 8 },
  },
} as const;

/** Layout of `tdsm_region_info`, in bytes. */
export const REGION_INFO = {
  size: 64,
  fields: {
    window_address: { offset: 0, size: 8 },
    alias_address: { offset: 8, size: 8 },
    size: { offset: 16, size: 8 },
    features: { offset: 24, size: 8 },
    missing_features: { offset: 32, size: 8 },
    handle: { offset: 40, size: 4 },
    page_size: { offset: 44, size: 4 },
    flags: { offset: 48, size: 4 },
    failed_step: { offset: 52, size: 4 },
    errno: { offset: 56, size: 4 },
    reserved: { offset: 60, size: 4 },
  },
} as const;

/** Layout of `tdsm_fault`, in bytes. */
export const FAULT = {
  size: 16,
  fields: {
    page: { offset: 0, size: 4 },
    flags: { offset: 4, size: 4 },
    thread: { offset: 8, size: 4 },
    window: { offset: 12, size: 4 },
  },
} as const;

/** Layout of `tdsm_link_ready`, in bytes. */
export const LINK_READY = {
  size: 8,
  fields: {
    fd: { offset: 0, size: 4 },
    bits: { offset: 4, size: 4 },
  },
} as const;

/** Layout of `tdsm_thread_times`, in bytes. */
export const THREAD_TIMES = {
  size: 24,
  fields: {
    looked_ns: { offset: 0, size: 8 },
    ran_ns: { offset: 8, size: 8 },
    waited_ns: { offset: 16, size: 8 },
  },
} as const;

/** Layout of `tdsm_rdma_section_info`, in bytes. */
export const RDMA_SECTION_INFO = {
  size: 24,
  fields: {
    start: { offset: 0, size: 8 },
    end: { offset: 8, size: 8 },
    size: { offset: 16, size: 8 },
  },
} as const;

/** Layout of `tdsm_module_info`, in bytes. */
export const MODULE_INFO = {
  size: 256,
  fields: {
    address: { offset: 0, size: 8 },
    size: { offset: 8, size: 8 },
    layout_hash: { offset: 16, size: 8 },
    value_offset: { offset: 24, size: 8 },
    module: { offset: 32, size: 4 },
    variables: { offset: 36, size: 4 },
    problem: { offset: 40, size: 4 },
    errno: { offset: 44, size: 4 },
    variable: { offset: 48, size: 208 },
  },
} as const;

/** Layout of `tdsm_seal_state`, in bytes; the library alone reads and writes it. */
export const SEAL_STATE = {
  size: 48,
  fields: {
    key: { offset: 0, size: 32 },
    number: { offset: 32, size: 8 },
    suite: { offset: 40, size: 4 },
    length: { offset: 44, size: 4 },
  },
} as const;

/**
 * Layout of `tdsm_sealed_link`, in bytes. The library alone reads and writes it, once a link is its
 * own.
 */
export const SEALED_LINK = {
  size: 155_888,
  fields: {
    sends: { offset: 0, size: 48 },
    receives: { offset: 48, size: 48 },
    out_start: { offset: 96, size: 4 },
    out_end: { offset: 100, size: 4 },
    in_start: { offset: 104, size: 4 },
    in_end: { offset: 108, size: 4 },
    plain_start: { offset: 112, size: 4 },
    plain_end: { offset: 116, size: 4 },
    failure: { offset: 120, size: 4 },
    held: { offset: 124, size: 4 },
    out: { offset: 128, size: 81_992 },
    in: { offset: 82_120, size: 73_764 },
  },
} as const;

/** The fields of `tdsm_program_node`, each of 32 bits, in their order. */
export const PROGRAM_NODE_FIELDS = [
  "id",
  "rank",
  "node_count",
  "slots",
  "ring_bytes",
  "quiet_slots",
  "call_max",
  "posts_max",
  "slot_wait_ms",
  "slot_look_ms",
  "call_max_ms",
  "ended_look_ms",
  "desk_silence_ms",
  "spin_max_us",
  "spin_min_us",
  "spin_looks",
  "asleep_at",
  "count_at",
  "ended_at",
  "closing_at",
  "failure_at",
  "wanted_at",
  "released_at",
  "threads_at",
  "next_call_at",
  "peer_count_at",
  "quiet_at",
  "rings_at",
  "failure_text_at",
  "links_at",
  "seals_at",
  "seal_bytes",
  "link_after",
  "tree_nodes",
  "link_unanswered_max",
  "link_first",
  "link_tickets",
  "protocol_version",
] as const;

/** Layout of `tdsm_noise_state`, in bytes; but for the hash, the library alone uses its fields. */
export const NOISE_STATE = {
  size: 168,
  fields: {
    hash: { offset: 0, size: 32 },
    chaining_key: { offset: 32, size: 32 },
    cipher_key: { offset: 64, size: 32 },
    private: { offset: 96, size: 32 },
    remote: { offset: 128, size: 32 },
    role: { offset: 160, size: 4 },
    step: { offset: 164, size: 4 },
  },
} as const;

/** `u32` words of one fault record in the array that `NativeRegion.readFaults` fills. */
export const FAULT_WORDS = 4;
/** The word of a fault record that has the logical page. */
export const FAULT_PAGE = 0;
/**
 * The word of a fault record that has bits of `FAULT_WRITE`, `FAULT_WRITE_PROTECT`, `FAULT_MINOR`.
 */
export const FAULT_FLAGS = 1;
/** The word of a fault record that has the kernel's id of the thread, or 0. */
export const FAULT_THREAD = 2;
/** The word of a fault record that has the slot of the window; 0 is the main window. */
export const FAULT_WINDOW = 3;

/** A fault's flag: the access was a write. */
export const FAULT_WRITE = 1;
/** A fault's flag: the page is mapped but write-protected. */
export const FAULT_WRITE_PROTECT = 2;
/** A fault's flag: the region has the page's bytes, the window has no entry. */
export const FAULT_MINOR = 4;

/** `tdsm_open` flag: refuse where faults inside system calls cannot be served. */
export const OPEN_REQUIRE_KERNEL_FAULTS = 1;
/** Region flag: a system call on an absent page fails with EFAULT instead of faulting. */
export const REGION_USER_MODE_ONLY = 1;
/** Region flag: userfaultfd came from `/dev/userfaultfd`, not from the system call. */
export const REGION_FROM_DEVICE = 2;
/** Region flag: the kernel counts how often threads are given a core. */
export const REGION_COUNTS_RUNS = 4;
/** `tdsm_install` flag: writable; without it write-protected. */
export const INSTALL_WRITABLE = 1;
/** `tdsm_install` flag: make the bytes zero first. */
export const INSTALL_ZERO = 2;
/** The bytes that `tdsm_module_path` may write. */
export const PATH_MAX_BYTES = 4096;
/** Bit that `tdsm_wait` answers: faults can be read. */
export const WAIT_FAULTS = 1;
/** Bit that `tdsm_wait` answers: a thread called `tdsm_kick`. */
export const WAIT_KICKED = 2;
/**
 * Bit that `tdsm_wait` answers: the region is being closed, so there is nothing more to wait for.
 */
export const WAIT_CLOSING = 4;
/**
 * In the word of {@linkcode NativeRegion.watchExit}: a thread ends the process, and waits for the
 * engine.
 */
export const EXIT_BEGUN = 3;
/** Bit that `tdsm_links_wait` answers beside the number of links: faults can be read. */
export const READY_FAULTS: number = 1 << 16;
/** Bit that `tdsm_links_wait` answers: a thread called `tdsm_kick`. */
export const READY_KICKED: number = 1 << 17;
/** Bit that `tdsm_links_wait` answers: the event loop of this thread has something to do. */
export const READY_LOOP: number = 1 << 18;
/** Bit that `tdsm_links_wait` answers: what happened was seen in a look, before any sleep. */
export const READY_SEEN: number = 1 << 19;
/** Bit that `tdsm_links_wait` answers: `tdsm_signals_take` has something to tell. */
export const READY_SIGNALS: number = 1 << 20;
/** Bit that `tdsm_links_wait` answers: a look left the cores to other threads. */
export const READY_TAKEN: number = 1 << 21;
/** Bit that `tdsm_links_wait` answers: its look ended since its time was over. */
export const READY_OVER: number = 1 << 22;
/** Bit of a link: bytes have arrived, or the other side has ended. */
export const LINK_BYTES = 1;
/** Bit of a link: there is room for bytes to send. */
export const LINK_ROOM = 2;
/**
 * The longest message with which {@linkcode NativeRegion.fence} ends the process, in bytes of
 * UTF-8.
 */
export const FENCE_MESSAGE_MAX_BYTES = 4096;

/** The bytes of one direction's key for sealing. */
export const SEAL_KEY_BYTES = 32;
/** The bytes of a sealed record before those that it carries. */
export const SEAL_HEADER_BYTES = 20;
/** How much longer a sealed record is than what it carries, in bytes. */
export const SEAL_OVERHEAD_BYTES = 36;
/** The most bytes that a sealed record carries. */
export const SEAL_RECORD_MAX_BYTES = 65_536;

/** How much longer a message of the handshake with a key is than its payload, in bytes. */
export const NOISE_OVERHEAD_BYTES = 48;

/** The constants above and the bounds of the library, by their names in the layout manifest. */
export const CONSTANTS = {
  page_size_min: PAGE_SIZE_MIN_BYTES,
  page_size_max: PAGE_SIZE_MAX_BYTES,
  region_size_max: REGION_MAX_BYTES,
  regions_max: 64,
  windows_max: 64,
  open_require_kernel_faults: OPEN_REQUIRE_KERNEL_FAULTS,
  region_user_mode_only: REGION_USER_MODE_ONLY,
  region_from_device: REGION_FROM_DEVICE,
  region_counts_runs: REGION_COUNTS_RUNS,
  install_writable: INSTALL_WRITABLE,
  install_zero: INSTALL_ZERO,
  fault_write: FAULT_WRITE,
  fault_write_protect: FAULT_WRITE_PROTECT,
  fault_minor: FAULT_MINOR,
  wait_faults: WAIT_FAULTS,
  wait_kicked: WAIT_KICKED,
  wait_closing: WAIT_CLOSING,
  modules_max: 64,
  path_max: PATH_MAX_BYTES,
  fence_message_max: FENCE_MESSAGE_MAX_BYTES,
  exit_begun: EXIT_BEGUN,
  seal_key: SEAL_KEY_BYTES,
  seal_header: SEAL_HEADER_BYTES,
  seal_overhead: SEAL_OVERHEAD_BYTES,
  seal_record_max: SEAL_RECORD_MAX_BYTES,
  noise_overhead: NOISE_OVERHEAD_BYTES,
  noise_payload_max: NOISE_PAYLOAD_MAX_BYTES,
  ready_faults: READY_FAULTS,
  ready_kicked: READY_KICKED,
  ready_loop: READY_LOOP,
  ready_seen: READY_SEEN,
  ready_signals: READY_SIGNALS,
  ready_taken: READY_TAKEN,
  ready_over: READY_OVER,
  link_bytes: LINK_BYTES,
  link_room: LINK_ROOM,
  descriptors_max: 65536,
} as const;

/** Status codes by name; a call answers them negated. */
export const STATUSES = {
  ok: 0,
  bad_argument: 1,
  bad_handle: 2,
  privilege_missing: 3,
  kernel_unsupported: 4,
  out_of_memory: 5,
  too_many_files: 6,
  system_call_failed: 7,
  limit_exceeded: 8,
  window_gone: 9,
  module_unusable: 10,
  module_in_use: 11,
  memory_exhausted: 12,
  fenced: 13,
  file_limited: 14,
  not_authentic: 15,
} as const;

/** Why a module is refused, by name. */
export const PROBLEMS = {
  none: 0,
  not_loaded: 1,
  file_unreadable: 2,
  file_changed: 3,
  not_elf: 4,
  section_missing: 5,
  section_empty: 6,
  section_misaligned: 7,
  has_values: 8,
  variable_elsewhere: 9,
} as const;

/** Steps of `tdsm_open` by name. */
export const STEPS = {
  none: 0,
  options: 1,
  region_table: 2,
  memory_file: 3,
  map_window: 4,
  map_alias: 5,
  advise: 6,
  userfaultfd: 7,
  handshake: 8,
  features: 9,
  register: 10,
  probe_continue: 11,
  event: 12,
} as const;

/** What was being done at each step of `tdsm_open`, to end "Cannot open the region: " with. */
const STEP_TEXTS: Readonly<Record<number, string>> = {
  [STEPS.options]: "checking the options",
  [STEPS.region_table]: "finding a free region slot",
  [STEPS.memory_file]: "making the memory file",
  [STEPS.map_window]: "mapping the region",
  [STEPS.map_alias]: "mapping the region a second time",
  [STEPS.advise]: "advising the kernel about the mapping",
  [STEPS.userfaultfd]: "asking for a userfaultfd",
  [STEPS.handshake]: "shaking hands with userfaultfd",
  [STEPS.features]: "checking the features of userfaultfd",
  [STEPS.register]: "registering the region with userfaultfd",
  [STEPS.probe_continue]: "trying UFFDIO_CONTINUE_MODE_WP",
  [STEPS.event]: "making an event descriptor",
};

/** Names of the bits of UFFD_FEATURE_*, from bit 0. */
const FEATURE_NAMES = [
  "PAGEFAULT_FLAG_WP",
  "EVENT_FORK",
  "EVENT_REMAP",
  "EVENT_REMOVE",
  "MISSING_HUGETLBFS",
  "MISSING_SHMEM",
  "EVENT_UNMAP",
  "SIGBUS",
  "THREAD_ID",
  "MINOR_HUGETLBFS",
  "MINOR_SHMEM",
  "EXACT_ADDRESS",
  "WP_HUGETLBFS_SHMEM",
  "WP_UNPOPULATED",
  "POISON",
  "WP_ASYNC",
  "MOVE",
];

/** Errno values that the messages name; equal on every Linux that is supported. */
const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  27: "EFBIG",
  28: "ENOSPC",
  38: "ENOSYS",
  95: "EOPNOTSUPP",
};

/** What each failing status means to a caller, and what to do about it. */
const FAILURES: Readonly<Record<number, { code: TdsmErrorCode; text: string }>> = {
  [STATUSES.bad_argument]: {
    code: "InvalidOption",
    text: "an argument is out of range",
  },
  [STATUSES.bad_handle]: {
    code: "NodeClosed",
    text: "the region is closed",
  },
  [STATUSES.privilege_missing]: {
    code: "PrivilegeMissing",
    text:
      "the kernel refuses userfaultfd to this user; set `sysctl vm.unprivileged_userfaultfd=1`, " +
      "or give the user access to /dev/userfaultfd, or run as root " +
      "(in a container, allow the userfaultfd system call)",
  },
  [STATUSES.kernel_unsupported]: {
    code: "KernelUnsupported",
    text: "the kernel lacks what is needed; use Linux 6.4 or newer, built with " +
      "CONFIG_USERFAULTFD, and pages no smaller than its own",
  },
  [STATUSES.out_of_memory]: {
    code: "SystemCallFailed",
    text:
      "no memory or address space is left; ask for a smaller region, or raise `ulimit -v`, or, " +
      "in a program that locks its memory (mlockall), `ulimit -l`",
  },
  [STATUSES.too_many_files]: {
    code: "SystemCallFailed",
    text: "no file descriptor is left; raise `ulimit -n`",
  },
  [STATUSES.system_call_failed]: {
    code: "SystemCallFailed",
    text: "a system call failed",
  },
  [STATUSES.limit_exceeded]: {
    code: "LimitExceeded",
    text:
      `a table of the library is full; a process has at most ${CONSTANTS.regions_max} regions, ` +
      `a region at most ${CONSTANTS.windows_max} windows, and ${CONSTANTS.modules_max} native ` +
      "modules can be open",
  },
  [STATUSES.window_gone]: {
    code: "SystemCallFailed",
    text:
      "native code has unmapped or moved memory of the region, or has mapped other memory there " +
      "(munmap, mremap, mmap); leave the region where it is",
  },
  [STATUSES.not_authentic]: {
    code: "FrameCorrupted",
    text: "what has arrived is not what the other end has sealed: something on the way changes it",
  },
  [STATUSES.file_limited]: {
    code: "SystemCallFailed",
    text: "the region is larger than a file of this process may be; ask for a smaller region, or " +
      "raise `ulimit -f`",
  },
  [STATUSES.module_unusable]: {
    code: "LibraryMismatch",
    text: "the native module cannot share its variables",
  },
  [STATUSES.module_in_use]: {
    code: "InvalidOption",
    text: "this process shares the native module's variables already, with another node or under " +
      "another name; start a process for each node, and use one name",
  },
  [STATUSES.memory_exhausted]: {
    code: "MemoryExhausted",
    text:
      "there is no memory left for the region's pages; set --memory-limit to what this process " +
      "may use, or end what else uses the memory",
  },
  [STATUSES.fenced]: {
    code: "NodeClosed",
    text: "the region is fenced, because its node cannot go on",
  },
};

/**
 * Names an errno, as the end of a message.
 *
 * @param errno The number, 0 if there is none.
 * @returns ` (ENOENT)`, or nothing for 0.
 */
export function nameErrno(errno: number): string {
  return errno === 0 ? "" : ` (${ERRNO_NAMES[errno] ?? `errno ${errno}`})`;
}

/**
 * Makes the error of a call that answered a negative number.
 *
 * @param operation What was tried, in the caller's words: `install pages 3..5`.
 * @param result What the call answered, below 0.
 * @param errno The kernel's reason, 0 if there is none.
 * @returns The error, not thrown.
 */
export function statusError(operation: string, result: number, errno: number): TdsmError {
  const failure = FAILURES[-result] ??
    { code: "SystemCallFailed" as const, text: `unknown status ${-result}` };
  return new TdsmError(failure.code, `Cannot ${operation}: ${failure.text}${nameErrno(errno)}`, {
    operation: operation.split(" ", 1)[0] ?? operation,
    ...(errno === 0 ? {} : { errno }),
  });
}

/** What `tdsm_open` says of its failure. */
export interface OpenFailure {
  /** What it answered, below 0. */
  readonly result: number;
  /** The step that failed, of {@linkcode STEPS}. */
  readonly step: number;
  /** The kernel's reason, 0 if there is none. */
  readonly errno: number;
  /** Bits of UFFD_FEATURE_* that the kernel lacks. */
  readonly missingFeatures: bigint;
}

/**
 * Makes the error of a `tdsm_open` that failed.
 *
 * @param failure What the call said.
 * @returns The error, not thrown.
 */
export function openError(failure: OpenFailure): TdsmError {
  const base = statusError("open the region", failure.result, failure.errno);
  const missing = failure.missingFeatures === 0n
    ? ""
    : `; missing: ${nameFeatures(failure.missingFeatures).join(", ")}`;
  const step = STEP_TEXTS[failure.step] ?? `step ${failure.step}`;
  return new TdsmError(base.code, `${base.message}${missing}, while ${step}`, {
    operation: "open",
    ...(failure.errno === 0 ? {} : { errno: failure.errno }),
  });
}

/**
 * Names bits of UFFD_FEATURE_*.
 *
 * @param features The bits.
 * @returns One name a bit, `bit 40` where it has none.
 */
export function nameFeatures(features: bigint): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if ((features >> BigInt(bit)) & 1n) {
      const name = FEATURE_NAMES[bit];
      names.push(name === undefined ? `bit ${bit}` : `UFFD_FEATURE_${name}`);
    }
  }
  return names;
}
