//! Sealed links over socket pairs: every cut, every change, and a peer that does not read.

const std = @import("std");
const linux = std.os.linux;
const links = @import("links.zig");
const seal = @import("seal.zig");
const sealed_link = @import("sealed_link.zig");
const SealedLink = sealed_link.SealedLink;
const c = @import("harness.zig").c;
const expect = std.testing.expect;
const expectEqual = std.testing.expectEqual;
const expectEqualSlices = std.testing.expectEqualSlices;

fn errnoOf(errno: linux.E) i32 {
    return -@as(i32, @backingInt(errno));
}

const there: [seal.key_bytes]u8 = @splat(1);
const back: [seal.key_bytes]u8 = @splat(2);

fn stateOf(suite: seal.Suite, key: *const [seal.key_bytes]u8) !seal.State {
    return seal.State.begin(@backingInt(suite), key);
}

/// The suites of this machine.
fn each() []const seal.Suite {
    const both: []const seal.Suite = &.{ .chacha20_poly1305, .aegis256 };
    return if (seal.suites() & @backingInt(seal.Suite.aegis256) != 0) both else both[0..1];
}

/// A link, and the descriptor that its bytes go by.
const End = struct {
    fd: i32,
    link: *SealedLink,

    fn open(fd: i32, suite: seal.Suite, sends: *const [seal.key_bytes]u8, receives: *const [seal.key_bytes]u8) !End {
        const link = try std.testing.allocator.create(SealedLink);
        @memset(std.mem.asBytes(link), 0);
        link.sends = try stateOf(suite, sends);
        link.receives = try stateOf(suite, receives);
        return .{ .fd = fd, .link = link };
    }

    fn close(end: End) void {
        std.testing.allocator.destroy(end.link);
        _ = linux.close(end.fd);
    }

    fn send(end: End, pieces: []const []const u8) i32 {
        var vectors: [links.pieces_max]std.posix.iovec_const = undefined;
        for (pieces, vectors[0..pieces.len]) |piece, *vector| vector.* = .{ .base = piece.ptr, .len = piece.len };
        return c.tdsm_sealed_send(end.link, end.fd, &vectors, @intCast(pieces.len), 0);
    }

    fn receive(end: End, first: []u8, second: []u8) i32 {
        return c.tdsm_sealed_receive(end.link, end.fd, first.ptr, @intCast(first.len), second.ptr, @intCast(second.len));
    }

    fn unsent(end: End) u32 {
        return end.link.out_end - end.link.out_start;
    }

    /// Receives everything there is, as a link does: again where something is held.
    fn receiveAll(end: End, out: []u8, room: usize) !usize {
        var filled: usize = 0;
        while (true) {
            const rest = out[filled..];
            const result = end.receive(rest[0..0], rest[0..@min(rest.len, room)]);
            if (result == errnoOf(.AGAIN)) return filled;
            if (result <= 0) return error.Ended;
            filled += @intCast(result);
        }
    }
};

/// A socket pair: `near` is a link's, `far` the other side's.
fn sockets() ![2]i32 {
    var ends: [2]i32 = undefined;
    const kind = linux.SOCK.STREAM | linux.SOCK.CLOEXEC | linux.SOCK.NONBLOCK;
    try expectEqual(.SUCCESS, linux.errno(linux.socketpair(linux.AF.UNIX, kind, 0, &ends)));
    return ends;
}

/// Two ends of one sealed link.
const Pair = struct {
    near: End,
    far: End,

    fn open(suite: seal.Suite) !Pair {
        const ends = try sockets();
        return .{
            .near = try End.open(ends[0], suite, &there, &back),
            .far = try End.open(ends[1], suite, &back, &there),
        };
    }

    fn close(pair: Pair) void {
        pair.near.close();
        pair.far.close();
    }
};

/// A link that is sent what a test likes.
const Target = struct {
    raw: i32,
    end: End,

    fn open(suite: seal.Suite) !Target {
        const ends = try sockets();
        return .{ .raw = ends[0], .end = try End.open(ends[1], suite, &back, &there) };
    }

    fn close(target: Target) void {
        if (target.raw >= 0) _ = linux.close(target.raw);
        target.end.close();
    }

    fn write(target: Target, bytes: []const u8) !void {
        try expectEqual(bytes.len, linux.write(target.raw, bytes.ptr, bytes.len));
    }

    fn endWriting(target: *Target) void {
        _ = linux.close(target.raw);
        target.raw = -1;
    }
};

fn pattern(bytes: []u8, seed: u64) void {
    var random: std.Random.DefaultPrng = .init(seed);
    random.random().bytes(bytes);
}

