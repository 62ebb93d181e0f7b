//! A link to the directory node that one thread of the program has for itself: the thread sends a
//! request and sleeps in the kernel until the answer is there, and its engine sleeps on.
//!
//! The engine's thread has made the connection, and keeps it. The other thread is lent a descriptor
//! of its own for the same socket, so that neither closes what the other still uses.

const std = @import("std");
const linux = std.os.linux;
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

/// Sends bytes; where there is no room for them, waits for some. Answers how many were sent in that
/// time, or the negated errno.
pub fn send(lent: i32, bytes: []const u8, timeout_us: u32) i32 {
    var sent: usize = 0;
    while (sent < bytes.len) {
        const rest = bytes[sent..];
        const result = linux.sendto(lent, rest.ptr, rest.len, linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL, null, 0);
        switch (linux.errno(result)) {
            .SUCCESS => sent += result,
            .INTR => {},
            .AGAIN => if (!await(lent, linux.POLL.OUT, timeout_us)) break,
            else => |errno| return -@as(i32, @backingInt(errno)),
        }
    }
    return @intCast(sent);
}

/// Waits until what was expected is there, and takes as much of it as there is room for. Answers
/// how many bytes that are, 0 at the other side's end, or the negated errno: EAGAIN after the time,
/// or where a signal came first.
pub fn receive(lent: i32, out: []u8, timeout_us: u32) i32 {
    if (!await(lent, linux.POLL.IN, timeout_us)) return -@as(i32, @backingInt(linux.E.AGAIN));
    const result = linux.recvfrom(lent, out.ptr, out.len, linux.MSG.DONTWAIT, null, null);
    return switch (linux.errno(result)) {
        .SUCCESS => @intCast(result),
        .INTR => -@as(i32, @backingInt(linux.E.AGAIN)),
        else => |errno| -@as(i32, @backingInt(errno)),
    };
}

/// Sleeps until something happens on a socket. Whether it did, before the time was over.
fn await(lent: i32, events: i16, timeout_us: u32) bool {
    var waited = [_]linux.pollfd{.{ .fd = lent, .events = events, .revents = 0 }};
    var timeout: linux.timespec = .{
        .sec = timeout_us / std.time.us_per_s,
        .nsec = @as(isize, timeout_us % std.time.us_per_s) * std.time.ns_per_us,
    };
    const result = linux.ppoll(&waited, waited.len, &timeout, null);
    return linux.errno(result) == .SUCCESS and result > 0;
}
