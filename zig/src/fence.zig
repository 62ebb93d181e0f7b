//! The fence around a region whose node cannot go on. No window shows a page any more, and
//! userfaultfd stays armed: a thread that touches the region waits, and a thread of the library
//! ends the process. It needs nothing of the engine, which may have ended by then, and goes on when
//! the region is closed: other threads may still have pointers into it. (So the library is never
//! unloaded.)
//!
//! A region may have a lease. Once the lease is over the same thread raises the fence by itself,
//! whether the engine runs or not: a debugger may have stopped it, or it may have crashed.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const pages = @import("pages.zig");
const process = @import("process.zig");
const status = @import("status.zig");
const userfaultfd = @import("userfaultfd.zig");
const waiting = @import("wait.zig");
const View = @import("window.zig").View;
const Region = @import("region.zig").Region;

/// How a process ends behind its fence.
pub const End = struct {
    exit_status: i32 = 0,
    /// How long the process goes on after the first access, so that the program can end it itself.
    grace_ms: u32 = 0,
    length: usize = 0,
    message: [abi.fence_message_max]u8 = undefined,

    pub fn init(message: []const u8, exit_status: i32, grace_ms: u32) status.Error!End {
        if (message.len > abi.fence_message_max) return status.reject(error.BadArgument);
        var end: End = .{ .exit_status = exit_status, .grace_ms = grace_ms, .length = message.len };
        @memcpy(end.message[0..message.len], message);
        return end;
    }
};

/// A region's fence. The region's lock is held while any of it is read or changed.
pub const Fence = struct {
    raised: bool = false,
    end: End = .{},
    lease: ?Lease = null,
    /// Whether the lease has raised the fence, and the engine has not raised it too since then.
    unattended: bool = false,
    /// Whether the process is being ended: nothing else may say why any more.
    ending: bool = false,
    /// One of `Telling`: how far some thread is with saying why the node cannot go on. It needs no
    /// lock.
    telling: std.atomic.Value(u32) = .init(Telling.untold),
};

/// The program says why its node cannot go on, where it can, and so does the thread that ends the
/// process: the reader of both would look for two causes.
const Telling = struct {
    const untold = 0;
    const begun = 1;
    const told = 2;
};

/// Until when the windows may stay open, and the thread that sees to it.
const Lease = struct {
    /// By CLOCK_BOOTTIME; infinite once the node needs no lease any more.
    until_ms: f64,
    /// How long the process goes on, without an access, while the fence is unattended; negative for
    /// ever.
    unattended_ms: i32,
    timer: i32,
    /// Readable once the thread is to look: the engine has raised the fence, or closes the region.
    event: i32,
    closing: bool = false,
    thread: std.c.pthread_t = undefined,
};

/// Takes every page from every window, for good. The first fence counts, except that an end which a
/// lease had prepared gives way to this one. After an error some windows may still show pages: the
/// caller has to end the process.
pub fn raise(region: *Region, end: End) status.Error!void {
    region.acquire();
    defer region.release();
    const fence = &region.fence;
    if (fence.raised) {
        if (!fence.unattended) return;
        if (fence.ending) process.awaitEnd();
        fence.unattended = false;
        fence.end = end;
        return;
    }
    fence.end = end;
    try close(region);
    if (fence.lease) |lease| return notify(lease.event);
    var thread: std.c.pthread_t = undefined;
    try spawn(&thread, region);
    _ = std.c.pthread_detach(thread);
}

/// Begins the lease of a region. When it is over the fence is raised, and the engine is woken,
/// which is to raise it too; while it does not, an access ends the process by `end`, and so does
/// the time `unattended_ms`.
pub fn beginLease(region: *Region, until_ms: f64, end: End, unattended_ms: i32) status.Error!void {
    region.acquire();
    defer region.release();
    const fence = &region.fence;
    if (fence.raised) return status.reject(error.Fenced);
    if (fence.lease != null) return status.reject(error.BadArgument);
    const timer = try status.check(linux.timerfd_create(.BOOTTIME, .{ .CLOEXEC = true, .NONBLOCK = true }));
    errdefer _ = linux.close(@intCast(timer));
    const event = try status.check(linux.eventfd(0, linux.EFD.CLOEXEC | linux.EFD.NONBLOCK));
    errdefer _ = linux.close(@intCast(event));
    fence.end = end;
    fence.lease = .{
        .until_ms = until_ms,
        .unattended_ms = unattended_ms,
        .timer = @intCast(timer),
        .event = @intCast(event),
    };
    errdefer fence.lease = null;
    // The thread begins with the lock, and so sees which thread it is.
    try spawn(&fence.lease.?.thread, region);
}

