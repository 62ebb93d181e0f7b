//! Sleeps until a fault or a kick comes. Other threads end the sleep through an eventfd.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const status = @import("status.zig");
const Region = @import("region.zig").Region;
const registry = @import("registry.zig");

/// Answers bits of `abi.wait_*`; 0 if the time is over, or a signal came before.
/// A negative `timeout_us` waits without end.
pub fn wait(lease: registry.Lease, timeout_us: i64) status.Error!i32 {
    const region = lease.region;
    var descriptors = [_]linux.pollfd{
        .{ .fd = region.uffd, .events = linux.POLL.IN, .revents = 0 },
        .{ .fd = region.event, .events = linux.POLL.IN, .revents = 0 },
    };
    var timeout: linux.timespec = .{
        .sec = @intCast(@divFloor(@max(timeout_us, 0), std.time.us_per_s)),
        .nsec = @intCast(@mod(@max(timeout_us, 0), std.time.us_per_s) * std.time.ns_per_us),
    };
    const result = linux.ppoll(&descriptors, descriptors.len, if (timeout_us < 0) null else &timeout, null);
    switch (linux.errno(result)) {
        .SUCCESS => {},
        // A signal handler ran; the caller looks around and waits again.
        .INTR => {},
        else => |errno| return status.fromErrno(errno),
    }
    var bits: i32 = 0;
    if (descriptors[0].revents & linux.POLL.IN != 0) bits |= abi.wait_faults;
    if (descriptors[1].revents & linux.POLL.IN != 0) {
        bits |= abi.wait_kicked;
        drain(region);
    }
    if (lease.isClosing()) {
        bits |= abi.wait_closing;
        // The kick of `close` may have been drained just now, and is meant for every waiter.
        kick(region);
    }
    return bits;
}

/// Ends the wait of one thread that is inside `wait`, or of the next that enters it.
pub fn kick(region: *Region) void {
    const one: u64 = 1;
    // EAGAIN: the counter is full, so it is readable, which is all that is wanted.
    _ = linux.write(region.event, std.mem.asBytes(&one), @sizeOf(u64));
}

fn drain(region: *Region) void {
    var count: u64 = undefined;
    // EAGAIN: another waiter was quicker.
    _ = linux.read(region.event, std.mem.asBytes(&count), @sizeOf(u64));
}
