//! Puts a thread into a real-time class for as long as it waits for cores.
//!
//! In that class the kernel wakes a thread away from the core of the thread that wakes it, if that
//! one is in the class, too. Where cores are in use, that costs little. Where they have halted, it
//! takes 20 to 40 times as long as to wake the thread on the same core, so that a message over
//! three engines is a third slower. So the thread is in the class only where threads of the
//! ordinary class keep it waiting.

const std = @import("std");
const linux = std.os.linux;
const clock = @import("clock.zig");
const realtime = @import("realtime.zig");
const schedstat = @import("schedstat.zig");
const status = @import("status.zig");

const Schedstat = schedstat.Schedstat;

/// For how long a thread is watched before it is judged, and how often it is looked at meanwhile.
const watched_ns = 20 * std.time.ns_per_ms;
const looked_every_ns = 2 * std.time.ns_per_ms;
/// From when on it counts as kept waiting: by the share of that time, in percent, and by its mean
/// wait for a core.
const Starved = struct { share_percent: u64, wait_ns: u64 };
/// Engines that wait for each other's steps wait for a fifth of the time or more, too, but for 20
/// to 40 us at a time: there the class would make their wakes dearer, and gain nothing. A program
/// that computes keeps a thread waiting up to the next tick. An engine with little to do may wait
/// for a small part of the time then, and yet each page takes twice as long.
const starved = [_]Starved{
    .{ .share_percent = 20, .wait_ns = 50 * std.time.ns_per_us },
    .{ .share_percent = 2, .wait_ns = 100 * std.time.ns_per_us },
};
/// The same before that time is over: a thread that has waited for a tick need not do so again.
const starved_early = [_]Starved{.{ .share_percent = 10, .wait_ns = 100 * std.time.ns_per_us }};
/// How long it is then in the class: twice as long each time that it needs it again, up to the
/// most, and half as long for each time that it did not.
const stay_min_ns = 400 * std.time.ns_per_ms;
const stay_max_ns = 2 * std.time.ns_per_s;

/// What is to become of a thread.
const Verdict = enum { stay, enter, leave };

/// When a thread is in the class. Times are of a clock in nanoseconds.
const Judge = struct {
    is_in_class: bool = false,
    /// When the watch began, and what the kernel had counted by then.
    begun_ns: u64,
    counts: Schedstat,
    /// When there is something to judge.
    due_ns: u64,
    /// How long the last stay in the class was, or half as long for each watch behind it that has
    /// found no need of one; then 0.
    stay_ns: u64 = 0,

    fn init(now_ns: u64, counts: Schedstat) Judge {
        return .{ .begun_ns = now_ns, .counts = counts, .due_ns = now_ns + looked_every_ns };
    }

    /// The next judgement leaves out one wait of so long.
    fn forget(self: *Judge, ns: u64) void {
        self.counts.waited_ns += ns;
        self.counts.runs += 1;
    }

    fn judge(self: *Judge, now_ns: u64, counts: Schedstat) Verdict {
        const end_ns = self.begun_ns + watched_ns;
        const is_early = !self.is_in_class and now_ns < end_ns;
        const passed_ns = @max(now_ns -| self.begun_ns, watched_ns);
        const waited_ns = counts.waited_ns -| self.counts.waited_ns;
        const runs = @max(counts.runs -| self.counts.runs, 1);
        const starves = for (if (is_early) &starved_early else &starved) |bound| {
            if (waited_ns * 100 >= passed_ns * bound.share_percent and waited_ns / runs >= bound.wait_ns) break true;
        } else false;
        self.due_ns = now_ns + looked_every_ns;
        if (is_early and !starves) {
            self.due_ns = @min(self.due_ns, end_ns);
            return .stay;
        }
        self.begun_ns = now_ns;
        self.counts = counts;
        if (self.is_in_class) {
            self.is_in_class = false;
            return .leave;
        }
        if (!starves) {
            self.stay_ns = if (self.stay_ns > stay_min_ns) self.stay_ns / 2 else 0;
            return .stay;
        }
        self.stay_ns = @min(@max(2 * self.stay_ns, stay_min_ns), stay_max_ns);
        self.is_in_class = true;
        self.due_ns = now_ns + self.stay_ns;
        return .enter;
    }
};

