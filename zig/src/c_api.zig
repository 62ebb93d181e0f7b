//! The C ABI: everything that libtdsm.so exports for the runtime. What it exports for native code
//! of programs is in `program_api.zig`; nothing is exported elsewhere.
//!
//! A call answers 0 or more when it succeeds and the negated status code when it fails; then
//! `tdsm_last_errno` on the same thread has the kernel's reason. Any thread may call anything.
//! Page operations count in logical pages.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const call_ring = @import("call_ring.zig");
const crc32c = @import("crc32c.zig");
const engine_watch = @import("engine_watch.zig");
const exit = @import("exit.zig");
const faults = @import("faults.zig");
const fence = @import("fence.zig");
const links = @import("links.zig");
const thread_link = @import("thread_link.zig");
const modules = @import("modules.zig");
const noise = @import("noise.zig");
const pages = @import("pages.zig");
const process = @import("process.zig");
const program = @import("program.zig");
const program_api = @import("program_api.zig");
const realtime = @import("realtime.zig");
const starvation = @import("starvation.zig");
const regions = @import("region.zig");
const registry = @import("registry.zig");
const SealedLink = @import("sealed_link.zig").SealedLink;
const seals = @import("seal.zig");
const section = @import("section.zig");
const signals = @import("signals.zig");
const status = @import("status.zig");
const threads = @import("thread.zig");
const waiting = @import("wait.zig");

comptime {
    _ = program_api;
}

/// uint32_t tdsm_abi_version(void)
pub export fn tdsm_abi_version() u32 {
    return abi.version;
}

/// const char *tdsm_layout_manifest(void): JSON, never freed.
pub export fn tdsm_layout_manifest() [*:0]const u8 {
    return abi.manifest.ptr;
}

/// void *tdsm_function(const char *name)
/// Where the function of that name is, of those of this file; null if there is none. Takes no lock.
pub export fn tdsm_function(name: ?[*:0]const u8) ?*const anyopaque {
    const wanted = std.mem.span(name orelse return null);
    inline for (comptime std.meta.declarations(@This())) |declared| {
        if (std.mem.eql(u8, wanted, declared)) return @ptrCast(&@field(@This(), declared));
    }
    return null;
}

/// int32_t tdsm_last_errno(void)
pub export fn tdsm_last_errno() i32 {
    return status.lastErrno();
}

/// int32_t tdsm_open(const tdsm_open_options *options, tdsm_region_info *out)
/// `out` is filled in failure too: the step that failed, its errno, the features missing.
pub export fn tdsm_open(options: ?*const abi.OpenOptions, out: ?*abi.RegionInfo) i32 {
    const info = out orelse return status.code(status.reject(error.BadArgument));
    info.* = .{ .failed_step = .options };
    const asked = options orelse return status.code(status.reject(error.BadArgument));
    registry.open(asked.*, info) catch |failure| {
        info.errno = status.lastErrno();
        return status.code(failure);
    };
    return 0;
}

/// int32_t tdsm_describe(uint32_t handle, tdsm_region_info *out)
/// What `tdsm_open` said, for another thread that was given the handle.
pub export fn tdsm_describe(handle: u32, out: ?*abi.RegionInfo) i32 {
    const info = out orelse return status.code(status.reject(error.BadArgument));
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    info.* = .{ .handle = handle };
    lease.region.describe(info);
    return 0;
}

