//! Threads that want all cores of the machine, for tests.

const std = @import("std");
const cores = @import("cores.zig");

/// A thread a core that does nothing but want it.
pub const Spinners = struct {
    threads: [threads_max]std.Thread,
    count: usize,

    const threads_max = 64;
    var ends: std.atomic.Value(bool) = .init(false);

    /// Skips the test where there are too many cores.
    pub fn start() !Spinners {
        var spinners: Spinners = .{ .threads = undefined, .count = 0 };
        const needed = cores.online();
        if (needed > threads_max) return error.SkipZigTest;
        ends.store(false, .release);
        errdefer spinners.stop();
        while (spinners.count < needed) : (spinners.count += 1) {
            spinners.threads[spinners.count] = try std.Thread.spawn(.{}, spin, .{});
        }
        return spinners;
    }

    pub fn stop(spinners: Spinners) void {
        ends.store(true, .release);
        for (spinners.threads[0..spinners.count]) |thread| thread.join();
    }

    fn spin() void {
        while (!ends.load(.acquire)) std.atomic.spinLoopHint();
    }
};
