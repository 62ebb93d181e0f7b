//! A thread's own link over TCP on loopback.

const std = @import("std");
const linux = std.os.linux;
const harness = @import("harness.zig");
const seals = @import("seal.zig");
const SealedLink = @import("sealed_link.zig").SealedLink;
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
        return c.tdsm_thread_link_receive(connection.lent, null, out.ptr, @intCast(out.len), timeout_us);
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
    try expectEqual(5, c.tdsm_thread_link_send(connection.lent, null, "hello", 5, long_us));
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
    const gone = c.tdsm_thread_link_send(connection.lent, null, "x", 1, long_us);
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
    const sent = c.tdsm_thread_link_send(connection.lent, null, bytes.ptr, @intCast(bytes.len), 1000);
    try expect(sent > 0 and sent < bytes.len);
    try expectEqual(0, c.tdsm_thread_link_send(connection.lent, null, bytes.ptr, 1, 0));
}

test "thread link: a descriptor that is none is an error" {
    try expect(c.tdsm_thread_link_lend(-1) < 0);
}

const there: [seals.key_bytes]u8 = @splat(1);
const back: [seals.key_bytes]u8 = @splat(2);

/// A connection whose bytes are sealed: at the thread's end, and at the directory node's.
const Sealed = struct {
    connection: Connection,
    near: *SealedLink,
    far: *SealedLink,

    fn open(suite: seals.Suite) !Sealed {
        const connection = try Connection.open();
        errdefer connection.close();
        const near = try endOf(suite, &there, &back);
        errdefer std.testing.allocator.destroy(near);
        return .{ .connection = connection, .near = near, .far = try endOf(suite, &back, &there) };
    }

    fn endOf(suite: seals.Suite, sends: *const [seals.key_bytes]u8, receives: *const [seals.key_bytes]u8) !*SealedLink {
        const link = try std.testing.allocator.create(SealedLink);
        errdefer std.testing.allocator.destroy(link);
        @memset(std.mem.asBytes(link), 0);
        link.sends = try seals.State.begin(@backingInt(suite), sends);
        link.receives = try seals.State.begin(@backingInt(suite), receives);
        return link;
    }

    fn close(sealed: Sealed) void {
        std.testing.allocator.destroy(sealed.near);
        std.testing.allocator.destroy(sealed.far);
        sealed.connection.close();
    }

    /// Has the directory node seal bytes as one record. Answers the record.
    fn record(sealed: Sealed, bytes: []const u8, out: []u8) ![]u8 {
        const length = try seals.seal(&sealed.far.sends, bytes, out);
        return out[0..length];
    }

    fn receive(sealed: Sealed, out: []u8, timeout_us: u32) i32 {
        return c.tdsm_thread_link_receive(sealed.connection.lent, sealed.near, out.ptr, @intCast(out.len), timeout_us);
    }
};

/// The suites of this machine.
fn eachSuite() []const seals.Suite {
    const both: []const seals.Suite = &.{ .chacha20_poly1305, .aegis256 };
    return if (seals.suites() & @backingInt(seals.Suite.aegis256) != 0) both else both[0..1];
}

test "sealed thread link: answers come whole, in records of one each or of both, cut at every byte" {
    const apart: []const []const u8 = &.{ &first, &second };
    const together: []const []const u8 = &.{&(first ++ second)};
    for (eachSuite()) |suite| {
        const sealed = try Sealed.open(suite);
        defer sealed.close();
        for ([_][]const []const u8{ apart, together }) |answers| {
            const length = 2 * answer_bytes + answers.len * seals.overhead_bytes;
            for (1..length) |cut| {
                var records: [2 * (answer_bytes + seals.overhead_bytes)]u8 = undefined;
                var used: usize = 0;
                for (answers) |answer| used += (try sealed.record(answer, records[used..])).len;
                try expectEqual(length, used);
                try sealed.connection.answer(records[0..cut]);
                var out: [2 * answer_bytes]u8 = undefined;
                const early = sealed.receive(&out, 0);
                const had: usize = if (early == again) 0 else @intCast(early);
                try expect(had < out.len);
                try sealed.connection.answer(records[cut..length]);
                try expectEqual(@as(i32, @intCast(out.len - had)), sealed.receive(out[had..], long_us));
                try std.testing.expectEqualStrings(&(first ++ second), &out);
                try expectEqual(again, sealed.receive(&out, 0));
            }
        }
    }
}

