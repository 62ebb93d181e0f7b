//! Whether threads that waited for a page are known to have run again.

const std = @import("std");
const harness_file = @import("harness.zig");
const waiters = @import("waiters.zig");
const abi = @import("abi.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const Access = harness_file.Access;
const expectEqual = std.testing.expectEqual;

fn resumed(harness: Harness, page: u32) !bool {
    const answer = c.tdsm_resumed(harness.info.handle, page);
    try std.testing.expect(answer == 0 or answer == 1);
    return answer == 1;
}

/// A region whose kernel counts.
fn openCounting(pages: u64) !Harness {
    const harness = try Harness.open(4096, pages);
    errdefer harness.close();
    if (harness.info.flags & abi.region_counts_runs == 0) return error.SkipZigTest;
    return harness;
}

/// Reads pages in turn, and counts those that it has read.
const Walker = struct {
    harness: Harness,
    pages: u32,
    done: std.atomic.Value(u32) = .init(0),

    fn run(walker: *Walker) void {
        for (0..walker.pages) |page| {
            const byte: *volatile u8 = walker.harness.byte(@intCast(page));
            _ = byte.*;
            walker.done.store(@intCast(page + 1), .release);
        }
    }
};

test "waiters: a thread is waited for from the installation of its page until it has run" {
    const pages = 50;
    const harness = try openCounting(pages);
    defer harness.close();
    try std.testing.expect(try resumed(harness, 0));
    var walker: Walker = .{ .harness = harness, .pages = pages };
    const thread = try std.Thread.spawn(.{}, Walker.run, .{&walker});
    var seen: u32 = 0;
    for (0..pages) |page| {
        const fault = try harness.nextFault();
        try expectEqual(@as(u32, @intCast(page)), fault.page);
        // What is not installed keeps nobody waiting for its access.
        try std.testing.expect(try resumed(harness, fault.page));
        try harness.install(fault.page, 1, 0);
        while (walker.done.load(.acquire) == page) try std.Thread.yield();
        // Rarely the page is there before the thread sleeps: then it goes on, and is counted as one
        // that has not run again until it is given a core the next time.
        seen += @intFromBool(try resumed(harness, fault.page));
    }
    thread.join();
    try std.testing.expect(seen > pages / 2);
}

test "waiters: a thread that is woken and has no core has not resumed" {
    const harness = try openCounting(4);
    defer harness.close();
    const table = try std.testing.allocator.create(waiters.Table);
    defer std.testing.allocator.destroy(table);
    table.* = .{};
    defer table.deinit();
    // A thread that sleeps, and is given no core by an installation that wakes nobody.
    const access = try Access.read(harness.byte(2));
    const fault = try harness.nextFault();
    var waited = false;
    // Rarely the thread loses its core between its fault and its sleep: that looks like a run.
    for (0..100) |_| {
        table.note(fault.thread, fault.page);
        _ = table.serve(2, 1);
        waited = waited or !table.resumed(2);
        try std.testing.expect(table.resumed(1));
    }
    try std.testing.expect(waited);
    // It faults again, to write: until that is served nobody is waited for.
    table.note(fault.thread, fault.page);
    try std.testing.expect(table.resumed(2));
    _ = table.serve(0, 4);
    try std.testing.expect(!table.resumed(2));
    try harness.install(2, 1, 0);
    _ = access.join();
    try std.testing.expect(table.resumed(2));
}

test "waiters: more threads than fit are forgotten, the oldest first" {
    const threads = waiters.capacity + 6;
    const harness = try openCounting(threads);
    defer harness.close();
    var accesses: [threads]Access = undefined;
    for (&accesses, 0..) |*access, index| {
        access.* = try Access.read(harness.byte(@intCast(index)));
        _ = try harness.nextFault();
    }
    // The first ones made room for the last.
    try std.testing.expect(try resumed(harness, 0));
    try harness.install(0, threads, 0);
    for (accesses) |access| _ = access.join();
    for (0..threads) |page| try std.testing.expect(try resumed(harness, @intCast(page)));
}
