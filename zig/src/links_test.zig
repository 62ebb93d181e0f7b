//! The bytes of links over socket pairs, and one sleep for links, faults, kicks and an event loop.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const clock = @import("clock.zig");
const links = @import("links.zig");
const harness_file = @import("harness.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const Spinners = @import("spinners.zig").Spinners;
const succeed = harness_file.succeed;
const expectEqual = std.testing.expectEqual;
const expect = std.testing.expect;

fn errnoOf(errno: linux.E) i32 {
    return -@as(i32, @backingInt(errno));
}

fn threadTimes() abi.ThreadTimes {
    var times: abi.ThreadTimes = undefined;
    c.tdsm_links_times(&times);
    return times;
}

/// Two connected sockets: `near` is the link, `far` the other side.
const Pair = struct {
    near: i32,
    far: i32,

    fn open() !Pair {
        var ends: [2]i32 = undefined;
        const kind = linux.SOCK.STREAM | linux.SOCK.CLOEXEC | linux.SOCK.NONBLOCK;
        try expectEqual(.SUCCESS, linux.errno(linux.socketpair(linux.AF.UNIX, kind, 0, &ends)));
        return .{ .near = ends[0], .far = ends[1] };
    }

    fn close(pair: Pair) void {
        _ = linux.close(pair.near);
        _ = linux.close(pair.far);
    }

    fn write(pair: Pair, bytes: []const u8) !void {
        try expectEqual(bytes.len, linux.write(pair.far, bytes.ptr, bytes.len));
    }

    fn receive(pair: Pair, first: []u8, second: []u8) i32 {
        return c.tdsm_link_receive(pair.near, first.ptr, @intCast(first.len), second.ptr, @intCast(second.len));
    }

    fn send(pair: Pair, pieces: []const []const u8) i32 {
        var vectors: [links.pieces_max]std.posix.iovec_const = undefined;
        for (pieces, vectors[0..pieces.len]) |piece, *vector| vector.* = .{ .base = piece.ptr, .len = piece.len };
        return c.tdsm_link_send(pair.near, &vectors, @intCast(pieces.len), 0);
    }
};

/// An epoll, and what it last told.
const Bench = struct {
    epoll: i32,
    ready: [links.ready_max]abi.LinkReady = undefined,
    look_us: u32 = 0,

    fn open() !Bench {
        const epoll = c.tdsm_links_open();
        try expect(epoll >= 0);
        return .{ .epoll = epoll };
    }

    fn close(bench: Bench) void {
        c.tdsm_links_close(bench.epoll);
    }

    fn wait(bench: *Bench, timeout_us: i32) i32 {
        return c.tdsm_links_wait(bench.epoll, &bench.ready, bench.ready.len, timeout_us, bench.look_us);
    }

    fn add(bench: Bench, fd: i32, interest: u32) !void {
        try succeed(c.tdsm_link_add(bench.epoll, fd));
        try succeed(c.tdsm_link_watch(bench.epoll, fd, interest));
    }

    /// The next event is one of this link alone.
    fn expectReady(bench: *Bench, fd: i32, bits: u32) !void {
        try expectEqual(1, bench.wait(harness_file.patience_us));
        try expectEqual(fd, bench.ready[0].fd);
        try expectEqual(bits, bench.ready[0].bits);
    }
};

test "links: bytes go to the first piece of memory, then to the second, wherever they are split" {
    const length = 64;
    var sent: [length]u8 = undefined;
    for (&sent, 0..) |*byte, at| byte.* = @intCast(at + 1);
    for (0..length + 1) |arrived| {
        for ([_]usize{ 1, 7, length - 1, length }) |first_length| {
            const pair = try Pair.open();
            defer pair.close();
            var received: [length]u8 = @splat(0);
            const first = received[0..first_length];
            const second = received[first_length..];
            try pair.write(sent[0..arrived]);
            const expected = if (arrived == 0) errnoOf(.AGAIN) else @as(i32, @intCast(arrived));
            try expectEqual(expected, pair.receive(first, second));
            try std.testing.expectEqualSlices(u8, sent[0..arrived], received[0..arrived]);
            for (received[arrived..]) |byte| try expectEqual(0, byte);
        }
    }
}

test "links: pieces are sent in their order, and a short write can be gone on with at every byte" {
    const pieces = [_][]const u8{ "frame", "", "page bytes", "x", "frame behind" };
    const whole = "framepage bytesxframe behind";
    for (0..whole.len) |from| {
        const pair = try Pair.open();
        defer pair.close();
        // What is left behind `from` bytes, as a caller goes on after a short write.
        var left: [pieces.len][]const u8 = undefined;
        var skipped = from;
        for (pieces, &left) |piece, *rest| {
            const taken = @min(skipped, piece.len);
            skipped -= taken;
            rest.* = piece[taken..];
        }
        try expectEqual(@as(i32, @intCast(whole.len - from)), pair.send(&left));
        var seen: [whole.len]u8 = undefined;
        const count = linux.read(pair.far, &seen, seen.len);
        try std.testing.expectEqualStrings(whole[from..], seen[0..count]);
    }
}

test "links: a peer that reads nothing costs a short write, EAGAIN, and no more; then there is room" {
    const pair = try Pair.open();
    defer pair.close();
    var bench = try Bench.open();
    defer bench.close();
    try bench.add(pair.near, abi.link_bytes);
    const bytes: [100_000]u8 = @splat(7);
    var total: usize = 0;
    while (true) {
        const sent = pair.send(&.{ &bytes, &bytes });
        if (sent == errnoOf(.AGAIN)) break;
        try expect(sent > 0);
        total += @intCast(sent);
        try expect(total < 1 << 30);
    }
    try expectEqual(0, bench.wait(0));
    try succeed(c.tdsm_link_watch(bench.epoll, pair.near, abi.link_bytes | abi.link_room));
    try expectEqual(0, bench.wait(0));
    var buffer: [65536]u8 = undefined;
    while (total > 0) total -= linux.read(pair.far, &buffer, buffer.len);
    try bench.expectReady(pair.near, abi.link_room);
    try succeed(c.tdsm_link_watch(bench.epoll, pair.near, abi.link_bytes));
    try expectEqual(0, bench.wait(0));
}

test "links: a half-closed peer is at its end once its bytes are read, and still reads" {
    const pair = try Pair.open();
    defer pair.close();
    var bench = try Bench.open();
    defer bench.close();
    try bench.add(pair.near, abi.link_bytes);
    try pair.write("last word");
    _ = linux.shutdown(pair.far, linux.SHUT.WR);
    var bytes: [16]u8 = undefined;
    try bench.expectReady(pair.near, abi.link_bytes);
    try expectEqual(9, pair.receive(&bytes, &.{}));
    try bench.expectReady(pair.near, abi.link_bytes);
    try expectEqual(0, pair.receive(&bytes, &.{}));
    try expectEqual(6, pair.send(&.{"answer"}));
    // Its end is told again and again to a caller that reads, and not to one that only sends.
    try bench.expectReady(pair.near, abi.link_bytes);
    try succeed(c.tdsm_link_watch(bench.epoll, pair.near, 0));
    _ = bench.wait(0);
    try expectEqual(0, bench.wait(0));
}

test "links: a peer that is gone is told to readers and to senders, without a signal" {
    const pair = try Pair.open();
    defer _ = linux.close(pair.near);
    var bench = try Bench.open();
    defer bench.close();
    try bench.add(pair.near, abi.link_bytes);
    // Unread bytes at the closed end make it a reset.
    try expectEqual(3, pair.send(&.{"abc"}));
    _ = linux.close(pair.far);
    try bench.expectReady(pair.near, abi.link_bytes | abi.link_room);
    var bytes: [16]u8 = undefined;
    try expectEqual(errnoOf(.CONNRESET), pair.receive(&bytes, &.{}));
    try expectEqual(errnoOf(.PIPE), pair.send(&.{"abc"}));
    try succeed(c.tdsm_link_remove(bench.epoll, pair.near));
    try expectEqual(0, bench.wait(0));
}

test "links: 1,000 links, of which any 64 are told at a time, and none is forgotten" {
    const count = 1000;
    const before = harness_file.allowDescriptors(4096);
    defer _ = linux.setrlimit(.NOFILE, &before);
    var bench = try Bench.open();
    defer bench.close();
    var pairs: [count]Pair = undefined;
    for (&pairs) |*pair| {
        pair.* = try Pair.open();
        try bench.add(pair.near, abi.link_bytes);
    }
    defer for (pairs) |pair| pair.close();
    for (pairs) |pair| try pair.write("x");
    var heard: u32 = 0;
    while (heard < count) {
        const told = bench.wait(0);
        try expect(told > 0 and told <= links.ready_max);
        for (bench.ready[0..@intCast(told)]) |ready| {
            var byte: [2]u8 = undefined;
            try expectEqual(1, c.tdsm_link_receive(ready.fd, &byte, 2, null, 0));
            heard += 1;
        }
    }
    try expectEqual(0, bench.wait(0));
}

test "links: where descriptors are used up it says so, and what is open goes on" {
    const pair = try Pair.open();
    defer pair.close();
    var limit: linux.rlimit = undefined;
    _ = linux.getrlimit(.NOFILE, &limit);
    const before = limit;
    limit.cur = 0;
    _ = linux.setrlimit(.NOFILE, &limit);
    const refused = c.tdsm_links_open();
    _ = linux.setrlimit(.NOFILE, &before);
    try expectEqual(-@backingInt(@import("status.zig").Status.too_many_files), refused);
    try expectEqual(3, pair.send(&.{"abc"}));
}

test "links: one sleep is ended by a fault, a kick, a link, or the event loop" {
    const harness = try Harness.open(4096, 4);
    defer harness.close();
    const handle = harness.info.handle;
    const pair = try Pair.open();
    defer pair.close();
    var loop = try Bench.open();
    defer loop.close();
    const inside = try Pair.open();
    defer inside.close();
    try loop.add(inside.near, abi.link_bytes);
    var bench = try Bench.open();
    defer bench.close();
    try succeed(c.tdsm_links_region(bench.epoll, handle, 1));
    const door = try Pair.open();
    defer door.close();
    try links.watchLoop(bench.epoll, loop.epoll, door.near);
    try bench.add(pair.near, abi.link_bytes);
    try expectEqual(0, bench.wait(100));
    const begun = clock.nowNs(.MONOTONIC);
    const before = threadTimes();
    // A look finds the same as a sleep, and is bounded.
    bench.look_us = 200;
    try expectEqual(0, bench.wait(100) & ~(abi.ready_taken | abi.ready_over));
    // Only that was a look.
    const after = threadTimes();
    const looked_ns = after.looked_ns - before.looked_ns;
    try expect(looked_ns > 0 and looked_ns <= clock.nowNs(.MONOTONIC) - begun);
    try expect(after.ran_ns > before.ran_ns);
    // What is there already is seen at once, unless more threads want a core than there are.
    try succeed(c.tdsm_kick(handle));
    const seen = bench.wait(-1);
    try expect(seen == abi.ready_kicked or seen == abi.ready_kicked | abi.ready_seen);
    bench.look_us = 0;

    try succeed(c.tdsm_kick(handle));
    try expectEqual(abi.ready_kicked, bench.wait(-1));
    try expectEqual(0, bench.wait(0));

    const access = try harness_file.Access.read(harness.byte(2));
    try expectEqual(abi.ready_faults, bench.wait(-1));
    try harness.expectFault(2, 0, 0);
    try harness.install(2, 1, 0);
    _ = access.join();
    try expectEqual(0, bench.wait(0));

    // What comes to the listener is told, whether the loop has seen it or not; but once.
    try door.write("x");
    try expectEqual(abi.ready_loop, bench.wait(-1));
    try expectEqual(0, bench.wait(100));

    try inside.write("x");
    try expectEqual(abi.ready_loop, bench.wait(-1));
    // A connection that is taken from its loop wakes the loop no more.
    try succeed(c.tdsm_link_add(bench.epoll, inside.near));
    c.tdsm_link_detach(loop.epoll, inside.near);
    try succeed(c.tdsm_link_watch(bench.epoll, inside.near, abi.link_bytes));
    try bench.expectReady(inside.near, abi.link_bytes);

    var waiter: Waiter = .{ .bench = &bench };
    const thread = try std.Thread.spawn(.{}, Waiter.run, .{&waiter});
    thread.join();
    try expectEqual(1, waiter.told);

    // Once faults are another thread's, they end no sleep.
    try succeed(c.tdsm_links_region(bench.epoll, handle, 0));
    try succeed(c.tdsm_link_remove(bench.epoll, inside.near));
    const late = try harness_file.Access.read(harness.byte(3));
    try harness.expectFault(3, 0, 0);
    try expectEqual(0, bench.wait(0));
    try harness.install(3, 1, 0);
    _ = late.join();
}

test "links: a look ends where threads want more cores than there are, and says how it ended" {
    const pair = try Pair.open();
    defer pair.close();
    var bench = try Bench.open();
    defer bench.close();
    try bench.add(pair.near, abi.link_bytes);
    bench.look_us = 20_000;
    {
        const spinners: Spinners = try .start();
        defer spinners.stop();
        // A thread that the kernel has stopped for a moment leaves a core free.
        while (bench.wait(20_000) != abi.ready_taken) {}
    }
    bench.look_us = 100;
    while (bench.wait(200) != abi.ready_over) {}
    try pair.write("x");
    while (bench.wait(-1) != 1 | abi.ready_seen) {}
}

const Waiter = struct {
    bench: *Bench,
    told: i32 = 0,

    fn run(waiter: *Waiter) void {
        waiter.told = waiter.bench.wait(harness_file.patience_us);
    }
};

/// A listener on loopback, a connection to it, and what was accepted.
const Tcp = struct {
    listener: i32,
    port: u16,

    fn open() !Tcp {
        const listener: i32 = @intCast(linux.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0));
        var address: linux.sockaddr.in = .{ .port = 0, .addr = @bitCast([4]u8{ 127, 0, 0, 1 }) };
        var size: linux.socklen_t = @sizeOf(linux.sockaddr.in);
        try expectEqual(.SUCCESS, linux.errno(linux.bind(listener, @ptrCast(&address), size)));
        try expectEqual(.SUCCESS, linux.errno(linux.listen(listener, 8)));
        _ = linux.getsockname(listener, @ptrCast(&address), &size);
        return .{ .listener = listener, .port = std.mem.bigToNative(u16, address.port) };
    }

    fn connect(tcp: Tcp) !struct { fd: i32, port: u16 } {
        const fd: i32 = @intCast(linux.socket(linux.AF.INET, linux.SOCK.STREAM | linux.SOCK.CLOEXEC, 0));
        var address: linux.sockaddr.in = .{
            .port = std.mem.nativeToBig(u16, tcp.port),
            .addr = @bitCast([4]u8{ 127, 0, 0, 1 }),
        };
        var size: linux.socklen_t = @sizeOf(linux.sockaddr.in);
        try expectEqual(.SUCCESS, linux.errno(linux.connect(fd, @ptrCast(&address), size)));
        _ = linux.getsockname(fd, @ptrCast(&address), &size);
        return .{ .fd = fd, .port = std.mem.bigToNative(u16, address.port) };
    }
};

