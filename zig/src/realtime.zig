//! The class of the engine's thread. In a real-time class the kernel gives the thread a core as
//! soon as it is woken, also where programs compute on every core. In the ordinary class such a
//! program keeps its core up to the next tick.
//!
//! An engine sleeps whenever it has nothing to do. So that it can never take a core for good,
//! whatever becomes of it, a timer of the processor time that the thread uses sends the thread a
//! signal, and the handler looks at how it has used that time: a thread that has not slept, or that
//! has used nearly all of the time that has passed, is put into the ordinary class until that has
//! changed. A thread that sleeps uses no such time, and is never woken for this. While an engine
//! looks for news it gives its core away by `yield`, and is in the ordinary class meanwhile.

const std = @import("std");
const linux = std.os.linux;
const clock = @import("clock.zig");
const status = @import("status.zig");

/// How much processor time the thread uses between two looks at it.
pub const judged_every_ns = 10 * std.time.ns_per_ms;
/// From which share of the time on it counts as all of it, in percent.
const share_max_percent = 80;
/// The lowest there is: any other real-time thread goes first.
const priority = 1;

/// Threads and processes that the thread makes begin in the ordinary class.
const reset_on_fork = 0x4000_0000;

/// What is known of a thread that has begun.
const Thread = struct {
    timer: i32,
    /// Whether the thread is in the ordinary class for now.
    demoted: bool = false,
    /// How often it had slept, how much processor time it had used, and when, at the last look.
    sleeps: i64,
    used_ns: u64,
    seen_ns: u64,
};

/// The calling thread, between `begin` and `end`.
threadlocal var begun: ?Thread = null;

/// Puts the calling thread into a real-time class. Fails with EPERM where the process may not do
/// that (CAP_SYS_NICE, RLIMIT_RTPRIO).
pub fn begin() status.Error!void {
    if (begun != null) return;
    try setClass(.real_time);
    errdefer setClass(.ordinary) catch {};
    begun = .{ .timer = try startTimer(), .sleeps = sleeps(), .used_ns = clock.nowNs(.THREAD_CPUTIME_ID), .seen_ns = clock.nowNs(.MONOTONIC) };
}

/// Puts the calling thread back into the ordinary class.
pub fn end() void {
    const thread = begun orelse return;
    _ = linux.syscall1(.timer_delete, @as(u32, @bitCast(thread.timer)));
    begun = null;
    setClass(.ordinary) catch {};
}

/// Whether the calling thread is in a real-time class that `begin` has put it into.
pub fn isActive() bool {
    const thread = begun orelse return false;
    return !thread.demoted;
}

/// Gives the core of the calling thread to others that wait for it, also to those of the ordinary
/// class, and goes on once the thread has a core again.
pub fn yield() void {
    if (!isActive()) {
        _ = linux.sched_yield();
        return;
    }
    setClass(.ordinary) catch {};
    _ = linux.sched_yield();
    setClass(.real_time) catch {};
    // The handler may have demoted the thread meanwhile; it comes again only once that has changed.
    if (!isActive()) setClass(.ordinary) catch {};
}

/// As sched_setscheduler(2) names them. To take `reset_on_fork` back takes more privileges than to
/// keep it.
const Class = enum(u32) {
    /// SCHED_OTHER
    ordinary = 0 | reset_on_fork,
    /// SCHED_RR
    real_time = 2 | reset_on_fork,
};

fn setClass(class: Class) status.Error!void {
    const parameter: i32 = if (class == .real_time) priority else 0;
    _ = try status.check(linux.syscall3(.sched_setscheduler, 0, @backingInt(class), @intFromPtr(&parameter)));
}

/// Has the calling thread, if it is in the ordinary class, take shorter turns on its core than
/// others do, from here on also each time that it comes back to that class. It gets no more of the
/// core by that, but gets it sooner when it is woken beside a thread that computes, although it has
/// looked for news for as long as that one has computed. Needs no right; kernels before 6.12 do
/// nothing. Threads that it makes begin without that, and with a niceness of 0 at least.
pub fn takeShortTurns() void {
    const class = linux.syscall1(.sched_getscheduler, 0);
    if (linux.errno(class) != .SUCCESS or class & ~@as(usize, reset_on_fork) != 0) return;
    const niceness = linux.syscall2(.getpriority, priority_of_thread, 0);
    if (linux.errno(niceness) != .SUCCESS) return;
    // The system call answers 20 - nice, so that it is never negative.
    const attributes: Attributes = .{ .nice = 20 - @as(i32, @intCast(niceness)), .runtime = turn_ns };
    // Without it, all goes on as before.
    _ = linux.syscall3(.sched_setattr, 0, @intFromPtr(&attributes), 0);
}

/// The shortest turn that there is.
const turn_ns = 100 * std.time.ns_per_us;

/// PRIO_PROCESS
const priority_of_thread = 0;

/// `struct sched_attr` of sched_setattr(2), in its first size.
const Attributes = extern struct {
    size: u32 = @sizeOf(Attributes),
    /// SCHED_OTHER
    policy: u32 = 0,
    /// SCHED_FLAG_RESET_ON_FORK
    flags: u64 = 1,
    nice: i32,
    priority: u32 = 0,
    /// In the ordinary class: for how long the thread has its core once it has it.
    runtime: u64,
    deadline: u64 = 0,
    period: u64 = 0,
};

/// What `timer_create` is told (sigevent(7)).
const SignalEvent = extern struct {
    value: u64 = 0,
    signal: i32,
    notify: i32,
    thread: i32,
    unused: [44]u8 = @splat(0),
};