const Thread = struct { file: i32, judge: Judge };

/// The calling thread, between `begin` and `end`.
threadlocal var watched: ?Thread = null;

/// Watches the calling thread. Fails with EPERM where the process may not use the class, and with
/// EOPNOTSUPP where the kernel does not count how long threads wait.
pub fn begin() status.Error!void {
    if (watched != null) return;
    try realtime.begin();
    realtime.end();
    const file = schedstat.open(@intCast(linux.gettid()));
    errdefer schedstat.close(file);
    const counts = schedstat.read(file) orelse return status.refuse(error.KernelUnsupported, .OPNOTSUPP);
    watched = .{ .file = file, .judge = .init(clock.nowNs(.MONOTONIC), counts) };
}

/// Watches the calling thread no longer, and puts it back into the ordinary class.
pub fn end() void {
    const thread = watched orelse return;
    schedstat.close(thread.file);
    watched = null;
    realtime.end();
}

/// The calling thread has given its core away for so long: that was no wait.
pub fn gaveAway(ns: u64) void {
    const thread = if (watched) |*known| known else return;
    thread.judge.forget(ns);
}

/// The calling thread has slept.
pub fn slept() void {
    const thread = if (watched) |*known| known else return;
    const now_ns = clock.nowNs(.MONOTONIC);
    if (now_ns < thread.judge.due_ns) return;
    const counts = schedstat.read(thread.file) orelse return;
    switch (thread.judge.judge(now_ns, counts)) {
        .stay => {},
        // The right may have been taken away since; the thread is judged again.
        .enter => realtime.begin() catch {},
        .leave => realtime.end(),
    }
}

const expectEqual = std.testing.expectEqual;
const ms = std.time.ns_per_ms;

fn counted(waited_ns: u64, runs: u64) Schedstat {
    return .{ .waited_ns = waited_ns, .runs = runs };
}

test "starvation: what it has given away of its core is no wait" {
    var judge: Judge = .init(0, counted(0, 1));
    judge.forget(3 * ms);
    try expectEqual(.stay, judge.judge(2 * ms, counted(4 * ms, 3)));
    judge.forget(1 * ms);
    try expectEqual(.enter, judge.judge(4 * ms, counted(7 * ms, 5)));
}

test "starvation: one that waits little stays where it is" {
    var judge: Judge = .init(0, counted(0, 1));
    try expectEqual(.stay, judge.judge(20 * ms, counted(3 * ms, 61)));
    try expectEqual(.stay, judge.judge(40 * ms, counted(6 * ms, 121)));
    // What counts is the wait since the last look.
    try expectEqual(.stay, judge.judge(2000 * ms, counted(300 * ms, 6121)));
    try expectEqual(2002 * ms, judge.due_ns);
}

test "starvation: one that waits often, and briefly each time, stays where it is" {
    var judge: Judge = .init(0, counted(0, 1));
    try expectEqual(.stay, judge.judge(20 * ms, counted(8 * ms, 201)));
    // The same wait in fewer pieces is one that the class spares it.
    try expectEqual(.enter, judge.judge(40 * ms, counted(16 * ms, 301)));
}

test "starvation: one with little to do is judged by how long each wait is" {
    var judge: Judge = .init(0, counted(0, 1));
    // Of 20 ms one that another thread computes in, four times.
    try expectEqual(.enter, judge.judge(20 * ms, counted(1 * ms, 5)));
    try expectEqual(.leave, judge.judge(120 * ms, counted(1 * ms, 50)));
    try expectEqual(.stay, judge.judge(140 * ms, counted(2 * ms, 70)));
    try expectEqual(.stay, judge.judge(160 * ms, counted(2 * ms + 300 * std.time.ns_per_us, 71)));
}