test "sealed thread link: the thread sleeps until the answer that it waits for is there" {
    for (eachSuite()) |suite| {
        const sealed = try Sealed.open(suite);
        defer sealed.close();
        const Answering = struct {
            fn run(all: *const Sealed, failed: *bool) void {
                answerTwice(all) catch {
                    failed.* = true;
                };
            }

            fn answerTwice(all: *const Sealed) !void {
                for ([_][]const u8{ &first, &second }) |answer| {
                    var bytes: [answer_bytes + seals.overhead_bytes]u8 = undefined;
                    const record = try all.record(answer, &bytes);
                    for (record) |*byte| try all.connection.answer(byte[0..1]);
                }
            }
        };
        var failed = false;
        const thread = try std.Thread.spawn(.{}, Answering.run, .{ &sealed, &failed });
        var out: [2 * answer_bytes]u8 = undefined;
        const received = sealed.receive(&out, long_us);
        thread.join();
        try expect(!failed);
        try expectEqual(out.len, @as(usize, @intCast(received)));
        try std.testing.expectEqualStrings(&(first ++ second), &out);
    }
}

test "sealed thread link: a record that was changed at any byte gives nothing away, and ends the link" {
    const bad = -@as(i32, @backingInt(linux.E.BADMSG));
    for (eachSuite()) |suite| {
        for (0..answer_bytes + seals.overhead_bytes) |changed| {
            const sealed = try Sealed.open(suite);
            defer sealed.close();
            var bytes: [answer_bytes + seals.overhead_bytes]u8 = undefined;
            const record = try sealed.record(&first, &bytes);
            record[changed] ^= 1;
            try sealed.connection.answer(record);
            var out: [answer_bytes]u8 = @splat(0);
            try expectEqual(bad, sealed.receive(&out, long_us));
            try expectEqual(bad, sealed.receive(&out, 0));
            try expect(std.mem.indexOfScalar(u8, &out, 'a') == null);
        }
    }
}

test "sealed thread link: an end inside of a record is told from one behind it" {
    const sealed = try Sealed.open(.chacha20_poly1305);
    defer sealed.close();
    var bytes: [answer_bytes + seals.overhead_bytes]u8 = undefined;
    var out: [answer_bytes]u8 = undefined;
    try sealed.connection.answer(try sealed.record(&first, &bytes));
    try sealed.connection.answer((try sealed.record(&second, &bytes))[0..30]);
    c.tdsm_thread_link_end(sealed.connection.far, 0);
    try expectEqual(answer_bytes, sealed.receive(&out, long_us));
    try expectEqual(-@as(i32, @backingInt(linux.E.PROTO)), sealed.receive(&out, long_us));
}

test "sealed thread link: what has no room is kept, and goes first" {
    const sealed = try Sealed.open(.chacha20_poly1305);
    defer sealed.close();
    const lent = sealed.connection.lent;
    const request: [1000]u8 = @splat('r');
    var sent: usize = 0;
    while (true) {
        const taken = c.tdsm_thread_link_send(lent, sealed.near, &request, request.len, 0);
        try expect(taken >= 0);
        sent += @intCast(taken);
        // Once there is no room for another record, none is taken.
        if (taken == 0) break;
    }
    try expect(sealed.near.out_end > sealed.near.out_start);
    // The directory node reads on: all of it comes, in order, while the thread waits for an answer.
    const Reading = struct {
        fn run(all: *const Sealed, wanted: usize, wrong: *usize) void {
            var received: usize = 0;
            var piece: [4096]u8 = undefined;
            while (received < wanted) {
                const count = c.tdsm_sealed_receive(all.far, all.connection.far, &piece, piece.len, &piece, 0);
                if (count == again) continue;
                if (count <= 0) break;
                for (piece[0..@intCast(count)]) |byte| wrong.* += @intFromBool(byte != 'r');
                received += @intCast(count);
            }
            wrong.* += wanted - received;
            var bytes: [answer_bytes + seals.overhead_bytes]u8 = undefined;
            const record = all.record(&first, &bytes) catch return;
            all.connection.answer(record) catch return;
        }
    };
    var wrong: usize = 0;
    const thread = try std.Thread.spawn(.{}, Reading.run, .{ &sealed, sent, &wrong });
    var out: [answer_bytes]u8 = undefined;
    const received = sealed.receive(&out, long_us);
    thread.join();
    try expectEqual(answer_bytes, received);
    try expectEqual(0, wrong);
    try expectEqual(0, sealed.near.out_end);
}