/// SIGEV_THREAD_ID: to one thread.
const to_thread = 4;

fn startTimer() status.Error!i32 {
    const event: SignalEvent = .{ .signal = try handledSignal(), .notify = to_thread, .thread = linux.gettid() };
    var timer: i32 = undefined;
    _ = try status.check(linux.syscall3(
        .timer_create,
        @backingInt(linux.CLOCK.THREAD_CPUTIME_ID),
        @intFromPtr(&event),
        @intFromPtr(&timer),
    ));
    const every: linux.timespec = .{ .sec = 0, .nsec = judged_every_ns };
    const setting: linux.itimerspec = .{ .it_interval = every, .it_value = every };
    const result = linux.syscall4(.timer_settime, @as(u32, @bitCast(timer)), 0, @intFromPtr(&setting), 0);
    _ = status.check(result) catch |failure| {
        _ = linux.syscall1(.timer_delete, @as(u32, @bitCast(timer)));
        return failure;
    };
    return timer;
}

/// The real-time signal whose handler is `judge`; 0 before there is one.
var signal: std.atomic.Value(i32) = .init(0);
const last_signal = 64;
const first_signal = 35;

/// Finds a signal that nothing in this process handles, and handles it from here on.
fn handledSignal() status.Error!i32 {
    const known = signal.load(.acquire);
    if (known != 0) return known;
    var number: u32 = last_signal;
    while (number >= first_signal) : (number -= 1) {
        const candidate: linux.SIG = @fromBackingInt(number);
        var old: linux.Sigaction = undefined;
        _ = try status.check(linux.sigaction(candidate, null, &old));
        if (old.handler.handler != null) continue;
        const new: linux.Sigaction = .{
            .handler = .{ .handler = judge },
            .mask = linux.sigemptyset(),
            .flags = linux.SA.RESTART,
        };
        _ = try status.check(linux.sigaction(candidate, &new, null));
        // Another thread that begins at the same time may take another signal, which does no harm.
        signal.store(@intCast(number), .release);
        return @intCast(number);
    }
    return status.refuse(error.SystemCallFailed, .AGAIN);
}

/// The thread has used some more processor time. System calls only: it runs as a signal handler.
fn judge(_: linux.SIG) callconv(.c) void {
    const thread = if (begun) |*known| known else return;
    const slept = sleeps();
    const used = clock.nowNs(.THREAD_CPUTIME_ID);
    const now = clock.nowNs(.MONOTONIC);
    const share_percent = (used - thread.used_ns) * 100 / @max(now - thread.seen_ns, 1);
    const demoted = slept == thread.sleeps or share_percent > share_max_percent;
    thread.sleeps = slept;
    thread.used_ns = used;
    thread.seen_ns = now;
    if (demoted == thread.demoted) return;
    setClass(if (demoted) .ordinary else .real_time) catch return;
    thread.demoted = demoted;
}

/// How often the calling thread has slept. To yield is not to sleep.
fn sleeps() i64 {
    var usage: linux.rusage = undefined;
    _ = linux.getrusage(linux.rusage.THREAD, &usage);
    return usage.nvcsw;
}

const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;

fn classNow() u32 {
    return @intCast(linux.syscall1(.sched_getscheduler, 0));
}

const ordinary_class = @backingInt(Class.ordinary);
const real_time_class = @backingInt(Class.real_time);

test "realtime: a thread that does not sleep is put into the ordinary class, until it sleeps" {
    begin() catch return error.SkipZigTest;
    defer end();
    try expectEqual(real_time_class, classNow());
    try expect(isActive());
    while (classNow() != ordinary_class) {}
    try expect(!isActive());
    // It stays there as long as it does not sleep: judged twice more.
    const used = clock.nowNs(.THREAD_CPUTIME_ID);
    while (clock.nowNs(.THREAD_CPUTIME_ID) - used < 3 * judged_every_ns) try expectEqual(ordinary_class, classNow());
    const pause: linux.timespec = .{ .sec = 0, .nsec = std.time.ns_per_ms };
    while (classNow() == ordinary_class) _ = linux.nanosleep(&pause, null);
    try expect(isActive());
    end();
    try expectEqual(ordinary_class, classNow());
    try expect(!isActive());
}

test "realtime: threads that such a thread makes begin in the ordinary class, and may begin, too" {
    begin() catch return error.SkipZigTest;
    defer end();
    const Job = struct {
        class: u32 = real_time_class,
        began: bool = false,

        fn run(job: *@This()) void {
            job.class = classNow();
            begin() catch return;
            job.began = isActive();
            end();
        }
    };
    var job: Job = .{};
    const thread = try std.Thread.spawn(.{}, Job.run, .{&job});
    thread.join();
    try expectEqual(0, job.class);
    try expect(job.began);
    try expect(isActive());
}

test "realtime: a thread that yields is in its class behind that, and in the ordinary one takes short turns" {
    takeShortTurns();
    try expectShortTurns();
    yield();
    begin() catch return error.SkipZigTest;
    yield();
    try expectEqual(real_time_class, classNow());
    end();
    try expectEqual(ordinary_class, classNow());
    try expectShortTurns();
}

fn expectShortTurns() !void {
    var attributes: Attributes = undefined;
    try expectEqual(.SUCCESS, linux.errno(linux.syscall4(.sched_getattr, 0, @intFromPtr(&attributes), @sizeOf(Attributes), 0)));
    try expectEqual(0, attributes.policy);
    // Kernels before 6.12 know of no turns.
    if (attributes.runtime != 0) try expectEqual(turn_ns, attributes.runtime);
}
