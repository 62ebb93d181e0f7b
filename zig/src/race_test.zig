//! The two promises that coherence stands on, with threads that never stop touching the page:
//! after `protect` or `evict` no write gets through, and no write is lost.

const std = @import("std");
const abi = @import("abi.zig");
const harness_file = @import("harness.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const succeed = harness_file.succeed;
const expectEqual = std.testing.expectEqual;

/// Adds one to a word of the region until told to stop, and counts how often.
const Adder = struct {
    word: *std.atomic.Value(u64),
    done: u64 = 0,
    stop: *std.atomic.Value(bool),
    running: *std.atomic.Value(u32),

    fn run(adder: *Adder) void {
        while (!adder.stop.load(.monotonic)) : (adder.done += 1) {
            _ = adder.word.fetchAdd(1, .monotonic);
        }
        _ = adder.running.fetchSub(1, .release);
    }
};

/// Serves every fault that waits by making its page writable; answers how many there were.
fn serve(harness: Harness) !u32 {
    var faults: [8]abi.Fault = undefined;
    const count = c.tdsm_faults_read(harness.info.handle, &faults, faults.len);
    try std.testing.expect(count >= 0);
    for (faults[0..@intCast(count)]) |fault| try harness.install(fault.page, 1, abi.install_writable);
    return @intCast(count);
}

test "race: no write gets through after protect or evict" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    const handle = harness.info.handle;
    var stop: std.atomic.Value(bool) = .init(false);
    var running: std.atomic.Value(u32) = .init(1);
    var adder: Adder = .{ .word = @ptrCast(@alignCast(harness.byte(2))), .stop = &stop, .running = &running };
    const word: *std.atomic.Value(u64) = @ptrCast(@alignCast(&harness.alias[2 * 4096]));
    const thread = try std.Thread.spawn(.{}, Adder.run, .{&adder});

    var before: u64 = 0;
    for (0..240) |round| {
        // Not until the thread has written, so that there is a write to catch.
        while (word.load(.acquire) == before) {
            if (try serve(harness) == 0) try std.Thread.yield();
        }
        // Each kind of taking away: shared, gone, and gone by way of shared.
        if (round % 3 != 1) try succeed(c.tdsm_protect(handle, 2, 1));
        if (round % 3 != 0) try succeed(c.tdsm_evict(handle, 2, 1));
        const kept = word.load(.acquire);
        for (0..8) |_| {
            try std.Thread.yield();
            try expectEqual(kept, word.load(.acquire));
        }
        before = kept;
    }
    stop.store(true, .release);
    while (running.load(.acquire) > 0) {
        if (try serve(harness) == 0) try std.Thread.yield();
    }
    thread.join();
}

test "race: adds through two windows are all counted while the page comes and goes" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    const handle = harness.info.handle;
    var second: u64 = 0;
    try succeed(c.tdsm_window_add(handle, 0, 0, 16 * 4096, &second));
    var stop: std.atomic.Value(bool) = .init(false);
    var running: std.atomic.Value(u32) = .init(4);
    var adders: [4]Adder = undefined;
    var threads: [4]std.Thread = undefined;
    for (&adders, &threads, 0..) |*adder, *thread, i| {
        const base = if (i % 2 == 0) harness.info.window_address else second;
        adder.* = .{ .word = @ptrFromInt(base + 4096), .stop = &stop, .running = &running };
        thread.* = try std.Thread.spawn(.{}, Adder.run, .{adder});
    }
    for (0..300) |round| {
        if (round % 3 != 1) try succeed(c.tdsm_protect(handle, 1, 1));
        if (round % 3 != 0) try succeed(c.tdsm_evict(handle, 1, 1));
        // The threads never rest, so one of them must fault, and every round takes from somebody.
        while (try serve(harness) == 0) {
            try std.testing.expect(c.tdsm_wait(handle, harness_file.patience_us) > 0);
        }
    }
    stop.store(true, .release);
    while (running.load(.acquire) > 0) {
        if (try serve(harness) == 0) try std.Thread.yield();
    }
    var total: u64 = 0;
    for (threads, &adders) |thread, *adder| {
        thread.join();
        total += adder.done;
    }
    const word: *u64 = @ptrCast(@alignCast(&harness.alias[4096]));
    try expectEqual(total, word.*);
}
