//! Says on stderr that the engine of a region does not run any more, where nothing else can: a
//! thread of the program may hold a lock that the engine's event loop needs, and wait for a page
//! that only the engine can bring. A node with a lease is ended by its fence; the directory node
//! has none.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const clock = @import("clock.zig");
const process = @import("process.zig");
const status = @import("status.zig");
const waiting = @import("wait.zig");
const Region = @import("region.zig").Region;

/// The thread that looks after a region's engine.
pub const Watch = struct {
    /// How long the engine may stay away from its sleep, though it is woken.
    silent_ms: u31,
    /// Readable once the thread is to end.
    event: i32,
    thread: std.c.pthread_t = undefined,
    length: usize,
    message: [abi.fence_message_max]u8 = undefined,
};

/// Begins to look. When the engine has stayed away for `silent_ms`, `message` is said, once; also
/// when it stays away again after it has come back.
pub fn begin(region: *Region, message: []const u8, silent_ms: u32) status.Error!void {
    if (message.len > abi.fence_message_max or silent_ms < 2) return status.reject(error.BadArgument);
    region.acquire();
    defer region.release();
    if (region.watch != null) return status.reject(error.BadArgument);
    const event = try status.check(linux.eventfd(0, linux.EFD.CLOEXEC | linux.EFD.NONBLOCK));
    errdefer _ = linux.close(@intCast(event));
    region.watch = .{
        .silent_ms = std.math.cast(u31, silent_ms) orelse return status.reject(error.BadArgument),
        .event = @intCast(event),
        .length = message.len,
    };
    errdefer region.watch = null;
    const kept = &region.watch.?;
    @memcpy(kept.message[0..message.len], message);
    switch (std.c.pthread_create(&kept.thread, null, look, region)) {
        .SUCCESS => {},
        else => |errno| return status.refuse(error.SystemCallFailed, errno),
    }
}

/// Ends the looking at a region that is being closed.
pub fn end(region: *Region) void {
    const watch = if (region.watch) |*watch| watch else return;
    const one: u64 = 1;
    _ = linux.write(watch.event, std.mem.asBytes(&one), @sizeOf(u64));
    _ = std.c.pthread_join(watch.thread, null);
    _ = linux.close(watch.event);
    region.watch = null;
}

fn look(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    _ = linux.prctl(@backingInt(linux.PR.SET_NAME), @intFromPtr("tdsm watch"), 0, 0, 0);
    const region: *Region = @ptrCast(@alignCast(context.?));
    const watch = &region.watch.?;
    var missed: u32 = 0;
    while (true) {
        const turns = region.turns.load(.monotonic);
        waiting.kick(region);
        // Two halves: behind a stop of the whole process, the first one ends at once, and the
        // engine has yet to come.
        if (isEnded(watch)) return null;
        missed = if (region.turns.load(.monotonic) == turns) missed + 1 else 0;
        if (missed == 2) process.tell(watch.message[0..watch.length]);
    }
}

/// Waits for half of the time, whatever signals come; by a clock that stands still while the
/// machine is suspended.
fn isEnded(watch: *const Watch) bool {
    var readable = [_]linux.pollfd{.{ .fd = watch.event, .events = linux.POLL.IN, .revents = 0 }};
    const end_ns = clock.nowNs(.MONOTONIC) + @as(u64, watch.silent_ms / 2) * std.time.ns_per_ms;
    while (true) {
        const left_ns = end_ns -| clock.nowNs(.MONOTONIC);
        // Up, so that the last part is not asked for again and again.
        const left_ms: i32 = @intCast((left_ns + std.time.ns_per_ms - 1) / std.time.ns_per_ms);
        if (linux.poll(&readable, readable.len, left_ms) == 1) return true;
        if (left_ns == 0) return false;
    }
}
