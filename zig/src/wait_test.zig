//! Sleeping, kicking, closing, and faults in number.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const registry = @import("registry.zig");
const Status = @import("status.zig").Status;
const harness_file = @import("harness.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const Access = harness_file.Access;
const succeed = harness_file.succeed;
const expectEqual = std.testing.expectEqual;

const Waiter = struct {
    handle: u32,
    entered: std.atomic.Value(u32) = .init(0),
    result: i32 = 0,

    fn run(waiter: *Waiter) void {
        waiter.entered.store(1, .release);
        waiter.result = c.tdsm_wait(waiter.handle, harness_file.patience_us);
    }

    fn start(waiter: *Waiter) !std.Thread {
        const thread = try std.Thread.spawn(.{}, run, .{waiter});
        while (waiter.entered.load(.acquire) == 0) try std.Thread.yield();
        return thread;
    }
};

test "wait: the time ends it, and a kick before it is not lost" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    const handle = harness.info.handle;
    try expectEqual(0, c.tdsm_wait(handle, 0));
    try expectEqual(0, c.tdsm_wait(handle, 1500));
    try succeed(c.tdsm_kick(handle));
    try succeed(c.tdsm_kick(handle));
    try expectEqual(abi.wait_kicked, c.tdsm_wait(handle, -1));
    try expectEqual(0, c.tdsm_wait(handle, 0));
}

test "wait: a kick from another thread ends it" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    var waiter: Waiter = .{ .handle = harness.info.handle };
    const thread = try waiter.start();
    try succeed(c.tdsm_kick(harness.info.handle));
    thread.join();
    try expectEqual(abi.wait_kicked, waiter.result);
}

test "wait: close sends every waiter out, and then the handle is none" {
    for (0..50) |_| {
        const harness = try Harness.open(4096, 16);
        var waiters: [4]Waiter = @splat(.{ .handle = harness.info.handle });
        var threads: [4]std.Thread = undefined;
        for (&waiters, &threads) |*waiter, *thread| thread.* = try waiter.start();
        harness.close();
        for (threads) |thread| thread.join();
        for (waiters) |waiter| {
            // One that had not got inside finds the handle closed.
            const sent_out = waiter.result & abi.wait_closing != 0 and waiter.result > 0;
            try std.testing.expect(sent_out or waiter.result == -@backingInt(Status.bad_handle));
        }
        try expectEqual(-@backingInt(Status.bad_handle), c.tdsm_close(harness.info.handle));
    }
}

test "wait: of two threads that close one region, one does" {
    const Closer = struct {
        fn run(handle: u32, result: *i32) void {
            result.* = c.tdsm_close(handle);
        }
    };
    for (0..50) |_| {
        const harness = try Harness.open(4096, 16);
        var results: [2]i32 = undefined;
        const first = try std.Thread.spawn(.{}, Closer.run, .{ harness.info.handle, &results[0] });
        const second = try std.Thread.spawn(.{}, Closer.run, .{ harness.info.handle, &results[1] });
        first.join();
        second.join();
        try expectEqual(-@backingInt(Status.bad_handle), results[0] + results[1]);
    }
}

test "faults: many at once are read in batches of the caller's size, each once" {
    const count = 100;
    const harness = try Harness.open(4096, count);
    defer harness.close();
    var accesses: [count]Access = undefined;
    for (&accesses, 0..) |*access, page| access.* = try Access.read(harness.byte(@intCast(page)));
    var seen: [count]bool = @splat(false);
    var faults: [70]abi.Fault = undefined;
    var total: u32 = 0;
    while (total < count) {
        try expectEqual(abi.wait_faults, c.tdsm_wait(harness.info.handle, harness_file.patience_us));
        const taken = c.tdsm_faults_read(harness.info.handle, &faults, faults.len);
        for (faults[0..@intCast(taken)]) |fault| {
            try std.testing.expect(!seen[fault.page]);
            seen[fault.page] = true;
            total += 1;
        }
    }
    try harness.install(0, count, 0);
    for (accesses) |access| _ = access.join();
    try harness.expectNoFault();
}

test "faults: a descriptor that was closed, and whose number another file has, is an error" {
    const harness = try Harness.open(4096, 1);
    defer harness.close();
    const lease = try registry.enter(harness.info.handle);
    const uffd = lease.region.uffd;
    lease.end();
    // A file of fewer bytes than a message has, read from its beginning and then at its end.
    const file: i32 = @intCast(linux.open("/proc/self/comm", .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0));
    defer _ = linux.close(file);
    try expectEqual(@as(usize, @intCast(uffd)), linux.dup2(file, uffd));
    var fault: [1]abi.Fault = undefined;
    for (0..2) |_| {
        const answer = c.tdsm_faults_read(harness.info.handle, &fault, fault.len);
        try expectEqual(-@as(i32, @backingInt(Status.system_call_failed)), answer);
        try expectEqual(@backingInt(linux.E.BADF), c.tdsm_last_errno());
    }
}
