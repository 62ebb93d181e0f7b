//! Wakes a thread on the core of the thread that wakes it.
//!
//! The kernel likes to wake a thread where it ran before. Where programs compute on every core, the
//! thread then waits there up to the next tick, while the core of the engine that has woken it is
//! free as soon as the engine sleeps. And to wake a thread on another core that has halted takes 20
//! to 40 times as long as on the waking thread's own. So the thread may run on that core alone
//! while it is woken, and wherever it might before right after that.

const std = @import("std");
const linux = std.os.linux;

/// The cores on which a thread may run, a bit each. Machines with more cores are left to the
/// kernel.
const Cores = [16]u64;

/// A thread that is about to be woken.
pub const Pull = struct {
    /// The kernel's id of the thread; 0 for none.
    thread: u32 = 0,
    before: Cores = undefined,
    here: Cores = undefined,

    /// Has a thread that sleeps wake on the core of the calling thread, if it may run there.
    pub fn begin(thread: u32) Pull {
        var pull: Pull = .{ .thread = thread };
        if (!read(thread, &pull.before)) return .{};
        var core: u32 = 0;
        if (linux.errno(linux.syscall3(.getcpu, @intFromPtr(&core), 0, 0)) != .SUCCESS) return .{};
        if (core / 64 >= pull.here.len) return .{};
        pull.here = @splat(0);
        pull.here[core / 64] = @as(u64, 1) << @intCast(core % 64);
        if (pull.before[core / 64] & pull.here[core / 64] == 0) return .{};
        // One that may run here alone needs no pull.
        if (std.meta.eql(pull.before, pull.here)) return .{};
        return if (write(thread, &pull.here)) pull else .{};
    }

    /// It is awake: it may run where it might before, unless the program has said otherwise
    /// meanwhile.
    pub fn end(pull: *const Pull) void {
        if (pull.thread == 0) return;
        var now: Cores = undefined;
        if (!read(pull.thread, &now) or !std.meta.eql(now, pull.here)) return;
        _ = write(pull.thread, if (isEverywhere(&pull.before)) &everywhere else &pull.before);
    }
};

/// On any core, also on those that the process is only given later.
const everywhere: Cores = @splat(std.math.maxInt(u64));

fn isEverywhere(cores: *const Cores) bool {
    var count: u32 = 0;
    for (cores) |word| count += @popCount(word);
    return count == machine.cores();
}

const machine = @import("cores.zig");

fn read(thread: u32, cores: *Cores) bool {
    cores.* = @splat(0);
    return linux.errno(linux.syscall3(.sched_getaffinity, thread, @sizeOf(Cores), @intFromPtr(cores))) == .SUCCESS;
}

fn write(thread: u32, cores: *const Cores) bool {
    return linux.errno(linux.syscall3(.sched_setaffinity, thread, @sizeOf(Cores), @intFromPtr(cores))) == .SUCCESS;
}

const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

/// A thread that sleeps until it is told to end.
const Sleeper = struct {
    id: std.atomic.Value(u32) = .init(0),
    done: std.atomic.Value(u32) = .init(0),

    fn run(sleeper: *Sleeper) void {
        sleeper.id.store(@intCast(linux.gettid()), .release);
        while (sleeper.done.load(.acquire) == 0) _ = linux.futex_4arg(&sleeper.done, .{ .cmd = .WAIT, .private = true }, 0, null);
    }

    fn end(sleeper: *Sleeper) void {
        sleeper.done.store(1, .release);
        _ = linux.futex_3arg(&sleeper.done, .{ .cmd = .WAKE, .private = true }, 1);
    }
};

test "pull: a thread may run on this core alone, and after that where it might before" {
    var sleeper: Sleeper = .{};
    const thread = try std.Thread.spawn(.{}, Sleeper.run, .{&sleeper});
    defer thread.join();
    defer sleeper.end();
    while (sleeper.id.load(.acquire) == 0) try std.Thread.yield();
    const id = sleeper.id.load(.acquire);
    var before: Cores = undefined;
    try expect(read(id, &before));
    var count: u32 = 0;
    for (before) |word| count += @popCount(word);
    if (count < 2) return error.SkipZigTest;

    const pull = Pull.begin(id);
    var now: Cores = undefined;
    try expect(read(id, &now));
    try expectEqual(pull.here, now);
    pull.end();
    try expect(read(id, &now));
    try expectEqual(before, now);

    // What the program says meanwhile counts.
    const other = Pull.begin(id);
    var chosen: Cores = before;
    for (&chosen, other.here) |*word, here| word.* &= ~here;
    try expect(write(id, &chosen));
    other.end();
    try expect(read(id, &now));
    try expectEqual(chosen, now);

    // A thread that may not run here is left where it is. This one moves if it must, and stays
    // there.
    var mine: Cores = undefined;
    try expect(read(0, &mine));
    try expect(write(0, &other.here));
    defer _ = write(0, &mine);
    try expectEqual(0, Pull.begin(id).thread);
    try expectEqual(0, Pull.begin(std.math.maxInt(i32)).thread);
    try expect(write(id, &before));
}