/// Puts off the end of the lease, for ever if `until_ms` is infinite. Fails where the fence is
/// raised.
pub fn extendLease(region: *Region, until_ms: f64) status.Error!void {
    region.acquire();
    defer region.release();
    if (region.fence.raised) return status.reject(error.Fenced);
    const lease = if (region.fence.lease) |*lease| lease else return status.reject(error.BadArgument);
    // The timer stays at the old end. Only when it rings does the thread look at the new one.
    lease.until_ms = @max(lease.until_ms, until_ms);
}

/// Ends the lease of a region that is being closed. False where the fence is raised: it stays.
pub fn endLease(region: *Region) bool {
    {
        region.acquire();
        defer region.release();
        if (region.fence.raised) return false;
        const lease = if (region.fence.lease) |*lease| lease else return true;
        lease.closing = true;
        notify(lease.event);
    }
    // From here on nothing raises the fence.
    const lease = region.fence.lease.?;
    _ = std.c.pthread_join(lease.thread, null);
    for ([_]i32{ lease.timer, lease.event }) |descriptor| _ = linux.close(descriptor);
    return true;
}

/// Whether the calling thread is to say why the node cannot go on, and then calls `endTelling`.
/// While another thread is about to, waits for that, `timeout_ms` at most: what that thread says
/// may never get through.
pub fn beginTelling(region: *Region, timeout_ms: u32) bool {
    const telling = &region.fence.telling;
    if (telling.cmpxchgStrong(Telling.untold, Telling.begun, .acquire, .acquire) == null) return true;
    process.awaitChange(telling, Telling.begun, timeout_ms);
    return telling.load(.acquire) != Telling.told;
}

/// The calling thread has said why the node cannot go on.
pub fn endTelling(region: *Region) void {
    const telling = &region.fence.telling;
    telling.store(Telling.told, .release);
    _ = linux.futex_3arg(&telling.raw, .{ .cmd = .WAKE, .private = true }, std.math.maxInt(i32));
}

/// Closes every window. The caller holds the region's lock.
fn close(region: *Region) status.Error!void {
    region.fence.raised = true;
    for (region.windows.slots[0..region.windows.used]) |window| {
        if (window.length == 0) continue;
        const view: View = .{ .address = window.address, .length = window.length };
        try empty(view);
        // The engine may have read faults of its threads: woken, they fault once more.
        try userfaultfd.wake(region.uffd, view.address, view.length);
    }
}

/// Takes every page from a window: moves its page tables to a place where nobody looks. userfaultfd
/// goes on to watch the window, and no access finds a hole meanwhile. To evict the pages takes five
/// times as long, and threads could go on reading those that are last.
fn empty(view: View) status.Error!void {
    const flags: linux.MREMAP = .{ .MAYMOVE = true, .DONTUNMAP = true };
    const moved = linux.mremap(@ptrFromInt(view.address), view.length, view.length, flags, null);
    // The kernel does not do it before 5.13, where the program has changed a part of the window,
    // and where the process may map no more.
    if (linux.errno(moved) != .SUCCESS) try pages.evictView(view);
}

/// What the thread does that watches over a region: waits until the fence is raised, or raises it
/// when the lease is over, and then ends the process. It returns only where the region is closed in
/// good order.
fn watch(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    _ = linux.prctl(@backingInt(linux.PR.SET_NAME), @intFromPtr("tdsm fence"), 0, 0, 0);
    const region: *Region = @ptrCast(@alignCast(context.?));
    while (true) switch (look(region)) {
        .open => sleepOver(region.fence.lease.?),
        .closing => return null,
        .raised => endProcess(region),
    };
}

