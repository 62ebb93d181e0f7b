/**
 * The C ABI of `libtdsm.so` as Deno needs it: one table, with the C declaration beside each symbol.
 * `zig/src/c_api.zig` is the other side and says what each call does.
 */

/** What {@linkcode Deno.dlopen} is given for `libtdsm.so`. */
export const symbols = {
  /** `uint32_t tdsm_abi_version(void)` */
  tdsm_abi_version: { parameters: [], result: "u32" },
  /** `const char *tdsm_layout_manifest(void)` */
  tdsm_layout_manifest: { parameters: [], result: "pointer" },
  /** `void *tdsm_function(const char *name)` */
  tdsm_function: { parameters: ["buffer"], result: "pointer" },
  /** `int32_t tdsm_last_errno(void)` */
  tdsm_last_errno: { parameters: [], result: "i32" },
  /** `int32_t tdsm_open(const tdsm_open_options *options, tdsm_region_info *out)` */
  tdsm_open: { parameters: ["buffer", "buffer"], result: "i32" },
  /** `int32_t tdsm_describe(uint32_t handle, tdsm_region_info *out)` */
  tdsm_describe: { parameters: ["u32", "buffer"], result: "i32" },
  /**
   * `int32_t tdsm_fence(uint32_t handle, const uint8_t *message, uint64_t length, int32_t status,
   * uint32_t grace_ms)`
   */
  tdsm_fence: { parameters: ["u32", "buffer", "u64", "i32", "u32"], result: "i32" },
  /** `int32_t tdsm_tell_begin(uint32_t handle, uint32_t timeout_ms)` */
  tdsm_tell_begin: { parameters: ["u32", "u32"], result: "i32" },
  /** `int32_t tdsm_tell_end(uint32_t handle)` */
  tdsm_tell_end: { parameters: ["u32"], result: "i32" },
  /**
   * `int32_t tdsm_lease_begin(uint32_t handle, double until_ms, const uint8_t *message,
   * uint64_t length, int32_t status, uint32_t grace_ms, int32_t unattended_ms)`
   */
  tdsm_lease_begin: {
    parameters: ["u32", "f64", "buffer", "u64", "i32", "u32", "i32"],
    result: "i32",
  },
  /** `int32_t tdsm_lease_extend(uint32_t handle, double until_ms)` */
  tdsm_lease_extend: { parameters: ["u32", "f64"], result: "i32" },
  /**
   * `int32_t tdsm_engine_watch(uint32_t handle, const uint8_t *message, uint64_t length,
   * uint32_t silent_ms)`
   */
  tdsm_engine_watch: { parameters: ["u32", "buffer", "u64", "u32"], result: "i32" },
  /** `double tdsm_boottime_ms(void)` */
  tdsm_boottime_ms: { parameters: [], result: "f64" },
  /** `int32_t tdsm_close(uint32_t handle)` */
  tdsm_close: { parameters: ["u32"], result: "i32" },
  /** `int32_t tdsm_exit_watch(uint32_t handle, uint32_t timeout_ms, uint64_t *out_address)` */
  tdsm_exit_watch: { parameters: ["u32", "u32", "buffer"], result: "i32" },
  /** `int32_t tdsm_exit_release(uint32_t handle)` */
  tdsm_exit_release: { parameters: ["u32"], result: "i32" },
  /**
   * `int32_t tdsm_window_add(uint32_t handle, uint64_t address, uint64_t region_byte,
   * uint64_t length, uint64_t *out_address)`
   */
  tdsm_window_add: { parameters: ["u32", "u64", "u64", "u64", "buffer"], result: "i32" },
  /** `int32_t tdsm_window_remove(uint32_t handle, uint64_t address)` */
  tdsm_window_remove: { parameters: ["u32", "u64"], result: "i32" },
  /** `int32_t tdsm_install(uint32_t handle, uint32_t first, uint32_t count, uint32_t flags)` */
  tdsm_install: { parameters: ["u32", "u32", "u32", "u32"], result: "i32" },
  /** `int32_t tdsm_protect(uint32_t handle, uint32_t first, uint32_t count)` */
  tdsm_protect: { parameters: ["u32", "u32", "u32"], result: "i32" },
  /** `int32_t tdsm_unprotect(uint32_t handle, uint32_t first, uint32_t count)` */
  tdsm_unprotect: { parameters: ["u32", "u32", "u32"], result: "i32" },
  /** `int32_t tdsm_evict(uint32_t handle, uint32_t first, uint32_t count)` */
  tdsm_evict: { parameters: ["u32", "u32", "u32"], result: "i32" },
  /** `int32_t tdsm_release(uint32_t handle, uint32_t first, uint32_t count)` */
  tdsm_release: { parameters: ["u32", "u32", "u32"], result: "i32" },
  /** `int32_t tdsm_populate(uint32_t handle, uint32_t first, uint32_t count)` */
  tdsm_populate: { parameters: ["u32", "u32", "u32"], result: "i32" },
  /** `int64_t tdsm_memory_bytes(uint32_t handle)` */
  tdsm_memory_bytes: { parameters: ["u32"], result: "i64" },
  /** `uint64_t tdsm_closed_bytes(void)` */
  tdsm_closed_bytes: { parameters: [], result: "u64" },
  /** `int32_t tdsm_wake(uint32_t handle)` */
  tdsm_wake: { parameters: ["u32"], result: "i32" },
  /** `int32_t tdsm_faults_read(uint32_t handle, tdsm_fault *out, uint32_t capacity)` */
  tdsm_faults_read: { parameters: ["u32", "buffer", "u32"], result: "i32" },
  /** `int32_t tdsm_resumed(uint32_t handle, uint32_t page)` */
  tdsm_resumed: { parameters: ["u32", "u32"], result: "i32" },
  /** `uint32_t tdsm_crc32c(const uint8_t *bytes, uint32_t length, uint32_t seed)` */
  tdsm_crc32c: { parameters: ["buffer", "u32", "u32"], result: "u32" },
  /** `uint32_t tdsm_seal_suites(void)` */
  tdsm_seal_suites: { parameters: [], result: "u32" },
  /** `int32_t tdsm_seal_begin(tdsm_seal_state *out, uint32_t suite, const uint8_t key[32])` */
  tdsm_seal_begin: { parameters: ["buffer", "u32", "buffer"], result: "i32" },
  /**
   * `int32_t tdsm_seal(tdsm_seal_state *state, const uint8_t *plain, uint32_t length, uint8_t *out,
   * uint32_t capacity)`
   */
  tdsm_seal: { parameters: ["buffer", "buffer", "u32", "buffer", "u32"], result: "i32" },
  /**
   * `int32_t tdsm_seal_open(tdsm_seal_state *state, const uint8_t *sealed, uint32_t length,
   * uint8_t *out, uint32_t capacity, uint32_t *taken)`
   */
  tdsm_seal_open: {
    parameters: ["buffer", "buffer", "u32", "buffer", "u32", "buffer"],
    result: "i32",
  },
  /**
   * `int32_t tdsm_noise_begin(tdsm_noise_state *out, uint32_t role, const uint8_t key[32],
   * const uint8_t *prologue, uint32_t length)`
   */
  tdsm_noise_begin: { parameters: ["buffer", "u32", "buffer", "buffer", "u32"], result: "i32" },
  /**
   * `int32_t tdsm_noise_write(tdsm_noise_state *state, const uint8_t *payload, uint32_t length,
   * const uint8_t secret[32], uint8_t *message)`
   */
  tdsm_noise_write: {
    parameters: ["buffer", "buffer", "u32", "buffer", "buffer"],
    result: "i32",
  },
  /**
   * `int32_t tdsm_noise_read(tdsm_noise_state *state, const uint8_t *message, uint8_t *payload,
   * uint32_t length)`
   */
  tdsm_noise_read: { parameters: ["buffer", "buffer", "buffer", "u32"], result: "i32" },
  /** `int32_t tdsm_noise_split(tdsm_noise_state *state, uint8_t send[32], uint8_t receive[32])` */
  tdsm_noise_split: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  /** `void tdsm_yield(void)` */
  tdsm_yield: { parameters: [], result: "void" },
  /** `int32_t tdsm_realtime_begin(uint32_t always)` */
  tdsm_realtime_begin: { parameters: ["u32"], result: "i32" },
  /** `void tdsm_realtime_end(void)` */
  tdsm_realtime_end: { parameters: [], result: "void" },
  /** `uint64_t tdsm_thread(void)` */
  tdsm_thread: { parameters: [], result: "u64" },
  /** `int32_t tdsm_thread_ended(uint64_t thread)` */
  tdsm_thread_ended: { parameters: ["u64"], result: "i32" },
  /** `int32_t tdsm_wait(uint32_t handle, int64_t timeout_us)`, on a thread of its own */
  tdsm_wait: { parameters: ["u32", "i64"], result: "i32", nonblocking: true },
  /** `int32_t tdsm_kick(uint32_t handle)` */
  tdsm_kick: { parameters: ["u32"], result: "i32" },
  /** `int32_t tdsm_links_open(void)` */
  tdsm_links_open: { parameters: [], result: "i32" },
  /** `void tdsm_links_close(int32_t epoll)` */
  tdsm_links_close: { parameters: ["i32"], result: "void" },
  /** `int32_t tdsm_links_loop(int32_t epoll, const char *address, uint32_t port)` */
  tdsm_links_loop: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int32_t tdsm_links_region(int32_t epoll, uint32_t handle, uint32_t faults)` */
  tdsm_links_region: { parameters: ["i32", "u32", "u32"], result: "i32" },
  /**
   * `int32_t tdsm_links_wait(int32_t epoll, tdsm_link_ready *out, uint32_t capacity, int32_t
   * timeout_us, uint32_t look_us)`
   */
  tdsm_links_wait: { parameters: ["i32", "buffer", "u32", "i32", "u32"], result: "i32" },
  /** `void tdsm_links_times(tdsm_thread_times *out)` */
  tdsm_links_times: { parameters: ["buffer"], result: "void" },
  /** `int32_t tdsm_signals_watch(int32_t epoll)` */
  tdsm_signals_watch: { parameters: ["i32"], result: "i32" },
  /** `uint32_t tdsm_signals_take(void)` */
  tdsm_signals_take: { parameters: [], result: "u32" },
  /**
   * `int32_t tdsm_link_find(const char *local, uint32_t local_port, const char *remote, uint32_t
   * remote_port)`
   */
  tdsm_link_find: { parameters: ["buffer", "u32", "buffer", "u32"], result: "i32" },
  /** `int32_t tdsm_link_add(int32_t epoll, int32_t fd)` */
  tdsm_link_add: { parameters: ["i32", "i32"], result: "i32" },
  /** `void tdsm_link_detach(int32_t loop, int32_t fd)` */
  tdsm_link_detach: { parameters: ["i32", "i32"], result: "void" },
  /** `int32_t tdsm_link_watch(int32_t epoll, int32_t fd, uint32_t interest)` */
  tdsm_link_watch: { parameters: ["i32", "i32", "u32"], result: "i32" },
  /** `int32_t tdsm_link_remove(int32_t epoll, int32_t fd)` */
  tdsm_link_remove: { parameters: ["i32", "i32"], result: "i32" },
  /**
   * `int32_t tdsm_link_receive(int32_t fd, uint8_t *first, uint32_t first_length, uint8_t *second,
   * uint32_t second_length)`
   */
  tdsm_link_receive: { parameters: ["i32", "buffer", "u32", "buffer", "u32"], result: "i32" },
  /**
   * `int32_t tdsm_link_send(int32_t fd, const struct iovec *pieces, uint32_t count, uint32_t more)`
   */
  tdsm_link_send: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  /**
   * `int32_t tdsm_sealed_receive(tdsm_sealed_link *link, int32_t fd, uint8_t *first,
   * uint32_t first_length, uint8_t *second, uint32_t second_length)`
   */
  tdsm_sealed_receive: {
    parameters: ["buffer", "i32", "buffer", "u32", "buffer", "u32"],
    result: "i32",
  },
  /**
   * `int32_t tdsm_sealed_send(tdsm_sealed_link *link, int32_t fd, const struct iovec *pieces,
   * uint32_t count, uint32_t more)`
   */
  tdsm_sealed_send: { parameters: ["buffer", "i32", "buffer", "u32", "u32"], result: "i32" },
  /** `int32_t tdsm_thread_link_lend(int32_t fd)` */
  tdsm_thread_link_lend: { parameters: ["i32"], result: "i32" },
  /** `int32_t tdsm_thread_link_expect(int32_t fd, uint32_t answer_bytes)` */
  tdsm_thread_link_expect: { parameters: ["i32", "u32"], result: "i32" },
  /** `void tdsm_thread_link_close(int32_t fd)` */
  tdsm_thread_link_close: { parameters: ["i32"], result: "void" },
  /** `void tdsm_thread_link_end(int32_t fd, uint32_t whole)` */
  tdsm_thread_link_end: { parameters: ["i32", "u32"], result: "void" },
  /**
   * `int32_t tdsm_thread_link_send(int32_t fd, tdsm_sealed_link *seal, const uint8_t *bytes,
   * uint32_t length, uint32_t timeout_us)`
   */
  tdsm_thread_link_send: { parameters: ["i32", "buffer", "buffer", "u32", "u32"], result: "i32" },
  /**
   * `int32_t tdsm_thread_link_receive(int32_t fd, tdsm_sealed_link *seal, uint8_t *out,
   * uint32_t length, uint32_t timeout_us)`
   */
  tdsm_thread_link_receive: {
    parameters: ["i32", "buffer", "buffer", "u32", "u32"],
    result: "i32",
  },
  /** `int32_t tdsm_setenv(const char *name, const char *value)` */
  tdsm_setenv: { parameters: ["buffer", "buffer"], result: "i32" },
  /** `int32_t tdsm_rdma_section(tdsm_rdma_section_info *out)` */
  tdsm_rdma_section: { parameters: ["buffer"], result: "i32" },
  /** `int32_t tdsm_module_open(const char *path, tdsm_module_info *out)` */
  tdsm_module_open: { parameters: ["buffer", "buffer"], result: "i32" },
  /** `int32_t tdsm_module_path(uint32_t module, char out[4096])` */
  tdsm_module_path: { parameters: ["u32", "buffer"], result: "i32" },
  /** `int32_t tdsm_module_map(uint32_t module, uint32_t handle, uint64_t region_byte)` */
  tdsm_module_map: { parameters: ["u32", "u32", "u64"], result: "i32" },
  /** `int32_t tdsm_module_unmap(uint32_t module, uint32_t handle)` */
  tdsm_module_unmap: { parameters: ["u32", "u32"], result: "i32" },
  /** `int32_t tdsm_module_close(uint32_t module)` */
  tdsm_module_close: { parameters: ["u32"], result: "i32" },
  /**
   * `int32_t tdsm_program_publish(uint32_t handle, uint8_t *calls, const tdsm_program_node *node)`
   */
  tdsm_program_publish: { parameters: ["u32", "buffer", "buffer"], result: "i32" },
  /** `void tdsm_program_wake(const uint32_t *word)` */
  tdsm_program_wake: { parameters: ["buffer"], result: "void" },
  /** `const char *tdsm_program_manifest(void)` */
  tdsm_program_manifest: { parameters: [], result: "pointer" },
  /**
   * `void tdsm_die(const uint8_t *message, uint64_t length, int32_t status, uint32_t timeout_ms)`
   */
  tdsm_die: { parameters: ["buffer", "u64", "i32", "u32"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `libtdsm.so` once it is open. */
export type TdsmDynamicLibrary = Deno.DynamicLibrary<typeof symbols>;
