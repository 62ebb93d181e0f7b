//! The kernel's clocks, read by the C library. That needs no system call for most of them; within
//! a library that a program has loaded, std.os.linux does not find the way without one.

const std = @import("std");

/// The time of a clock, in nanoseconds.
pub fn nowNs(clock: std.c.clockid_t) u64 {
    var time: std.c.timespec = undefined;
    _ = std.c.clock_gettime(clock, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}
