//! A thread's own link over TCP on loopback.

const std = @import("std");
const linux = std.os.linux;
const harness = @import("harness.zig");
const c = harness.c;
const expectEqual = std.testing.expectEqual;
const expect = std.testing.expect;

const answer_bytes = 44;
const again = -@as(i32, @backingInt(linux.E.AGAIN));
const first: [answer_bytes]u8 = @splat('a');
const second: [answer_bytes]u8 = @splat('b');
/// Far longer than anything here takes.
const long_us = 60 * std.time.us_per_s;

fn check(result: usize) !usize {
    try expectEqual(.SUCCESS, linux.errno(result));
    return result;
}

/// A connection: `near` is the socket of the engine's thread, `lent` the other thread's descriptor
/// of it, `far` the directory node.
const Connection = struct {
    near: i32,
    lent: i32,
    far: i32,

    fn open() !Connection {
        const kind = linux.SOCK.STREAM | linux.SOCK.CLOEXEC;
        const listener: i32 = @intCast(try check(linux.socket(linux.AF.INET, kind, 0)));
        defer _ = linux.close(listener);
        var at: linux.sockaddr.in = .{ .port = 0, .addr = std.mem.nativeToBig(u32, 0x7f000001) };
        var size: linux.socklen_t = @sizeOf(linux.sockaddr.in);
        _ = try check(linux.bind(listener, @ptrCast(&at), size));
        _ = try check(linux.listen(listener, 1));
        _ = try check(linux.getsockname(listener, @ptrCast(&at), &size));
        const near: i32 = @intCast(try check(linux.socket(linux.AF.INET, kind, 0)));
        _ = try check(linux.connect(near, @ptrCast(&at), size));
        const far: i32 = @intCast(try check(linux.accept4(listener, null, null, linux.SOCK.CLOEXEC)));
        const lent = c.tdsm_thread_link_lend(near);
        try expect(lent >= 3);
        try expectEqual(0, c.tdsm_thread_link_expect(lent, answer_bytes));
        return .{ .near = near, .lent = lent, .far = far };
    }

    fn close(connection: Connection) void {
        c.tdsm_thread_link_close(connection.lent);
        _ = linux.close(connection.near);
        _ = linux.close(connection.far);
    }

    fn answer(connection: Connection, bytes: []const u8) !void {
        try expectEqual(bytes.len, try check(linux.write(connection.far, bytes.ptr, bytes.len)));
    }

    fn receive(connection: Connection, out: []u8, timeout_us: u32) i32 {
        return c.tdsm_thread_link_receive(connection.lent, out.ptr, @intCast(out.len), timeout_us);
    }
};

test "thread link: a part of an answer wakes nobody, and answers come one by one" {
    const connection = try Connection.open();
    defer connection.close();
    var out: [answer_bytes]u8 = undefined;
    try connection.answer(first[1..]);
    try expectEqual(again, connection.receive(&out, 1000));
    try connection.answer(first[0..1]);
    try connection.answer(&second);
    try expectEqual(answer_bytes, connection.receive(&out, long_us));
    try std.testing.expectEqualStrings(&first, &out);
    try expectEqual(answer_bytes, connection.receive(&out, long_us));
    try std.testing.expectEqualStrings(&second, &out);
    try expectEqual(again, connection.receive(&out, 0));
    // The thread waits for the second of two, and takes both.
    try expectEqual(0, c.tdsm_thread_link_expect(connection.lent, 2 * answer_bytes));
    try connection.answer(&first);
    var both: [2 * answer_bytes]u8 = undefined;
    try expectEqual(again, connection.receive(&both, 1000));
    try connection.answer(&second);
    try expectEqual(2 * answer_bytes, connection.receive(&both, long_us));
    try std.testing.expectEqualStrings(&(first ++ second), &both);
}

test "thread link: the end of either side ends the wait, and what was sent before it arrives" {
    const connection = try Connection.open();
    defer connection.close();
    try expectEqual(5, c.tdsm_thread_link_send(connection.lent, "hello", 5, long_us));
    c.tdsm_thread_link_end(connection.lent, 0);
    var heard: [16]u8 = undefined;
    try expectEqual(5, try check(linux.read(connection.far, &heard, heard.len)));
    try expectEqual(0, try check(linux.read(connection.far, &heard, heard.len)));
    try connection.answer(&first);
    var out: [answer_bytes]u8 = undefined;
    try expectEqual(answer_bytes, connection.receive(&out, long_us));
    // The engine's thread ends the connection while the other thread waits.
    const ender = try std.Thread.spawn(.{}, endWhole, .{connection.near});
    defer ender.join();
    try expectEqual(0, connection.receive(&out, long_us));
    const gone = c.tdsm_thread_link_send(connection.lent, "x", 1, long_us);
    try expectEqual(-@as(i32, @backingInt(linux.E.PIPE)), gone);
}

fn endWhole(socket: i32) void {
    c.tdsm_thread_link_end(socket, 1);
}

test "thread link: bytes for which there is no room are sent as far as there is, in the time that they are given" {
    const connection = try Connection.open();
    defer connection.close();
    const bytes = try std.testing.allocator.alloc(u8, 64 << 20);
    defer std.testing.allocator.free(bytes);
    @memset(bytes, 7);
    const sent = c.tdsm_thread_link_send(connection.lent, bytes.ptr, @intCast(bytes.len), 1000);
    try expect(sent > 0 and sent < bytes.len);
    try expectEqual(0, c.tdsm_thread_link_send(connection.lent, bytes.ptr, 1, 0));
}

test "thread link: a descriptor that is none is an error" {
    try expect(c.tdsm_thread_link_lend(-1) < 0);
}
