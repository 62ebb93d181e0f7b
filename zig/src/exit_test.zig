//! The end of a process waits for the engines of its regions, as far as there are any. That a
//! process really ends so is seen from outside, by tests/nodes/ends_test.ts.

const std = @import("std");
const abi = @import("abi.zig");
const exit = @import("exit.zig");
const harness_file = @import("harness.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const succeed = harness_file.succeed;
const expectEqual = std.testing.expectEqual;

const patience_ms: u32 = @intCast(@divExact(harness_file.patience_us, std.time.us_per_ms));

fn watch(harness: Harness) !*std.atomic.Value(u32) {
    var address: u64 = 0;
    try succeed(c.tdsm_exit_watch(harness.info.handle, patience_ms, &address));
    return @ptrFromInt(address);
}

/// A thread that does what a thread does that ends the process, up to the end itself.
const Exit = struct {
    done: std.atomic.Value(bool) = .init(false),

    fn run(self: *Exit) void {
        exit.ended(null);
        self.done.store(true, .release);
    }
};

test "exit: it kicks the region, and waits until its engine lets it go" {
    const harness = try Harness.open(4096, 1);
    defer harness.close();
    const word = try watch(harness);
    var end: Exit = .{};
    const thread = try std.Thread.spawn(.{}, Exit.run, .{&end});
    try expectEqual(abi.wait_kicked, c.tdsm_wait(harness.info.handle, harness_file.patience_us));
    try expectEqual(abi.exit_begun, word.load(.acquire));
    try std.testing.expect(!end.done.load(.acquire));
    try succeed(c.tdsm_exit_release(harness.info.handle));
    thread.join();
    // Nothing is left to wait for.
    exit.ended(null);
}

test "exit: a region that is closed meanwhile is waited for no longer, and its watch is used again" {
    for (0..2 * abi.regions_max) |_| {
        const harness = try Harness.open(4096, 1);
        const word = try watch(harness);
        var end: Exit = .{};
        const thread = try std.Thread.spawn(.{}, Exit.run, .{&end});
        while (word.load(.acquire) != abi.exit_begun) try std.Thread.yield();
        harness.close();
        thread.join();
    }
}

test "exit: an engine that has ended without a word is not waited for" {
    const harness = try Harness.open(4096, 1);
    defer harness.close();
    const Engine = struct {
        fn run(of: Harness, failed: *bool) void {
            _ = watch(of) catch {
                failed.* = true;
            };
        }
    };
    var failed = false;
    const engine = try std.Thread.spawn(.{}, Engine.run, .{ harness, &failed });
    engine.join();
    try std.testing.expect(!failed);
    exit.ended(null);
}
