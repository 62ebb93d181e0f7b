//! The signals that end nodes, told to the engines of this process as they come.
//!
//! Deno tells a listener of a signal in a turn of its event loop, once a thread of Deno's has taken
//! the signal. What other nodes do at the same signal may reach an engine before that, such as the
//! end of the cluster. So a handler of the library counts each signal, wakes every engine, and then
//! calls the handler that it has replaced. It stays for good, as the library does.

const std = @import("std");
const linux = std.os.linux;
const links = @import("links.zig");
const status = @import("status.zig");

const Signal = struct {
    number: linux.SIG,
    /// How often the signal has come.
    count: std.atomic.Value(u32) = .init(0),
    /// What handled it before.
    replaced: linux.Sigaction = undefined,
};

var signals = [_]Signal{ .{ .number = .HUP }, .{ .number = .INT }, .{ .number = .TERM } };

var lock: std.c.pthread_mutex_t = .{};
var installed = false;
/// An eventfd that is written at each signal, and that nobody reads: an epoll that watches it for
/// edges is woken by each write. It is never closed, so that the handler needs no lock.
var event: i32 = -1;

/// How often each signal had come when the calling thread last took them.
threadlocal var taken: [signals.len]u32 = @splat(0);

/// From here on `take` tells the calling thread of signals, and each ends its sleep in
/// `links.wait`; where `epoll` is negative it does not sleep there.
pub fn watch(epoll: i32) status.Error!void {
    try install();
    for (&taken, &signals) |*known, *signal| known.* = signal.count.load(.acquire);
    if (epoll >= 0) try links.watchSignals(epoll, event);
}

/// The signals that have come since the last call of this thread: bit n stands for signal n.
pub fn take() u32 {
    takePending();
    var bits: u32 = 0;
    for (&taken, &signals) |*known, *signal| {
        const count = signal.count.load(.acquire);
        if (count != known.*) bits |= @as(u32, 1) << @intCast(@backingInt(signal.number));
        known.* = count;
    }
    return bits;
}

/// A signal to the process is handled by whichever thread the kernel has chosen, and that thread
/// may not have had a core since. A thread that unblocks signals handles at once those that are
/// pending.
fn takePending() void {
    var ours = linux.sigemptyset();
    for (signals) |signal| linux.sigaddset(&ours, signal.number);
    var before: linux.sigset_t = undefined;
    if (linux.errno(linux.sigprocmask(linux.SIG.BLOCK, &ours, &before)) != .SUCCESS) return;
    _ = linux.sigprocmask(linux.SIG.SETMASK, &before, null);
}

/// Once only: a second handler could stand behind that of another library, which calls this one.
fn install() status.Error!void {
    _ = std.c.pthread_mutex_lock(&lock);
    defer _ = std.c.pthread_mutex_unlock(&lock);
    if (installed) return;
    if (event < 0) event = @intCast(try status.check(linux.eventfd(0, linux.EFD.CLOEXEC | linux.EFD.NONBLOCK)));
    for (&signals) |*signal| {
        // Known before the handler can run.
        _ = try status.check(linux.sigaction(signal.number, null, &signal.replaced));
        const new: linux.Sigaction = .{
            .handler = .{ .sigaction = came },
            .mask = signal.replaced.mask,
            .flags = signal.replaced.flags | linux.SA.SIGINFO | linux.SA.RESTART,
        };
        _ = try status.check(linux.sigaction(signal.number, &new, null));
    }
    installed = true;
}

/// A signal has come. System calls only, which leave `errno` as it is: it runs as a signal handler.
fn came(number: linux.SIG, info: *const linux.siginfo_t, context: ?*anyopaque) callconv(.c) void {
    const signal = for (&signals) |*signal| {
        if (signal.number == number) break signal;
    } else return;
    _ = signal.count.fetchAdd(1, .release);
    const one: u64 = 1;
    _ = linux.write(event, std.mem.asBytes(&one), @sizeOf(u64));
    const replaced = signal.replaced;
    // SIG_DFL and SIG_IGN are no functions.
    if (@intFromPtr(replaced.handler.handler) <= 1) return;
    if (replaced.flags & linux.SA.SIGINFO != 0) return replaced.handler.sigaction.?(number, info, context);
    replaced.handler.handler.?(number);
}