test "sealed link: what is sent arrives, whatever the pieces and wherever it is received" {
    const total = 1 << 20;
    const plain = try std.testing.allocator.alloc(u8, total);
    defer std.testing.allocator.free(plain);
    pattern(plain, 1);
    const got = try std.testing.allocator.alloc(u8, total);
    defer std.testing.allocator.free(got);
    for (each(), 0..) |suite, seed| {
        var source: std.Random.DefaultPrng = .init(seed);
        const random = source.random();
        const pair = try Pair.open(suite);
        defer pair.close();
        var sent: usize = 0;
        var received: usize = 0;
        while (received < total) {
            var pieces: [3][]const u8 = undefined;
            var from = sent;
            for (&pieces) |*piece| {
                // Most are as short as messages, some as long as runs of pages.
                const most: usize = if (random.uintLessThan(u8, 4) == 0) 200_000 else 5_000;
                const length = @min(random.uintLessThan(usize, most), total - from);
                piece.* = plain[from..][0..length];
                from += length;
            }
            const taken = pair.near.send(&pieces);
            try expect(taken >= 0);
            sent += @intCast(taken);
            while (true) {
                const rest = got[received..];
                const first = @min(rest.len, if (random.boolean()) 0 else random.uintLessThan(usize, 100_000));
                const second = @min(rest.len - first, 1 + random.uintLessThan(usize, 70_000));
                const count = pair.far.receive(rest[0..first], rest[first..][0..second]);
                if (count == errnoOf(.AGAIN)) break;
                try expect(count > 0 or rest.len == 0);
                received += @intCast(count);
                if (received == total) break;
            }
        }
        try expectEqual(0, pair.near.unsent());
        try expectEqualSlices(u8, plain, got);
    }
}

/// Three records in one: a frame, a run of pages, a frame.
fn makeRecords(suite: seal.Suite, plain: []const u8, cuts: []const usize, out: []u8) !usize {
    var state = try stateOf(suite, &there);
    var used: usize = 0;
    var from: usize = 0;
    for (cuts) |cut| {
        used += try seal.seal(&state, plain[from..cut], out[used..]);
        from = cut;
    }
    return used;
}

test "sealed link: whatever is there at first, the rest of it is waited for, and nothing is lost" {
    var plain: [300]u8 = undefined;
    pattern(&plain, 2);
    for (each()) |suite| {
        var sealed: [500]u8 = undefined;
        const size = try makeRecords(suite, &plain, &.{ 40, 290, plain.len }, &sealed);
        for (0..size + 1) |split| {
            const target = try Target.open(suite);
            defer target.close();
            var got: [plain.len]u8 = @splat(0);
            try target.write(sealed[0..split]);
            var filled = try target.end.receiveAll(&got, got.len);
            try expectEqualSlices(u8, plain[0..filled], got[0..filled]);
            try target.write(sealed[split..size]);
            filled += try target.end.receiveAll(got[filled..], 7);
            try expectEqual(plain.len, filled);
            try expectEqualSlices(u8, &plain, &got);
        }
        const target = try Target.open(suite);
        defer target.close();
        var got: [plain.len]u8 = undefined;
        var filled: usize = 0;
        for (sealed[0..size]) |byte| {
            try target.write(&.{byte});
            filled += try target.end.receiveAll(got[filled..], got.len);
        }
        try expectEqualSlices(u8, &plain, got[0..filled]);
    }
}

test "sealed link: nothing of a record that was changed comes out, all before it does, and then it fails for good" {
    var plain: [120]u8 = undefined;
    pattern(&plain, 3);
    const cuts = [_]usize{ 20, 90, plain.len };
    for (each()) |suite| {
        var sealed: [plain.len + 3 * seal.overhead_bytes]u8 = undefined;
        const size = try makeRecords(suite, &plain, &cuts, &sealed);
        for (0..size) |place| {
            var intact: usize = 0;
            for (cuts, 1..) |cut, records| {
                if (cut + records * seal.overhead_bytes <= place) intact = cut;
            }
            const target = try Target.open(suite);
            defer target.close();
            var changed = sealed;
            changed[place] ^= 4;
            try target.write(changed[0..size]);
            var first: [25]u8 = @splat(0xee);
            var second: [200]u8 = @splat(0xee);
            var got: usize = 0;
            var last: i32 = undefined;
            while (true) {
                last = target.end.receive(first[@min(got, first.len)..], second[got -| first.len..]);
                if (last <= 0) break;
                got += @intCast(last);
                try expect(last == intact or target.end.link.held != 0);
            }
            try expectEqual(sealed_link.not_authentic, last);
            try expectEqual(intact, got);
            const received = first ++ second;
            try expectEqualSlices(u8, plain[0..intact], received[0..intact]);
            for (received[intact..]) |byte| try expect(byte == 0xee or byte == 0);
            try expect(target.end.link.held != 0);
            try target.write(&sealed);
            try expectEqual(sealed_link.not_authentic, target.end.receive(&first, &second));
        }
    }
}