test "links: a connection, a listener and its event loop are found, and no other" {
    const tcp = try Tcp.open();
    defer _ = linux.close(tcp.listener);
    const one = try tcp.connect();
    defer _ = linux.close(one.fd);
    const two = try tcp.connect();
    defer _ = linux.close(two.fd);
    const home = "127.0.0.1";
    try expectEqual(one.fd, c.tdsm_link_find(home, one.port, home, tcp.port));
    try expectEqual(two.fd, c.tdsm_link_find(home, two.port, home, tcp.port));
    const bad = -@backingInt(@import("status.zig").Status.bad_argument);
    try expectEqual(bad, c.tdsm_link_find(home, one.port, "127.0.0.2", tcp.port));
    try expectEqual(bad, c.tdsm_link_find("::1", one.port, home, tcp.port));
    try expectEqual(bad, c.tdsm_link_find("nonsense", one.port, home, tcp.port));
    try expectEqual(one.fd, c.tdsm_link_find("::ffff:127.0.0.1", one.port, home, tcp.port));

    var bench = try Bench.open();
    defer bench.close();
    const unsupported = -@backingInt(@import("status.zig").Status.kernel_unsupported);
    try expectEqual(unsupported, c.tdsm_links_loop(bench.epoll, home, tcp.port));
    var loop = try Bench.open();
    defer loop.close();
    // Its list of descriptors is longer than one read of it.
    var pairs: [100]Pair = undefined;
    for (&pairs) |*pair| {
        pair.* = try Pair.open();
        try loop.add(pair.near, 0);
    }
    defer for (pairs) |pair| pair.close();
    try loop.add(tcp.listener, abi.link_bytes);
    try expectEqual(loop.epoll, c.tdsm_links_loop(bench.epoll, home, tcp.port));
}