test "starvation: one that has waited for a tick is not watched to the end" {
    var judge: Judge = .init(0, counted(0, 1));
    var looks: u64 = 0;
    while (judge.due_ns < watched_ns) : (looks += 1) {
        try expectEqual(.stay, judge.judge(judge.due_ns, counted(1 * ms, 2 + looks)));
    }
    try expectEqual(watched_ns / looked_every_ns - 1, looks);
    // What it has waited for before counts too: the watch goes on from where it began.
    try expectEqual(.enter, judge.judge(judge.due_ns, counted(1 * ms, 2 + looks)));

    judge = .init(0, counted(0, 1));
    try expectEqual(.stay, judge.judge(2 * ms, counted(100 * std.time.ns_per_us, 40)));
    try expectEqual(.enter, judge.judge(7 * ms, counted(4 * ms, 41)));
    const left = 7 * ms + stay_min_ns;
    try expectEqual(left, judge.due_ns);
    try expectEqual(.leave, judge.judge(left, counted(4 * ms, 400)));
    try expectEqual(.stay, judge.judge(left + 2 * ms, counted(4 * ms, 420)));
    try expectEqual(.enter, judge.judge(left + 5 * ms, counted(7 * ms, 421)));
    try expectEqual(left + 5 * ms + 2 * stay_min_ns, judge.due_ns);
}

test "starvation: a stay that was not needed makes the next ones shorter, until there is none" {
    var judge: Judge = .init(0, counted(0, 1));
    judge.stay_ns = 4 * stay_min_ns;
    for ([_]u64{ 2 * stay_min_ns, stay_min_ns, 0 }) |stay_ns| {
        try expectEqual(.stay, judge.judge(judge.begun_ns + watched_ns, counted(0, 1)));
        try expectEqual(stay_ns, judge.stay_ns);
    }
}

test "starvation: each stay is longer than the one before, up to a bound" {
    var judge: Judge = .init(0, counted(0, 1));
    var now: u64 = 0;
    var waited: u64 = 0;
    var stays: [4]u64 = undefined;
    for (&stays) |*stay| {
        now = judge.begun_ns + watched_ns;
        waited += watched_ns / 2;
        try expectEqual(.enter, judge.judge(now, counted(waited, 1)));
        stay.* = judge.due_ns - now;
        now = judge.due_ns;
        try expectEqual(.leave, judge.judge(now, counted(waited, 1)));
        try expectEqual(now + looked_every_ns, judge.due_ns);
    }
    try expectEqual([_]u64{ 400 * ms, 800 * ms, 1600 * ms, 2000 * ms }, stays);
    now = judge.begun_ns + watched_ns;
    try expectEqual(.stay, judge.judge(now, counted(waited, 1)));
    try expectEqual(stay_max_ns / 2, judge.stay_ns);
}

/// Threads that compute on a core, until they are told to end.
const Loops = struct {
    done: std.atomic.Value(bool) = .init(false),

    fn run(loops: *Loops) void {
        while (!loops.done.load(.monotonic)) std.atomic.spinLoopHint();
    }
};

test "starvation: a thread that shares its core with two that compute is put into the class" {
    var before: [16]u64 = undefined;
    _ = linux.syscall3(.sched_getaffinity, 0, @sizeOf(@TypeOf(before)), @intFromPtr(&before));
    var core: u32 = 0;
    _ = linux.syscall3(.getcpu, @intFromPtr(&core), 0, 0);
    if (core / 64 >= before.len) return error.SkipZigTest;
    var one: [16]u64 = @splat(0);
    one[core / 64] = @as(u64, 1) << @intCast(core % 64);
    _ = linux.syscall3(.sched_setaffinity, 0, @sizeOf(@TypeOf(one)), @intFromPtr(&one));
    defer _ = linux.syscall3(.sched_setaffinity, 0, @sizeOf(@TypeOf(before)), @intFromPtr(&before));
    begin() catch return error.SkipZigTest;
    defer end();

    var loops: Loops = .{};
    var threads: [2]std.Thread = undefined;
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, Loops.run, .{&loops});
    const pause: linux.timespec = .{ .sec = 0, .nsec = 100 * std.time.ns_per_us };
    while (!realtime.isActive()) {
        _ = linux.nanosleep(&pause, null);
        slept();
    }
    loops.done.store(true, .monotonic);
    for (threads) |thread| thread.join();
    // Once its core is its own it leaves.
    while (watched.?.judge.stay_ns != 0) {
        _ = linux.nanosleep(&pause, null);
        slept();
    }
    try std.testing.expect(!realtime.isActive());
}