/// Raises the fence if the lease is over; if not, sets the timer to its end.
fn look(region: *Region) enum { open, raised, closing } {
    region.acquire();
    defer region.release();
    const fence = &region.fence;
    if (fence.raised) return .raised;
    const lease = fence.lease.?;
    if (lease.closing) return .closing;
    if (process.boottimeMs() < lease.until_ms) {
        arm(lease);
        return .open;
    }
    fence.unattended = true;
    close(region) catch die(fence.end);
    waiting.kick(region);
    return .raised;
}

/// Waits for the timer, or to be notified.
fn sleepOver(lease: Lease) void {
    var readable = [_]linux.pollfd{
        .{ .fd = lease.timer, .events = linux.POLL.IN, .revents = 0 },
        .{ .fd = lease.event, .events = linux.POLL.IN, .revents = 0 },
    };
    _ = linux.poll(&readable, readable.len, -1);
}

/// An infinite end stops the timer.
fn arm(lease: Lease) void {
    const at: linux.timespec = if (std.math.isInf(lease.until_ms)) .{ .sec = 0, .nsec = 0 } else .{
        .sec = @intFromFloat(@divFloor(lease.until_ms, std.time.ms_per_s)),
        // The clock stands at 0 only while the machine starts: this is never the time 0, which
        // stops it.
        .nsec = @intFromFloat(@mod(lease.until_ms, std.time.ms_per_s) * std.time.ns_per_ms),
    };
    const never: linux.timespec = .{ .sec = 0, .nsec = 0 };
    _ = linux.timerfd_settime(lease.timer, .{ .ABSTIME = true }, &.{ .it_interval = never, .it_value = at }, null);
}

fn notify(event: i32) void {
    const one: u64 = 1;
    _ = linux.write(event, std.mem.asBytes(&one), @sizeOf(u64));
}

/// Ends the process once a thread touches the region, or once the engine has not come for too long.
fn endProcess(region: *Region) noreturn {
    awaitAccess(region);
    region.acquire();
    region.fence.ending = true;
    var end = region.fence.end;
    region.release();
    if (!beginTelling(region, farewell_max_ms)) end.length = 0;
    die(end);
}

fn die(end: End) noreturn {
    process.die(end.message[0..end.length], end.exit_status, farewell_max_ms);
}

/// How long the message may take to be written.
const farewell_max_ms = 1_000;

/// Returns the grace after an access; at once where the kernel no longer tells of faults, since
/// nothing holds the windows closed then.
fn awaitAccess(region: *Region) void {
    var message: [1]userfaultfd.Message = undefined;
    var timeout_ms = unattendedMs(region);
    while (true) {
        var readable = [_]linux.pollfd{.{ .fd = region.uffd, .events = linux.POLL.IN, .revents = 0 }};
        if (linux.poll(&readable, readable.len, timeout_ms) == 0) {
            if (endsUnattended(region)) return;
            timeout_ms = -1;
            continue;
        }
        switch (linux.errno(linux.read(region.uffd, @ptrCast(&message), @sizeOf(userfaultfd.Message)))) {
            .SUCCESS => if (message[0].event == userfaultfd.Message.event_pagefault) return sleep(graceMs(region)),
            // A signal came, or the thread that faulted has ended.
            .AGAIN, .INTR => {},
            else => return,
        }
    }
}

/// How long the process may go on without an access; negative for ever.
fn unattendedMs(region: *Region) i32 {
    region.acquire();
    defer region.release();
    return if (region.fence.unattended) region.fence.lease.?.unattended_ms else -1;
}

/// Whether the engine has not raised the fence too. If so, it comes too late from here on.
fn endsUnattended(region: *Region) bool {
    region.acquire();
    defer region.release();
    region.fence.ending = region.fence.unattended;
    return region.fence.ending;
}

fn graceMs(region: *Region) u32 {
    region.acquire();
    defer region.release();
    return region.fence.end.grace_ms;
}

fn spawn(thread: *std.c.pthread_t, region: *Region) status.Error!void {
    return switch (std.c.pthread_create(thread, null, watch, region)) {
        .SUCCESS => {},
        else => |errno| status.refuse(error.SystemCallFailed, errno),
    };
}

fn sleep(time_ms: u32) void {
    var left: linux.timespec = .{
        .sec = time_ms / std.time.ms_per_s,
        .nsec = @as(isize, time_ms % std.time.ms_per_s) * std.time.ns_per_ms,
    };
    while (linux.errno(linux.nanosleep(&left, &left)) == .INTR) {}
}
