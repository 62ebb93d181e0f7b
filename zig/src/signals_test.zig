//! Signals are counted for each thread, before what handled them is called, and wake an epoll.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const harness_file = @import("harness.zig");
const c = harness_file.c;
const signals = @import("signals.zig");
const expectEqual = std.testing.expectEqual;
const succeed = harness_file.succeed;

var handled: std.atomic.Value(u32) = .init(0);

fn plain(_: linux.SIG) callconv(.c) void {
    _ = handled.fetchAdd(1, .monotonic);
}

fn informed(number: linux.SIG, info: *const linux.siginfo_t, _: ?*anyopaque) callconv(.c) void {
    if (info.signo == number) _ = handled.fetchAdd(1, .monotonic);
}

fn handle(number: linux.SIG, action: linux.Sigaction) !void {
    try expectEqual(.SUCCESS, linux.errno(linux.sigaction(number, &action, null)));
}

fn bit(number: linux.SIG) u32 {
    return @as(u32, 1) << @intCast(@backingInt(number));
}

fn wait(epoll: i32) i32 {
    var out: [1]abi.LinkReady = undefined;
    return c.tdsm_links_wait(epoll, &out, out.len, 0, 0);
}

const Other = struct {
    before: u32 = 0,
    told: u32 = 0,
    go: std.atomic.Value(bool) = .init(false),
    watching: std.atomic.Value(bool) = .init(false),

    fn run(other: *Other) void {
        signals.watch(-1) catch return;
        other.before = signals.take();
        other.watching.store(true, .release);
        while (!other.go.load(.acquire)) std.atomic.spinLoopHint();
        other.told = signals.take();
    }
};

test "signals: each ends the sleep, is told to every thread once, and is handled as before" {
    const empty = linux.sigemptyset();
    try handle(.HUP, .{ .handler = .{ .handler = plain }, .mask = empty, .flags = 0 });
    try handle(.INT, .{ .handler = .{ .sigaction = informed }, .mask = empty, .flags = linux.SA.SIGINFO });
    try handle(.TERM, .{ .handler = .{ .sigaction = informed }, .mask = empty, .flags = linux.SA.SIGINFO });
    const epoll = c.tdsm_links_open();
    defer c.tdsm_links_close(epoll);
    try succeed(c.tdsm_signals_watch(epoll));
    try expectEqual(0, c.tdsm_signals_take());
    try expectEqual(0, wait(epoll));

    var other: Other = .{};
    const thread = try std.Thread.spawn(.{}, Other.run, .{&other});
    while (!other.watching.load(.acquire)) std.atomic.spinLoopHint();

    const self = linux.getpid();
    for ([_]linux.SIG{ .HUP, .INT, .TERM }, 1..) |number, count| {
        _ = linux.tgkill(self, linux.gettid(), number);
        try expectEqual(abi.ready_signals, wait(epoll));
        try expectEqual(0, wait(epoll));
        try expectEqual(bit(number), c.tdsm_signals_take());
        try expectEqual(0, c.tdsm_signals_take());
        try expectEqual(count, handled.load(.monotonic));
    }
    other.go.store(true, .release);
    thread.join();
    try expectEqual(0, other.before);
    try expectEqual(bit(.HUP) | bit(.INT) | bit(.TERM), other.told);

    // A second watch leaves the handlers as they are.
    try succeed(c.tdsm_signals_watch(-1));
    _ = linux.tgkill(self, linux.gettid(), .INT);
    try expectEqual(bit(.INT), c.tdsm_signals_take());
    try expectEqual(4, handled.load(.monotonic));
}
