//! The fence around a region whose node cannot go on. No window shows a page any more, and
//! userfaultfd stays armed: a thread that touches the region waits, and a thread of the library ends
//! the process. It needs nothing of the engine, which may have ended by then, and goes on when the
//! region is closed: other threads may still have pointers into it. (So the library is never unloaded.)

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const pages = @import("pages.zig");
const process = @import("process.zig");
const status = @import("status.zig");
const userfaultfd = @import("userfaultfd.zig");
const View = @import("window.zig").View;
const Region = @import("region.zig").Region;

/// The end that a region's fence gives to the process.
pub const Fence = struct {
    raised: bool = false,
    uffd: i32 = -1,
    exit_status: i32 = 0,
    /// How long the process goes on after the first access, so that the program can end it itself.
    grace_ms: u32 = 0,
    length: usize = 0,
    message: [abi.fence_message_max]u8 = undefined,
};

/// Takes every page from every window, for good. The first fence counts; a second changes nothing.
/// After an error some windows may still show pages: the caller has to end the process.
pub fn raise(region: *Region, message: []const u8, exit_status: i32, grace_ms: u32) status.Error!void {
    if (message.len > abi.fence_message_max) return status.reject(error.BadArgument);
    region.acquire();
    defer region.release();
    const fence = &region.fence;
    if (fence.raised) return;
    fence.* = .{ .raised = true, .uffd = region.uffd, .exit_status = exit_status, .grace_ms = grace_ms };
    fence.length = message.len;
    @memcpy(fence.message[0..message.len], message);

    for (region.windows.slots[0..region.windows.used]) |window| {
        if (window.length == 0) continue;
        const view: View = .{ .address = window.address, .length = window.length };
        try empty(view);
        // The engine may have read faults of its threads: woken, they fault once more.
        try userfaultfd.wake(region.uffd, view.address, view.length);
    }

    var thread: std.c.pthread_t = undefined;
    return switch (std.c.pthread_create(&thread, null, watch, fence)) {
        .SUCCESS => _ = std.c.pthread_detach(thread),
        else => |errno| status.refuse(error.SystemCallFailed, errno),
    };
}

/// Takes every page from a window: moves its page tables to a place where nobody looks. userfaultfd goes
/// on to watch the window, and no access finds a hole meanwhile. To evict the pages takes five times as
/// long, and threads could go on reading those that are last.
fn empty(view: View) status.Error!void {
    const flags: linux.MREMAP = .{ .MAYMOVE = true, .DONTUNMAP = true };
    const moved = linux.mremap(@ptrFromInt(view.address), view.length, view.length, flags, null);
    // The kernel does not do it before 5.13, where the program has changed a part of the window, and
    // where the process may map no more.
    if (linux.errno(moved) != .SUCCESS) try pages.evictView(view);
}

/// Ends the process once a thread touches the region.
fn watch(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    const fence: *const Fence = @ptrCast(@alignCast(context.?));
    if (awaitFault(fence.uffd)) sleep(fence.grace_ms);
    process.die(fence.message[0..fence.length], fence.exit_status, farewell_max_ms);
}

/// How long the message may take to be written.
const farewell_max_ms = 1_000;

/// False when the kernel no longer tells of faults: then nothing holds the windows closed.
fn awaitFault(uffd: i32) bool {
    var message: [1]userfaultfd.Message = undefined;
    while (true) {
        var readable = [_]linux.pollfd{.{ .fd = uffd, .events = linux.POLL.IN, .revents = 0 }};
        _ = linux.poll(&readable, readable.len, -1);
        switch (linux.errno(linux.read(uffd, @ptrCast(&message), @sizeOf(userfaultfd.Message)))) {
            .SUCCESS => if (message[0].event == userfaultfd.Message.event_pagefault) return true,
            // A signal came, or the thread that faulted has ended.
            .AGAIN, .INTR => {},
            else => return false,
        }
    }
}

fn sleep(time_ms: u32) void {
    var left: linux.timespec = .{
        .sec = time_ms / std.time.ms_per_s,
        .nsec = @as(isize, time_ms % std.time.ms_per_s) * std.time.ns_per_ms,
    };
    while (linux.errno(linux.nanosleep(&left, &left)) == .INTR) {}
}
