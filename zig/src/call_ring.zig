//! The ring of records between one thread of the program and the engine, as `runtime/ring/ring.ts`
//! has it on the engine's side: a single writer and a single reader, positions that only grow.
//! A thread without JavaScript sleeps in a futex of the kernel, and says so, since the engine's
//! `Atomics.notify` wakes only threads that wait in `Atomics.wait`.

const std = @import("std");
const linux = std.os.linux;

/// The words of a ring, before its bytes. Each side has a cache line of its own.
pub const Words = extern struct {
    written: u32 = 0,
    reader_waits: u32 = 0,
    first_line: [14]u32 = @splat(0),
    read: u32 = 0,
    writer_waits: u32 = 0,
    second_line: [14]u32 = @splat(0),
};

/// A record's header; the payload follows. Records begin at multiples of its size.
pub const Header = extern struct {
    length: u32 = 0,
    kind: u32,
    call: u32 = 0,
    code: u32 = 0,
    count: u32 = 0,
    id: u32 = 0,
    key: u64 = 0,
};

comptime {
    std.debug.assert(@sizeOf(Words) == 128);
    std.debug.assert(@sizeOf(Header) == 32);
}

/// In `reader_waits` or `writer_waits`: the thread sleeps in a futex of the kernel.
pub const waits_in_kernel: u32 = 2;

/// One ring, in memory that other threads use too.
pub const Ring = struct {
    words: *Words,
    bytes: []u8,

    /// The ring at an address, with so many bytes for records.
    pub fn at(address: u64, capacity: u32) Ring {
        const first: [*]u8 = @ptrFromInt(address + @sizeOf(Words));
        return .{ .words = @ptrFromInt(address), .bytes = first[0..capacity] };
    }

    /// Writes a record; false where there is no room now. The caller wakes the engine.
    pub fn push(ring: Ring, header: Header, payload: []const u8) bool {
        const written = load(&ring.words.written);
        const size = recordBytes(payload.len);
        if (written -% load(&ring.words.read) + size > ring.bytes.len) return false;
        const start = written % ring.bytes.len;
        var whole = header;
        whole.length = @intCast(payload.len);
        @memcpy(ring.bytes[start..][0..@sizeOf(Header)], std.mem.asBytes(&whole));
        const from = (start + @sizeOf(Header)) % ring.bytes.len;
        const head = @min(payload.len, ring.bytes.len - from);
        @memcpy(ring.bytes[from..][0..head], payload[0..head]);
        @memcpy(ring.bytes[0 .. payload.len - head], payload[head..]);
        store(&ring.words.written, written +% @as(u32, @intCast(size)));
        return true;
    }

    /// Takes the oldest record, and as much of its payload as `payload` has room for; null where
    /// there is none. The caller wakes a writer that waits for room.
    pub fn pop(ring: Ring, payload: []u8) ?Header {
        const read = load(&ring.words.read);
        if (load(&ring.words.written) == read) return null;
        const start = read % ring.bytes.len;
        var header: Header = undefined;
        @memcpy(std.mem.asBytes(&header), ring.bytes[start..][0..@sizeOf(Header)]);
        const wanted = @min(header.length, payload.len);
        const from = (start + @sizeOf(Header)) % ring.bytes.len;
        const head = @min(wanted, ring.bytes.len - from);
        @memcpy(payload[0..head], ring.bytes[from..][0..head]);
        @memcpy(payload[head..wanted], ring.bytes[0 .. wanted - head]);
        store(&ring.words.read, read +% @as(u32, @intCast(recordBytes(header.length))));
        header.length = @intCast(wanted);
        return header;
    }

    pub fn isEmpty(ring: Ring) bool {
        return load(&ring.words.written) == load(&ring.words.read);
    }

    /// Sleeps until there is a record, something wakes this reader, or the time is over.
    pub fn awaitRecord(ring: Ring, timeout_us: u64) void {
        const read = load(&ring.words.read);
        store(&ring.words.reader_waits, waits_in_kernel);
        sleep(&ring.words.written, read, timeout_us);
    }

    /// Sleeps until the reader has come further than `read`, or the time is over.
    pub fn awaitRoom(ring: Ring, read: u32, timeout_us: u64) void {
        store(&ring.words.writer_waits, waits_in_kernel);
        sleep(&ring.words.read, read, timeout_us);
    }
};