test "sealed link: an end between records is an end, and inside of one it is told as such" {
    var plain: [60]u8 = undefined;
    pattern(&plain, 4);
    for (each()) |suite| {
        var sealed: [plain.len + 2 * seal.overhead_bytes]u8 = undefined;
        const first_record = 20 + seal.overhead_bytes;
        const size = try makeRecords(suite, &plain, &.{ 20, plain.len }, &sealed);
        for (0..size + 1) |split| {
            var target = try Target.open(suite);
            defer target.close();
            try target.write(sealed[0..split]);
            target.endWriting();
            var out: [100]u8 = undefined;
            const whole: i32 = if (split < first_record) 0 else if (split < size) 20 else plain.len;
            if (whole > 0) try expectEqual(whole, target.end.receive(out[0..0], &out));
            const between = split == 0 or split == first_record or split == size;
            const expected = if (between) 0 else sealed_link.cut_off;
            try expectEqual(expected, target.end.receive(out[0..0], &out));
            try expectEqual(expected, target.end.receive(out[0..0], &out));
        }
    }
}

test "sealed link: pages are not opened behind the frame that says where they belong" {
    const frame: [76]u8 = @splat(1);
    const run: [100_000]u8 = @splat(2);
    const pair = try Pair.open(each()[0]);
    defer pair.close();
    try expectEqual(frame.len + run.len + frame.len, @as(usize, @intCast(pair.near.send(&.{ &frame, &run, &frame }))));
    var space: [65536]u8 = undefined;
    try expectEqual(frame.len, @as(usize, @intCast(pair.far.receive(space[0..0], &space))));
    var pages: [run.len]u8 = undefined;
    const got: usize = @intCast(pair.far.receive(&pages, &space));
    try expectEqualSlices(u8, &run, &pages);
    if (got < run.len + frame.len) try expectEqual(frame.len, @as(usize, @intCast(pair.far.receive(space[0..0], &space))));
    try expectEqualSlices(u8, &frame, space[0..frame.len]);
}

test "sealed link: a peer that reads nothing costs its bounded memory, and then gets everything" {
    for (each()) |suite| {
        const pair = try Pair.open(suite);
        defer pair.close();
        var plain: [100_000]u8 = undefined;
        pattern(&plain, 5);
        var sent: usize = 0;
        while (true) {
            const at = sent % plain.len;
            const taken = pair.near.send(&.{plain[at..]});
            try expect(taken >= 0);
            sent += @intCast(taken);
            if (taken == 0) break;
            try expect(sent < 1 << 28);
        }
        try expect(pair.near.unsent() > 0);
        const buffer = try std.testing.allocator.alloc(u8, sent);
        defer std.testing.allocator.free(buffer);
        var received: usize = 0;
        while (received < sent) {
            received += try pair.far.receiveAll(buffer[received..], 65536);
            try expectEqual(0, pair.near.send(&.{}));
        }
        try expectEqual(0, pair.near.unsent());
        for (0..sent) |at| if (buffer[at] != plain[at % plain.len]) return error.Different;
    }
}

test "sealed link: a peer that is gone is told to readers and to senders" {
    const pair = try Pair.open(each()[0]);
    defer std.testing.allocator.destroy(pair.far.link);
    defer pair.near.close();
    // Unread bytes at the closed end make it a reset.
    try expectEqual(3, pair.near.send(&.{"abc"}));
    _ = linux.close(pair.far.fd);
    var bytes: [16]u8 = undefined;
    try expectEqual(errnoOf(.CONNRESET), pair.near.receive(bytes[0..0], &bytes));
    try expectEqual(errnoOf(.CONNRESET), pair.near.receive(bytes[0..0], &bytes));
    try expectEqual(errnoOf(.PIPE), pair.near.send(&.{"abc"}));
}

/// Changes bytes for as long as it may.
const Scribbler = struct {
    bytes: []u8,
    over: std.atomic.Value(bool) = .init(false),

    fn run(scribbler: *Scribbler) void {
        var value: u8 = 0;
        while (!scribbler.over.load(.monotonic)) : (value +%= 1) {
            for (scribbler.bytes) |*byte| @as(*volatile u8, byte).* = value;
        }
    }
};

test "sealed link: a page that another thread changes meanwhile makes records that open" {
    var page: [4096]u8 = @splat(0);
    for (each()) |suite| {
        const pair = try Pair.open(suite);
        defer pair.close();
        var scribbler: Scribbler = .{ .bytes = &page };
        const thread = try std.Thread.spawn(.{}, Scribbler.run, .{&scribbler});
        defer thread.join();
        defer scribbler.over.store(true, .monotonic);
        var got: [page.len]u8 = undefined;
        // Until the other thread has had the core often enough.
        var torn: u32 = 0;
        while (torn < 100) {
            try expectEqual(page.len, @as(usize, @intCast(pair.near.send(&.{&page}))));
            try expectEqual(got.len, try pair.far.receiveAll(&got, got.len));
            if (!std.mem.allEqual(u8, &got, got[0])) torn += 1;
        }
    }
}

