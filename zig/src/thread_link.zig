//! A link to the directory node that one thread of the program has for itself: the thread sends a
//! request and waits in the kernel until the answer is there, and its engine sleeps on.
//!
//! The engine's thread has made the connection, and keeps it. The other thread is lent a descriptor
//! of its own for the same socket, so that neither closes what the other still uses.

const std = @import("std");
const linux = std.os.linux;
const clock = @import("clock.zig");
const look = @import("look.zig");
const seals = @import("seal.zig");
const sealed_link = @import("sealed_link.zig");
const SealedLink = sealed_link.SealedLink;
const errnoOf = sealed_link.errnoOf;
const status = @import("status.zig");

/// The least descriptor that is lent, so that none is 0, which stands for none.
const descriptor_min = 3;

/// Answers another descriptor of a socket.
pub fn lend(socket: i32) status.Error!i32 {
    return @intCast(try status.check(linux.fcntl(socket, linux.F.DUPFD_CLOEXEC, descriptor_min)));
}

/// From here on the thread is woken once so many bytes are there: not by a part of an answer, nor
/// by answers that come before the one that it waits for. The other side's end wakes it, too.
pub fn expect(lent: i32, answer_bytes: u32) status.Error!void {
    const least = std.mem.asBytes(&answer_bytes);
    _ = try status.check(linux.setsockopt(lent, linux.SOL.SOCKET, linux.SO.RCVLOWAT, least, least.len));
}

/// Gives a lent descriptor up. The connection goes on.
pub fn close(lent: i32) void {
    _ = linux.close(lent);
}

/// Ends the direction to the other side, behind all that was sent, so that answers still arrive; or
/// the whole connection, which wakes the thread that waits there.
pub fn end(lent: i32, whole: bool) void {
    _ = linux.shutdown(lent, if (whole) linux.SHUT.RDWR else linux.SHUT.WR);
}

/// How a thread's link is sealed; null where its bytes go as they are.
pub const Seal = ?*SealedLink;

/// Sends bytes; where there is no room for them, waits for some. Answers how many were sent in that
/// time, or the negated errno. Where they are sealed, they may have been taken and not sent yet:
/// the next call, also one of `receive`, sends them first.
pub fn send(lent: i32, seal: Seal, bytes: []const u8, timeout_us: u32) i32 {
    if (seal) |link| return sendSealed(lent, link, bytes, timeout_us);
    var sent: usize = 0;
    while (sent < bytes.len) {
        const rest = bytes[sent..];
        const result = linux.sendto(lent, rest.ptr, rest.len, linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL, null, 0);
        switch (linux.errno(result)) {
            .SUCCESS => sent += result,
            .INTR => {},
            .AGAIN => if (!await(lent, linux.POLL.OUT, timeout_us)) break,
            else => |errno| return errnoOf(errno),
        }
    }
    return @intCast(sent);
}

fn sendSealed(lent: i32, link: *SealedLink, bytes: []const u8, timeout_us: u32) i32 {
    var taken: usize = 0;
    while (true) {
        const rest = bytes[taken..];
        const more = link.send(lent, &.{.{ .base = rest.ptr, .len = rest.len }}, false);
        if (more < 0) return more;
        taken += @intCast(more);
        if (link.out_end == 0 or !await(lent, linux.POLL.OUT, timeout_us)) return @intCast(taken);
    }
}

/// Waits until what was expected is there, and takes as much of it as there is room for. Answers
/// how many bytes that are, 0 at the other side's end, or the negated errno: EAGAIN after the time,
/// or where a signal came first. Where they are sealed, it waits for as many as there is room for,
/// whatever was expected, and answers fewer after the time.
pub fn receive(lent: i32, seal: Seal, out: []u8, timeout_us: u32) i32 {
    if (seal) |link| return receiveSealed(lent, link, out, timeout_us);
    if (!await(lent, linux.POLL.IN, timeout_us)) return errnoOf(.AGAIN);
    const result = linux.recvfrom(lent, out.ptr, out.len, linux.MSG.DONTWAIT, null, null);
    return switch (linux.errno(result)) {
        .SUCCESS => @intCast(result),
        .INTR => errnoOf(.AGAIN),
        else => |errno| errnoOf(errno),
    };
}

