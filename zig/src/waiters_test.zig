//! Whether threads that waited for a page are known to have run again.

const std = @import("std");
const harness_file = @import("harness.zig");
const waiters = @import("waiters.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const Access = harness_file.Access;
const expectEqual = std.testing.expectEqual;

fn answer(harness: Harness, page: u32) !waiters.Answer {
    return std.enums.fromInt(waiters.Answer, c.tdsm_resumed(harness.info.handle, page)) orelse error.Failed;
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

test "waiters: a thread waits until its page is installed, and has resumed once it was read" {
    const pages = 50;
    const harness = try Harness.open(4096, pages);
    defer harness.close();
    try expectEqual(.resumed, try answer(harness, 0));
    var walker: Walker = .{ .harness = harness, .pages = pages };
    const thread = try std.Thread.spawn(.{}, Walker.run, .{&walker});
    var waited: u32 = 0;
    for (0..pages) |page| {
        const fault = try harness.nextFault();
        try expectEqual(@as(u32, @intCast(page)), fault.page);
        // Rarely the thread loses its core between its fault and its sleep: that looks like a run.
        switch (try answer(harness, fault.page)) {
            .waiting => waited += 1,
            .resumed => {},
            .unknown => return error.SkipZigTest,
        }
        try harness.install(fault.page, 1, 0);
        while (walker.done.load(.acquire) == page) try std.Thread.yield();
        try expectEqual(.resumed, try answer(harness, fault.page));
    }
    thread.join();
    try std.testing.expect(waited > pages / 2);
}

test "waiters: of several threads at one page the last counts, and more than fit are forgotten" {
    const threads = waiters.capacity + 6;
    const harness = try Harness.open(4096, threads);
    defer harness.close();
    var accesses: [threads]Access = undefined;
    for (&accesses, 0..) |*access, index| {
        access.* = try Access.read(harness.byte(@intCast(index)));
        _ = try harness.nextFault();
    }
    if (try answer(harness, threads - 1) == .unknown) return error.SkipZigTest;
    // The first ones made room for the last.
    try expectEqual(.resumed, try answer(harness, 0));
    try harness.install(0, threads, 0);
    for (accesses) |access| _ = access.join();
    for (0..threads) |page| try expectEqual(.resumed, try answer(harness, @intCast(page)));
}