test "sealed link: both ends change keys in the middle of a run" {
    for (each()) |suite| {
        const pair = try Pair.open(suite);
        defer pair.close();
        pair.near.link.sends.number = seal.rekey_after - 3;
        pair.far.link.receives.number = seal.rekey_after - 3;
        var run: [60_000]u8 = undefined;
        pattern(&run, 6);
        var got: [run.len]u8 = undefined;
        for (0..3) |_| {
            try expectEqual(run.len, @as(usize, @intCast(pair.near.send(&.{&run}))));
            try expectEqual(run.len, try pair.far.receiveAll(&got, got.len));
            try expectEqualSlices(u8, &run, &got);
        }
        try expectEqual(pair.near.link.sends, pair.far.link.receives);
        try expect(pair.far.link.receives.number < 100);
        try expect(!std.mem.eql(u8, &there, &pair.far.link.receives.key));
    }
}

test "sealed link: of 1,000 links each opens what it was sent, and no other's" {
    const count = 1000;
    const before = @import("harness.zig").allowDescriptors(4096);
    defer _ = linux.setrlimit(.NOFILE, &before);
    // Memory that is not touched costs nothing, so the ends are not filled with zeros here.
    const both = try std.heap.page_allocator.alloc([2]SealedLink, count);
    defer std.heap.page_allocator.free(both);
    var fds: [count][2]i32 = undefined;
    for (&fds, both, 0..) |*pair, *links_of, index| {
        pair.* = try sockets();
        var key: [seal.key_bytes]u8 = @splat(3);
        std.mem.writeInt(u32, key[0..4], @intCast(index), .little);
        for (links_of) |*link| {
            @memset(std.mem.asBytes(link)[0..@offsetOf(SealedLink, "out")], 0);
            link.sends = try stateOf(each()[0], &key);
            link.receives = link.sends;
        }
    }
    defer for (fds) |pair| {
        for (pair) |fd| _ = linux.close(fd);
    };
    for (0..3) |round| {
        for (fds, both, 0..) |pair, *links_of, index| {
            const end: End = .{ .fd = pair[0], .link = &links_of[0] };
            const word = [_]u32{ @intCast(index), @intCast(round) };
            try expectEqual(@sizeOf(@TypeOf(word)), @as(usize, @intCast(end.send(&.{std.mem.asBytes(&word)}))));
        }
        for (fds, both, 0..) |pair, *links_of, index| {
            const end: End = .{ .fd = pair[1], .link = &links_of[1] };
            var word: [2]u32 = undefined;
            try expectEqual(@sizeOf(@TypeOf(word)), try end.receiveAll(std.mem.asBytes(&word), 64));
            try expectEqualSlices(u32, &.{ @intCast(index), @intCast(round) }, &word);
        }
    }
    // What is sealed for one link is nothing to another.
    const stray: End = .{ .fd = fds[0][0], .link = &both[1][0] };
    try expectEqual(1, stray.send(&.{"x"}));
    const opened: End = .{ .fd = fds[0][1], .link = &both[0][1] };
    var byte: [1]u8 = undefined;
    try expectEqual(sealed_link.not_authentic, opened.receive(byte[0..0], &byte));
}

test "sealed link: memory that is no link is refused" {
    const pair = try Pair.open(each()[0]);
    defer pair.close();
    var bytes: [16]u8 = undefined;
    const sound = pair.near.link.*;
    const invalid = errnoOf(.INVAL);
    inline for (.{ "out_start", "out_end", "in_start", "in_end", "plain_start", "plain_end" }) |field| {
        @field(pair.near.link, field) = std.math.maxInt(u32);
        try expectEqual(invalid, pair.near.receive(bytes[0..0], &bytes));
        try expectEqual(invalid, pair.near.send(&.{"x"}));
        pair.near.link.* = sound;
    }
    pair.near.link.sends.suite = 0;
    try expectEqual(invalid, pair.near.send(&.{"x"}));
    pair.near.link.receives.length = seal.record_max_bytes + 1;
    try expectEqual(invalid, pair.near.receive(bytes[0..0], &bytes));
    try expectEqual(invalid, c.tdsm_sealed_receive(null, pair.near.fd, &bytes, 1, null, 0));
    try expectEqual(invalid, c.tdsm_sealed_send(null, pair.near.fd, &.{}, 0, 0));
    try expectEqual(invalid, c.tdsm_sealed_send(pair.far.link, pair.far.fd, null, 0, 0));
}