fn recordBytes(payload: usize) usize {
    return @sizeOf(Header) + std.mem.alignForward(usize, payload, @sizeOf(Header));
}

/// Reads a word that another thread writes.
pub fn load(word: *const u32) u32 {
    return @atomicLoad(u32, word, .seq_cst);
}

/// Writes a word that another thread reads.
pub fn store(word: *u32, value: u32) void {
    @atomicStore(u32, word, value, .seq_cst);
}

/// Sleeps while a word has a value, until `wake`, a signal, or the end of the time.
pub fn sleep(word: *const u32, value: u32, timeout_us: u64) void {
    const timeout: linux.timespec = .{
        .sec = @intCast(timeout_us / std.time.us_per_s),
        .nsec = @intCast(timeout_us % std.time.us_per_s * std.time.ns_per_us),
    };
    _ = linux.futex_4arg(word, .{ .cmd = .WAIT, .private = true }, value, &timeout);
}

/// Wakes the thread that sleeps at a word.
pub fn wake(word: *const u32) void {
    _ = linux.futex_3arg(word, .{ .cmd = .WAKE, .private = true }, 1);
}

const expectEqual = std.testing.expectEqual;

const TestRing = struct {
    words: Words = .{},
    bytes: [256]u8 = @splat(0),

    fn ring(made: *TestRing) Ring {
        return .at(@intFromPtr(made), made.bytes.len);
    }
};

test "call ring: records come out as they went in, also around the end of the ring" {
    var made: TestRing = .{};
    const ring = made.ring();
    var payload: [64]u8 = undefined;
    try expectEqual(null, ring.pop(&payload));
    // 96 bytes each: every third record has its payload in two parts.
    for (0..20) |round| {
        const text = "the payload of a record, of more than 32 bytes";
        const number: u32 = @intCast(round);
        try std.testing.expect(ring.push(.{ .kind = 5, .call = number, .key = 1 << 40 | round }, text));
        const header = ring.pop(&payload).?;
        try expectEqual(Header{ .length = text.len, .kind = 5, .call = number, .key = 1 << 40 | round }, header);
        try std.testing.expectEqualStrings(text, payload[0..header.length]);
    }
}

test "call ring: what has no room is not written, and a payload is cut to the room for it" {
    var made: TestRing = .{};
    const ring = made.ring();
    for (0..8) |_| try std.testing.expect(ring.push(.{ .kind = 1 }, ""));
    try std.testing.expect(!ring.push(.{ .kind = 1 }, ""));
    var payload: [4]u8 = undefined;
    for (0..8) |_| try expectEqual(1, ring.pop(&payload).?.kind);
    try std.testing.expect(ring.push(.{ .kind = 2 }, "too long"));
    try expectEqual(4, ring.pop(&payload).?.length);
    try std.testing.expectEqualStrings("too ", &payload);
    try expectEqual(null, ring.pop(&payload));
}

test "call ring: a reader and a writer that sleep are woken by each other" {
    const rounds = 20_000;
    const Writer = struct {
        fn run(ring: Ring) void {
            for (0..rounds) |round| {
                while (true) {
                    const read = load(&ring.words.read);
                    if (ring.push(.{ .kind = 1, .count = @intCast(round) }, "")) break;
                    ring.awaitRoom(read, std.time.us_per_s);
                }
                if (@atomicRmw(u32, &ring.words.reader_waits, .Xchg, 0, .seq_cst) != 0) wake(&ring.words.written);
            }
        }
    };
    var made: TestRing = .{};
    const ring = made.ring();
    const writer = try std.Thread.spawn(.{}, Writer.run, .{ring});
    defer writer.join();
    var payload: [1]u8 = undefined;
    var next: u32 = 0;
    while (next < rounds) {
        if (ring.pop(&payload)) |header| {
            try expectEqual(next, header.count);
            next += 1;
            if (@atomicRmw(u32, &ring.words.writer_waits, .Xchg, 0, .seq_cst) != 0) wake(&ring.words.read);
        } else ring.awaitRecord(std.time.us_per_s);
    }
}