fn receiveSealed(lent: i32, link: *SealedLink, out: []u8, timeout_us: u32) i32 {
    // What had no room before is what the answer waits for.
    const sent = if (link.out_end == 0) 0 else sendSealed(lent, link, &.{}, timeout_us);
    if (sent < 0) return sent;
    var filled: usize = 0;
    // Nothing can be there yet where nothing was left over: the thread waits first.
    var may_be_there = link.held != 0 or link.in_start < link.in_end;
    while (true) {
        if (may_be_there) {
            const count = link.receive(lent, out[filled..], &.{});
            if (count > 0) filled += @intCast(count);
            if (filled == out.len) return @intCast(filled);
            if (count <= 0 and count != errnoOf(.AGAIN)) return if (filled > 0) @intCast(filled) else count;
        }
        may_be_there = true;
        expect(lent, leastOf(link, out.len - filled)) catch return errnoOf(.BADF);
        if (await(lent, linux.POLL.IN, timeout_us)) continue;
        return if (filled > 0) @intCast(filled) else errnoOf(.AGAIN);
    }
}

/// How many bytes have to arrive at least for so many to be opened: the other side may have sealed
/// them as one record.
fn leastOf(link: *const SealedLink, wanted: usize) u32 {
    const there = link.in_end - link.in_start;
    const carried = link.receives.length;
    const least = if (carried == 0)
        seals.overhead_bytes + wanted
    else if (carried >= wanted)
        carried + seals.tag_bytes
    else
        carried + seals.tag_bytes + seals.overhead_bytes + (wanted - carried);
    return @intCast(@max(least -| there, 1));
}

/// Waits until something happens on a socket: looks for a while, and then sleeps. Whether it did,
/// before the time was over or a signal came.
fn await(lent: i32, events: i16, timeout_us: u32) bool {
    if (timeout_us == 0) return poll(lent, events, 0) == .ready;
    const Glance = struct {
        lent: i32,
        events: i16,
        polled: *Polled,

        pub fn take(glance: @This()) status.Error!usize {
            glance.polled.* = poll(glance.lent, glance.events, 0);
            return @intFromBool(glance.polled.* != .nothing);
        }
    };
    const begun = clock.nowNs(.MONOTONIC);
    const most_us: u31 = @intCast(@min(look_us, timeout_us));
    var polled: Polled = .nothing;
    _ = look.untilNews(Glance{ .lent = lent, .events = events, .polled = &polled }, begun, most_us) catch {};
    if (polled == .nothing) polled = poll(lent, events, timeout_us);
    const took_ns: f64 = @floatFromInt(clock.nowNs(.MONOTONIC) - begun);
    look_us = look.learned(look_us, took_ns / std.time.ns_per_us, look_min_us, look_max_us);
    return polled == .ready;
}

/// How long this thread looks: half as long behind each wait that took longer than it looks at
/// most, twice as long behind others, though it may have slept.
threadlocal var look_us: u32 = look_max_us;
const look_max_us = 100;
const look_min_us = 2;

/// `interrupted` by a signal, or the call has failed.
const Polled = enum { ready, nothing, interrupted };

/// Sleeps until something happens on a socket, at most for a time.
fn poll(lent: i32, events: i16, timeout_us: u32) Polled {
    var waited = [_]linux.pollfd{.{ .fd = lent, .events = events, .revents = 0 }};
    var timeout: linux.timespec = .{
        .sec = timeout_us / std.time.us_per_s,
        .nsec = @as(isize, timeout_us % std.time.us_per_s) * std.time.ns_per_us,
    };
    const result = linux.ppoll(&waited, waited.len, &timeout, null);
    return switch (linux.errno(result)) {
        .SUCCESS => if (result > 0) .ready else .nothing,
        else => .interrupted,
    };
}
