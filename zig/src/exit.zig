//! The end of a process by exit(3), as by `Deno.exit`: nodes that are still in use leave before it.
//! A node's program can see to that only in the thread that exits; a node that a Worker runs learns
//! of the end from here. Other threads, such as the engine's, run on until the last handler has
//! returned.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const process = @import("process.zig");
const registry = @import("registry.zig");
const status = @import("status.zig");
const threads = @import("thread.zig");
const wait = @import("wait.zig");

const Handler = *const fn (?*anyopaque) callconv(.c) void;
extern "c" fn __cxa_atexit(handler: Handler, argument: ?*anyopaque, library: ?*anyopaque) c_int;

/// What the end of the process has to do with a region.
const State = enum(u32) {
    /// Nothing: this watch is for another region to take.
    unused = 0,
    /// Nothing yet: an engine has begun to watch, or has made the process free to end.
    idle = 1,
    /// The engine is to be told.
    watched = 2,
    /// The engine is told, and the process waits for it.
    begun = abi.exit_begun,
};

const Watch = struct {
    state: std.atomic.Value(u32) = .init(@backingInt(State.unused)),
    handle: u32 = 0,
    engine: threads.Thread = undefined,
    timeout_ms: u32 = 0,

    /// Returns whether the watch was in the state `from`, and so is in `to` now.
    fn move(self: *Watch, from: State, to: State) bool {
        const done = self.state.cmpxchgStrong(@backingInt(from), @backingInt(to), .acq_rel, .monotonic) == null;
        if (done and from == .begun) {
            _ = linux.futex_3arg(&self.state.raw, .{ .cmd = .WAKE, .private = true }, 1);
        }
        return done;
    }
};

/// Never unloaded: an engine may look at the state of its watch even once the region is closed.
var watches: [abi.regions_max]Watch = @splat(.{});
var registered: std.atomic.Value(u32) = .init(0);

/// Begins to watch for the calling thread, which is the region's engine. Answers the address of the
/// watch's state.
pub fn begin(handle: u32, timeout_ms: u32) status.Error!u64 {
    if (registered.swap(1, .monotonic) == 0 and __cxa_atexit(ended, null, null) != 0) {
        registered.store(0, .monotonic);
        return status.reject(error.OutOfMemory);
    }
    const watch = for (&watches) |*watch| {
        if (watch.move(.unused, .idle)) break watch;
    } else return status.reject(error.LimitExceeded);
    watch.handle = handle;
    watch.engine = threads.current();
    watch.timeout_ms = timeout_ms;
    _ = watch.move(.idle, .watched);
    return @intFromPtr(&watch.state);
}

/// The process need not wait for the region's engine, now or later.
pub fn release(handle: u32) void {
    for (&watches) |*watch| {
        if (watch.handle == handle and (watch.move(.watched, .idle) or watch.move(.begun, .idle))) return;
    }
}

/// The region is closed, and its engine looks at its watch no more.
pub fn forget(handle: u32) void {
    release(handle);
    for (&watches) |*watch| {
        if (watch.handle == handle and watch.move(.idle, .unused)) return;
    }
}

/// Runs in the thread that exits. Tells all engines first, so that they leave at the same time.
pub fn ended(_: ?*anyopaque) callconv(.c) void {
    for (&watches) |*watch| {
        if (!watch.move(.watched, .begun)) continue;
        const lease = registry.enter(watch.handle) catch {
            _ = watch.move(.begun, .idle);
            continue;
        };
        wait.kick(lease.region);
        lease.end();
    }
    for (&watches) |*watch| awaitEngine(watch);
}

/// How often it is looked whether an engine has ended without a word.
const look_ns = 20 * std.time.ns_per_ms;

fn awaitEngine(watch: *Watch) void {
    const begun = @backingInt(State.begun);
    const give_up_at = process.boottimeMs() + @as(f64, @floatFromInt(watch.timeout_ms));
    while (watch.state.load(.acquire) == begun) {
        if (threads.hasEnded(watch.engine) or process.boottimeMs() >= give_up_at) return;
        const timeout: linux.timespec = .{ .sec = 0, .nsec = look_ns };
        _ = linux.futex_4arg(&watch.state.raw, .{ .cmd = .WAIT, .private = true }, begun, &timeout);
    }
}