/// int32_t tdsm_fence(uint32_t handle, const uint8_t *message, uint64_t length, int32_t status,
///                    uint32_t grace_ms)
/// Takes every page from every window, for good: the next access, by any thread, ends the process
/// `grace_ms` later, with the message on stderr and the exit status. The first fence counts, unless
/// a lease raised it. It outlives the region. After a failure the caller has to end the process.
pub export fn tdsm_fence(handle: u32, message: ?[*]const u8, length: u64, exit_status: i32, grace_ms: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    const end = fence.End.init(given(message, length), exit_status, grace_ms) catch |failure| return status.code(failure);
    fence.raise(lease.region, end) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_tell_begin(uint32_t handle, uint32_t timeout_ms)
/// 1 where the calling thread is to say why the node of the region cannot go on, and then calls
/// `tdsm_tell_end`; 0 where that is said, by another thread or before the process is ended behind
/// a fence. While another thread is about to say so, waits for it, `timeout_ms` at most.
pub export fn tdsm_tell_begin(handle: u32, timeout_ms: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    return @intFromBool(fence.beginTelling(lease.region, timeout_ms));
}

/// int32_t tdsm_tell_end(uint32_t handle)
pub export fn tdsm_tell_end(handle: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    fence.endTelling(lease.region);
    return 0;
}

/// int32_t tdsm_lease_begin(uint32_t handle, double until_ms, const uint8_t *message,
///                          uint64_t length, int32_t status, uint32_t grace_ms,
///                          int32_t unattended_ms)
/// At `until_ms` of `tdsm_boottime_ms` the region is fenced as by `tdsm_fence`, whatever else runs,
/// and `tdsm_wait` is kicked. Without an access the process ends `unattended_ms` later, if that is
/// not negative, unless `tdsm_fence` was called meanwhile, whose end counts then. Once for each
/// region.
pub export fn tdsm_lease_begin(
    handle: u32,
    until_ms: f64,
    message: ?[*]const u8,
    length: u64,
    exit_status: i32,
    grace_ms: u32,
    unattended_ms: i32,
) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    const end = fence.End.init(given(message, length), exit_status, grace_ms) catch |failure| return status.code(failure);
    fence.beginLease(lease.region, until_ms, end, unattended_ms) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_engine_watch(uint32_t handle, const uint8_t *message, uint64_t length,
///                           uint32_t silent_ms)
/// Writes `message` to stderr each time that the thread which sleeps in `tdsm_links_wait` has not
/// come there for `silent_ms`, though it is kicked. Once for each region.
pub export fn tdsm_engine_watch(handle: u32, message: ?[*]const u8, length: u64, silent_ms: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    engine_watch.begin(lease.region, given(message, length), silent_ms) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_lease_extend(uint32_t handle, double until_ms)
/// An earlier end than before changes nothing; an infinite one means that the region needs no lease
/// any more. Fails by FENCED where that comes too late.
pub export fn tdsm_lease_extend(handle: u32, until_ms: f64) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    fence.extendLease(lease.region, until_ms) catch |failure| return status.code(failure);
    return 0;
}

/// double tdsm_boottime_ms(void)
/// Milliseconds of a clock that does not go back, and goes on while the machine is suspended.
pub export fn tdsm_boottime_ms() f64 {
    return process.boottimeMs();
}

/// int32_t tdsm_close(uint32_t handle)
/// Returns when no other call is inside. Leaves blank private memory where windows were; those of a
/// fenced region stay closed.
pub export fn tdsm_close(handle: u32) i32 {
    program.retire(handle);
    registry.close(handle) catch |failure| return status.code(failure);
    program.forget(handle);
    exit.forget(handle);
    return 0;
}

/// int32_t tdsm_exit_watch(uint32_t handle, uint32_t timeout_ms, uint64_t *out_address)
/// To be called by the region's engine. When a thread ends the process by exit(3), that thread
/// kicks the region and waits for `tdsm_exit_release`, no longer than `timeout_ms`. The word at
/// `out_address` is then `exit_begun`; it may be read for ever.
pub export fn tdsm_exit_watch(handle: u32, timeout_ms: u32, out_address: ?*u64) i32 {
    const out = out_address orelse return status.code(status.reject(error.BadArgument));
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    out.* = exit.begin(handle, timeout_ms) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_exit_release(uint32_t handle)
/// The process need not wait for the region's engine, now or later.
pub export fn tdsm_exit_release(handle: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    exit.release(handle);
    return 0;
}

/// int32_t tdsm_window_add(uint32_t handle, uint64_t address, uint64_t region_byte,
///                         uint64_t length, uint64_t *out_address)
/// `address` 0 means anywhere; else what is mapped there is replaced. Counts in bytes, multiples
/// of the kernel's page. Pages valid elsewhere are absent here until they fault (a MINOR fault):
/// the engine answers by installing them again.
pub export fn tdsm_window_add(handle: u32, address: u64, region_byte: u64, length: u64, out_address: ?*u64) i32 {
    const out = out_address orelse return status.code(status.reject(error.BadArgument));
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    out.* = lease.region.addWindow(address, region_byte, length) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_window_remove(uint32_t handle, uint64_t address)
/// Leaves blank private memory there.
pub export fn tdsm_window_remove(handle: u32, address: u64) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    lease.region.removeWindow(address) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_install(uint32_t handle, uint32_t first, uint32_t count, uint32_t flags)
pub export fn tdsm_install(handle: u32, first: u32, count: u32, flags: u32) i32 {
    return onPages(handle, first, count, pages.install, .{flags});
}

/// int32_t tdsm_protect(uint32_t handle, uint32_t first, uint32_t count)
pub export fn tdsm_protect(handle: u32, first: u32, count: u32) i32 {
    return onPages(handle, first, count, pages.protect, .{});
}

/// int32_t tdsm_unprotect(uint32_t handle, uint32_t first, uint32_t count)
pub export fn tdsm_unprotect(handle: u32, first: u32, count: u32) i32 {
    return onPages(handle, first, count, pages.unprotect, .{});
}

/// int32_t tdsm_evict(uint32_t handle, uint32_t first, uint32_t count)
pub export fn tdsm_evict(handle: u32, first: u32, count: u32) i32 {
    return onPages(handle, first, count, pages.evict, .{});
}

/// int32_t tdsm_release(uint32_t handle, uint32_t first, uint32_t count)
pub export fn tdsm_release(handle: u32, first: u32, count: u32) i32 {
    return onPages(handle, first, count, pages.release, .{});
}

/// int32_t tdsm_populate(uint32_t handle, uint32_t first, uint32_t count)
/// Gives the pages memory, so that bytes can be written to the alias.
pub export fn tdsm_populate(handle: u32, first: u32, count: u32) i32 {
    return onPages(handle, first, count, pages.populate, .{});
}

/// int64_t tdsm_memory_bytes(uint32_t handle)
/// Answers how many bytes of memory the region takes.
pub export fn tdsm_memory_bytes(handle: u32) i64 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    const bytes = lease.region.memoryBytes() catch |failure| return status.code(failure);
    return @intCast(bytes);
}

/// uint64_t tdsm_closed_bytes(void)
/// Answers how many bytes of addresses the regions take that were closed: no other mapping will
/// ever be there.
pub export fn tdsm_closed_bytes() u64 {
    return regions.closed_bytes.load(.monotonic);
}

/// int32_t tdsm_wake(uint32_t handle)
/// Every thread that stands in a fault tries its access again; where that faults, the fault is
/// reported anew.
pub export fn tdsm_wake(handle: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    lease.region.acquire();
    defer lease.region.release();
    pages.wake(lease.region) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_faults_read(uint32_t handle, tdsm_fault *out, uint32_t capacity)
/// Answers how many faults were written to `out`; never blocks.
pub export fn tdsm_faults_read(handle: u32, out: ?[*]abi.Fault, capacity: u32) i32 {
    const records = out orelse return status.code(status.reject(error.BadArgument));
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    lease.region.acquire();
    defer lease.region.release();
    const capped = @min(capacity, std.math.maxInt(i32));
    const count = faults.read(lease.region, records[0..capped]) catch |failure| return status.code(failure);
    return @intCast(count);
}

/// int32_t tdsm_resumed(uint32_t handle, uint32_t page)
/// Whether every thread that was woken when the page was installed was given a core since:
/// 1 yes, or none is known; 0 not yet. Means nothing without `region_counts_runs`.
pub export fn tdsm_resumed(handle: u32, page: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    lease.region.acquire();
    defer lease.region.release();
    return @intFromBool(lease.region.waiters.resumed(page));
}

/// uint32_t tdsm_crc32c(const uint8_t *bytes, uint32_t length, uint32_t seed)
/// To go on with more bytes pass what came out as `seed`; at first 0.
pub export fn tdsm_crc32c(bytes: ?[*]const u8, length: u32, seed: u32) u32 {
    const first = bytes orelse return seed;
    return crc32c.checksum(first[0..length], seed);
}

/// uint32_t tdsm_seal_suites(void)
/// The suites that this machine does well, as bits.
pub export fn tdsm_seal_suites() u32 {
    return seals.suites();
}

/// int32_t tdsm_seal_begin(tdsm_seal_state *out, uint32_t suite, const uint8_t key[32])
pub export fn tdsm_seal_begin(out: ?*seals.State, suite: u32, key: ?*const [seals.key_bytes]u8) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const state = out orelse return bad;
    state.* = seals.State.begin(suite, key orelse return bad) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_seal(tdsm_seal_state *state, const uint8_t *plain, uint32_t length, uint8_t *out,
/// uint32_t capacity) Answers the bytes of the records in `out`: 36 more than `length` for each 64
/// KiB that are begun.
pub export fn tdsm_seal(state: ?*seals.State, plain: ?[*]const u8, length: u32, out: ?[*]u8, capacity: u32) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const bytes = (plain orelse return bad)[0..length];
    const room = (out orelse return bad)[0..@min(capacity, std.math.maxInt(i32))];
    return @intCast(seals.seal(state orelse return bad, bytes, room) catch |failure| return status.code(failure));
}

/// int32_t tdsm_seal_open(tdsm_seal_state *state, const uint8_t *sealed, uint32_t length, uint8_t
/// *out,
///                        uint32_t capacity, uint32_t *taken)
/// Opens the records that are whole. Answers how many bytes of `out` they carried; `taken` is how
/// many of `sealed` are done with. `capacity` is at least `length`.
pub export fn tdsm_seal_open(state: ?*seals.State, sealed: ?[*]const u8, length: u32, out: ?[*]u8, capacity: u32, taken: ?*u32) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const bytes = (sealed orelse return bad)[0..@min(length, std.math.maxInt(i32))];
    const room = (out orelse return bad)[0..capacity];
    const count = taken orelse return bad;
    count.* = 0;
    const done = seals.open(state orelse return bad, bytes, room) catch |failure| return status.code(failure);
    count.* = @intCast(done.taken);
    return @intCast(done.carried);
}

/// int32_t tdsm_noise_begin(tdsm_noise_state *out, uint32_t role, const uint8_t key[32],
///                          const uint8_t *prologue, uint32_t length)
/// Begins a handshake as its initiator (1) or its responder (2).
pub export fn tdsm_noise_begin(out: ?*noise.State, role: u32, key: ?*const [noise.key_bytes]u8, prologue: ?[*]const u8, length: u32) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const state = out orelse return bad;
    state.begin(role, key orelse return bad, given(prologue, length)) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_noise_write(tdsm_noise_state *state, const uint8_t *payload, uint32_t length,
///                          const uint8_t secret[32], uint8_t *message)
/// Makes this side's message, 48 bytes longer than its payload; `secret` is random, and used for
/// nothing else.
pub export fn tdsm_noise_write(state: ?*noise.State, payload: ?[*]const u8, length: u32, secret: ?*const [noise.key_bytes]u8, message: ?[*]u8) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const out = (message orelse return bad)[0 .. @as(usize, length) + noise.overhead_bytes];
    (state orelse return bad).write(given(payload, length), secret orelse return bad, out) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_noise_read(tdsm_noise_state *state, const uint8_t *message, uint8_t *payload,
///                         uint32_t length)
/// Takes the other side's message, whose payload has `length` bytes.
pub export fn tdsm_noise_read(state: ?*noise.State, message: ?[*]const u8, payload: ?[*]u8, length: u32) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const bytes = (message orelse return bad)[0 .. @as(usize, length) + noise.overhead_bytes];
    const out: []u8 = if (payload) |first| first[0..length] else &.{};
    (state orelse return bad).read(bytes, out) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_noise_split(tdsm_noise_state *state, uint8_t send[32], uint8_t receive[32])
/// The keys of the two directions, once both messages are there.
pub export fn tdsm_noise_split(state: ?*noise.State, send: ?*[noise.key_bytes]u8, receive: ?*[noise.key_bytes]u8) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    (state orelse return bad).split(send orelse return bad, receive orelse return bad) catch |failure| return status.code(failure);
    return 0;
}

/// void tdsm_yield(void)
/// Lets another thread have this core, if one waits for it.
pub export fn tdsm_yield() void {
    _ = linux.sched_yield();
}

/// int32_t tdsm_realtime_begin(uint32_t always)
/// Puts the calling thread into a real-time class, except while it uses all of a core; if not
/// `always`, only as long as threads of the ordinary class keep it waiting where it sleeps in
/// `tdsm_links_wait`. Threads that it makes are not in the class.
pub export fn tdsm_realtime_begin(always: u32) i32 {
    const begun = if (always != 0) realtime.begin() else starvation.begin();
    begun catch |failure| return status.code(failure);
    return 0;
}

/// void tdsm_realtime_end(void)
/// Puts the calling thread back into the ordinary class.
pub export fn tdsm_realtime_end() void {
    starvation.end();
    realtime.end();
}

/// uint64_t tdsm_thread(void)
/// Names the calling thread, for `tdsm_thread_ended`; never 0.
pub export fn tdsm_thread() u64 {
    return @bitCast(threads.current());
}

/// int32_t tdsm_thread_ended(uint64_t thread)
/// 1 when that thread of this process has ended; 0 when not, or when the kernel does not say.
pub export fn tdsm_thread_ended(thread: u64) i32 {
    return @intFromBool(threads.hasEnded(@bitCast(thread)));
}

/// int32_t tdsm_wait(uint32_t handle, int64_t timeout_us)
/// Blocks; answers the bits FAULTS 1, KICKED 2, CLOSING 4, or 0 after the time or a signal.
/// A negative time has no end.
pub export fn tdsm_wait(handle: u32, timeout_us: i64) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    return waiting.wait(lease, timeout_us) catch |failure| status.code(failure);
}

/// int32_t tdsm_kick(uint32_t handle)
pub export fn tdsm_kick(handle: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    waiting.kick(lease.region);
    return 0;
}

/// int32_t tdsm_links_open(void)
/// Answers an epoll, for the calling thread alone: from here on its timers are exact, its turns on
/// a core are short, and threads that it makes begin with a niceness of 0 at least.
pub export fn tdsm_links_open() i32 {
    return links.open() catch |failure| status.code(failure);
}

/// void tdsm_links_close(int32_t epoll)
pub export fn tdsm_links_close(epoll: i32) void {
    links.close(epoll);
}

/// int32_t tdsm_links_loop(int32_t epoll, const char *address, uint32_t port)
/// Tells of the event loop that watches the listener at this address. Answers the loop's own epoll,
/// or KERNEL_UNSUPPORTED where none is found.
pub export fn tdsm_links_loop(epoll: i32, address: ?[*:0]const u8, port: u32) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const at = address orelse return bad;
    const number = std.math.cast(u16, port) orelse return bad;
    const none = status.code(status.reject(error.KernelUnsupported));
    const listener = links.find(at, number, null, 0) orelse return none;
    const loop = links.findLoop(listener) orelse return none;
    links.watchLoop(epoll, loop, listener) catch |failure| return status.code(failure);
    return loop;
}

/// int32_t tdsm_links_region(int32_t epoll, uint32_t handle, uint32_t faults)
/// Tells of the region's kicks and faults from here on; with `faults` 0, of faults no more.
pub export fn tdsm_links_region(epoll: i32, handle: u32, wants_faults: u32) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    const change = if (wants_faults != 0) &links.watchRegion else &links.leaveFaults;
    change(epoll, lease.region) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_links_wait(int32_t epoll, tdsm_link_ready *out, uint32_t capacity,
///                         int32_t timeout_us, uint32_t look_us)
/// Blocks until something happens or the time is over; a negative time has no end. For the first
/// `look_us` of that it looks again and again, unless more threads go on wanting a core than there
/// are cores. Answers how many links are in `out`, at most 64, and the bits FAULTS 1 << 16, KICKED
/// 1 << 17, LOOP 1 << 18, SIGNALS 1 << 20, and how a look ended: SEEN 1 << 19 for what came while
/// it looked, TAKEN 1 << 21 where it left the cores to other threads, OVER 1 << 22 by its time.
pub export fn tdsm_links_wait(epoll: i32, out: ?[*]abi.LinkReady, capacity: u32, timeout_us: i32, look_us: u32) i32 {
    const ready = out orelse return status.code(status.reject(error.BadArgument));
    return links.wait(epoll, ready[0..capacity], timeout_us, @min(look_us, std.math.maxInt(i32))) catch |failure| status.code(failure);
}

/// void tdsm_links_times(tdsm_thread_times *out)
/// How the calling thread has spent its time since it began.
pub export fn tdsm_links_times(out: ?*abi.ThreadTimes) void {
    if (out) |times| times.* = links.times();
}

/// int32_t tdsm_signals_watch(int32_t epoll)
/// From here on SIGHUP, SIGINT and SIGTERM are counted for the calling thread, before the handlers
/// that they have now are called, and told by that epoll; a negative one is none.
pub export fn tdsm_signals_watch(epoll: i32) i32 {
    signals.watch(epoll) catch |failure| return status.code(failure);
    return 0;
}

/// uint32_t tdsm_signals_take(void)
/// Which of them have come since the last call of this thread: bit n stands for signal n.
pub export fn tdsm_signals_take() u32 {
    return signals.take();
}

/// int32_t tdsm_link_find(const char *local, uint32_t local_port, const char *remote,
///                        uint32_t remote_port)
/// Answers the descriptor beneath a connection of this process, or BAD_ARGUMENT.
pub export fn tdsm_link_find(local: ?[*:0]const u8, local_port: u32, remote: ?[*:0]const u8, remote_port: u32) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const near = std.math.cast(u16, local_port) orelse return bad;
    const far = std.math.cast(u16, remote_port) orelse return bad;
    return links.find(local orelse return bad, near, remote orelse return bad, far) orelse bad;
}

/// int32_t tdsm_link_add(int32_t epoll, int32_t fd)
/// Nothing is told of the link before `tdsm_link_watch`.
pub export fn tdsm_link_add(epoll: i32, fd: i32) i32 {
    links.add(epoll, fd) catch |failure| return status.code(failure);
    return 0;
}

/// void tdsm_link_detach(int32_t loop, int32_t fd)
/// Takes a connection, of which nothing is being read or written, from its event loop.
pub export fn tdsm_link_detach(loop: i32, fd: i32) void {
    links.detach(loop, fd);
}

/// int32_t tdsm_link_watch(int32_t epoll, int32_t fd, uint32_t interest)
/// `interest`: bits BYTES 1, ROOM 2.
pub export fn tdsm_link_watch(epoll: i32, fd: i32, interest: u32) i32 {
    links.watch(epoll, fd, @bitCast(interest)) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_link_remove(int32_t epoll, int32_t fd)
/// To be called before the connection is closed, since its descriptor may be another's from then
/// on.
pub export fn tdsm_link_remove(epoll: i32, fd: i32) i32 {
    links.remove(epoll, fd) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_link_receive(int32_t fd, uint8_t *first, uint32_t first_length,
///                           uint8_t *second, uint32_t second_length)
/// Answers how many bytes came, 0 at the other side's end, or the negated errno. Never blocks.
pub export fn tdsm_link_receive(fd: i32, first: ?[*]u8, first_length: u32, second: ?[*]u8, second_length: u32) i32 {
    const one: []u8 = if (first) |bytes| bytes[0..first_length] else &.{};
    const two: []u8 = if (second) |bytes| bytes[0..second_length] else &.{};
    return links.receive(fd, one, two);
}

/// int32_t tdsm_link_send(int32_t fd, const struct iovec *pieces, uint32_t count, uint32_t more)
/// Answers how many bytes the kernel took, or the negated errno. Never blocks.
pub export fn tdsm_link_send(fd: i32, pieces: ?[*]const std.posix.iovec_const, count: u32, more: u32) i32 {
    const first = pieces orelse return -@as(i32, @backingInt(linux.E.INVAL));
    if (count > links.pieces_max) return -@as(i32, @backingInt(linux.E.INVAL));
    return links.send(fd, first[0..count], more != 0);
}

/// int32_t tdsm_sealed_receive(tdsm_sealed_link *link, int32_t fd, uint8_t *first,
///                             uint32_t first_length, uint8_t *second, uint32_t second_length)
/// As `tdsm_link_receive`, opened; EBADMSG where bytes are not as the other side has sealed them,
/// EPROTO where the other side has ended inside of a record. Where `link->held` is not 0 then,
/// there is more to receive, of which no epoll tells.
pub export fn tdsm_sealed_receive(link: ?*SealedLink, fd: i32, first: ?[*]u8, first_length: u32, second: ?[*]u8, second_length: u32) i32 {
    const one: []u8 = if (first) |bytes| bytes[0..first_length] else &.{};
    const two: []u8 = if (second) |bytes| bytes[0..second_length] else &.{};
    const end = link orelse return -@as(i32, @backingInt(linux.E.INVAL));
    return end.receive(fd, one, two);
}

/// int32_t tdsm_sealed_send(tdsm_sealed_link *link, int32_t fd, const struct iovec *pieces,
///                          uint32_t count, uint32_t more)
/// Answers how many bytes of the pieces are taken, or the negated errno. Those taken may lie in
/// `link->out` still: from `out_start` to `out_end`, and the next call sends them first. Never
/// blocks.
pub export fn tdsm_sealed_send(link: ?*SealedLink, fd: i32, pieces: ?[*]const std.posix.iovec_const, count: u32, more: u32) i32 {
    const invalid = -@as(i32, @backingInt(linux.E.INVAL));
    const end = link orelse return invalid;
    const first = pieces orelse return invalid;
    if (count > links.pieces_max) return invalid;
    return end.send(fd, first[0..count], more != 0);
}

/// int32_t tdsm_thread_link_lend(int32_t fd)
/// Answers another descriptor of the socket, at least 3.
pub export fn tdsm_thread_link_lend(fd: i32) i32 {
    return thread_link.lend(fd) catch |failure| status.code(failure);
}

/// int32_t tdsm_thread_link_expect(int32_t fd, uint32_t answer_bytes)
/// The next `tdsm_thread_link_receive` waits until so many bytes are there.
pub export fn tdsm_thread_link_expect(fd: i32, answer_bytes: u32) i32 {
    thread_link.expect(fd, answer_bytes) catch |failure| return status.code(failure);
    return 0;
}

/// void tdsm_thread_link_close(int32_t fd)
pub export fn tdsm_thread_link_close(fd: i32) void {
    thread_link.close(fd);
}

/// void tdsm_thread_link_end(int32_t fd, uint32_t whole)
/// Nothing more is sent; answers still arrive, unless `whole` is not 0.
pub export fn tdsm_thread_link_end(fd: i32, whole: u32) void {
    thread_link.end(fd, whole != 0);
}

/// int32_t tdsm_thread_link_send(int32_t fd, tdsm_sealed_link *seal, const uint8_t *bytes,
///                               uint32_t length, uint32_t timeout_us)
/// Answers how many bytes were sent in that time, or the negated errno. Blocks only where there is
/// no room. `seal` is null where the bytes go as they are; where not, some may be sent by the next
/// call.
pub export fn tdsm_thread_link_send(fd: i32, seal: thread_link.Seal, bytes: ?[*]const u8, length: u32, timeout_us: u32) i32 {
    const first = bytes orelse return -@as(i32, @backingInt(linux.E.INVAL));
    return thread_link.send(fd, seal, first[0..length], timeout_us);
}

/// int32_t tdsm_thread_link_receive(int32_t fd, tdsm_sealed_link *seal, uint8_t *out,
///                                  uint32_t length, uint32_t timeout_us)
/// Blocks until the bytes that are expected are there. Answers how many it took, 0 at the other
/// side's end, or the negated errno, which is EAGAIN after the time. Where they are sealed, it
/// waits for `length` bytes, and answers fewer after the time.
pub export fn tdsm_thread_link_receive(fd: i32, seal: thread_link.Seal, out: ?[*]u8, length: u32, timeout_us: u32) i32 {
    const first = out orelse return -@as(i32, @backingInt(linux.E.INVAL));
    return thread_link.receive(fd, seal, first[0..length], timeout_us);
}

/// int32_t tdsm_setenv(const char *name, const char *value)
pub export fn tdsm_setenv(name: ?[*:0]const u8, value: ?[*:0]const u8) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    return if (process.setEnvironment(name orelse return bad, value orelse return bad)) 0 else bad;
}

/// int32_t tdsm_rdma_section(tdsm_rdma_section_info *out)
pub export fn tdsm_rdma_section(out: ?*abi.SectionInfo) i32 {
    const info = out orelse return status.code(status.reject(error.BadArgument));
    info.* = section.describe();
    return 0;
}

/// int32_t tdsm_module_open(const char *path, tdsm_module_info *out)
/// Describes the `.rdma` section of a library that is loaded already, and keeps it loaded. `out` is
/// filled in failure too: what is wrong with the module. To be taken back with `tdsm_module_close`.
pub export fn tdsm_module_open(path: ?[*:0]const u8, out: ?*abi.ModuleInfo) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    modules.open(path orelse return bad, out orelse return bad) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_module_path(uint32_t module, char out[4096])
/// Answers the length of the module's file name: an absolute path without symbolic links.
pub export fn tdsm_module_path(module: u32, out: ?*[abi.path_max]u8) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const length = modules.fileName(module, out orelse return bad) catch |failure| return status.code(failure);
    return @intCast(length);
}

/// int32_t tdsm_module_map(uint32_t module, uint32_t handle, uint64_t region_byte)
/// Shows the region's bytes from `region_byte`, a multiple of the kernel's page, in the section.
/// May be repeated with the same arguments; each call is to be taken back with `tdsm_module_unmap`.
pub export fn tdsm_module_map(module: u32, handle: u32, region_byte: u64) i32 {
    modules.map(module, handle, region_byte) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_module_unmap(uint32_t module, uint32_t handle)
/// After the last one the section is blank memory of this process. Nothing to do if the region is
/// closed by now.
pub export fn tdsm_module_unmap(module: u32, handle: u32) i32 {
    modules.unmap(module, handle) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_module_close(uint32_t module)
pub export fn tdsm_module_close(module: u32) i32 {
    modules.close(module) catch |failure| return status.code(failure);
    return 0;
}

/// int32_t tdsm_program_publish(uint32_t handle, uint8_t *calls, const tdsm_program_node *node)
/// Lets native code of this process use the region's node by `tdsm.h`, until the region is closed.
/// `calls` is the memory that the node's threads and its engine share; it stays until then.
pub export fn tdsm_program_publish(handle: u32, calls: ?[*]u8, node: ?*const program.Node) i32 {
    const bad = status.code(status.reject(error.BadArgument));
    const shared = calls orelse return bad;
    const described = node orelse return bad;
    if (described.slots == 0 or described.quiet_slots == 0) return bad;
    if (!std.math.isPowerOfTwo(described.ring_bytes)) return bad;
    program.publish(handle, @intFromPtr(shared), described.*) catch |failure| return status.code(failure);
    process.offerSymbols();
    return 0;
}

/// const char *tdsm_program_manifest(void): JSON, never freed.
pub export fn tdsm_program_manifest() [*:0]const u8 {
    return program_api.manifest.ptr;
}

/// void tdsm_program_wake(const uint32_t *word)
/// Wakes the thread of native code that sleeps at a word of the shared memory.
pub export fn tdsm_program_wake(word: ?*const u32) void {
    call_ring.wake(word orelse return);
}

/// void tdsm_die(const uint8_t *message, uint64_t length, int32_t status, uint32_t timeout_ms)
/// Does not return.
pub export fn tdsm_die(message: ?[*]const u8, length: u64, exit_status: i32, timeout_ms: u32) noreturn {
    process.die(given(message, length), exit_status, timeout_ms);
}

fn given(text: ?[*]const u8, length: u64) []const u8 {
    return if (text) |first| first[0..length] else &.{};
}

fn onPages(handle: u32, first: u32, count: u32, comptime operation: anytype, arguments: anytype) i32 {
    const lease = registry.enter(handle) catch |failure| return status.code(failure);
    defer lease.end();
    const range = pages.byteRange(lease.region, first, count) catch |failure| return status.code(failure);
    lease.region.acquire();
    defer lease.region.release();
    @call(.auto, operation, .{ lease.region, range } ++ arguments) catch |failure| return status.code(failure);
    return 0;
}
