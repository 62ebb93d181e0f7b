const std = @import("std");
const seal = @import("seal.zig");

const testing = std.testing;
const key: [seal.key_bytes]u8 = @splat(7);

fn begin(suite: seal.Suite) !seal.State {
    return seal.State.begin(@backingInt(suite), &key);
}

/// The suites of this machine.
fn each() []const seal.Suite {
    const both: []const seal.Suite = &.{ .chacha20_poly1305, .aegis256 };
    return if (seal.suites() & @backingInt(seal.Suite.aegis256) != 0) both else both[0..1];
}

extern fn tdsm_aegis256_seal(out: [*]u8, bytes: [*]const u8, length: usize, tag: *[16]u8, number: u64, key: *const [32]u8) void;

test "seal: AEGIS-256 of the object is that of the library for any processor" {
    if (each().len == 1) return error.SkipZigTest;
    const Aegis256 = std.crypto.aead.aegis.Aegis256;
    var random: std.Random.DefaultPrng = .init(1);
    for ([_]usize{ 0, 1, 15, 16, 17, 4096, 4111 }) |length| {
        var plain: [4111]u8 = undefined;
        random.random().bytes(&plain);
        var sealed = plain;
        var expected = plain;
        var tag: [16]u8 = undefined;
        var expected_tag: [16]u8 = undefined;
        const number = random.random().int(u64);
        var nonce: [32]u8 = @splat(0);
        std.mem.writeInt(u64, nonce[0..8], number, .little);
        tdsm_aegis256_seal(&sealed, &sealed, length, &tag, number, &key);
        Aegis256.encrypt(expected[0..length], &expected_tag, plain[0..length], "", nonce, key);
        try testing.expectEqualSlices(u8, &expected, &sealed);
        try testing.expectEqualSlices(u8, &expected_tag, &tag);
    }
}

fn expectHex(comptime expected: []const u8, actual: []const u8) !void {
    var bytes: [expected.len / 2]u8 = undefined;
    try testing.expectEqualSlices(u8, try std.fmt.hexToBytes(&bytes, expected), actual);
}

test "seal: instructions for AES are found where the kernel says that there are any" {
    const opened = std.os.linux.open("/proc/cpuinfo", .{ .ACCMODE = .RDONLY }, 0);
    try testing.expectEqual(.SUCCESS, std.os.linux.errno(opened));
    const file: i32 = @intCast(opened);
    defer _ = std.os.linux.close(file);
    // What one processor has is in the first of these bytes.
    var buffer: [8192]u8 = undefined;
    const text = buffer[0..std.os.linux.read(file, &buffer, buffer.len)];
    const has_avx = @import("builtin").cpu.arch != .x86_64 or std.mem.find(u8, text, " avx ") != null;
    const has_aes = has_avx and std.mem.find(u8, text, " aes ") != null;
    try testing.expectEqual(has_aes, seal.suites() & @backingInt(seal.Suite.aegis256) != 0);
}

test "seal: the standards' vectors of both ciphers" {
    // RFC 10032, AEGIS-256, test vector 1.
    var block: [16]u8 = @splat(0);
    var tag: [16]u8 = undefined;
    var aegis_key: [32]u8 = @splat(0);
    aegis_key[0..2].* = .{ 0x10, 0x01 };
    var nonce: [32]u8 = @splat(0);
    nonce[0..3].* = .{ 0x10, 0x00, 0x02 };
    std.crypto.aead.aegis.Aegis256.encrypt(&block, &tag, &block, "", nonce, aegis_key);
    try expectHex("754fc3d8c973246dcc6d741412a4b236", &block);
    try expectHex("3fe91994768b332ed7f570a19ec5896e", &tag);
    // RFC 8439, appendix A.1, test vector 1.
    var stream: [64]u8 = @splat(0);
    std.crypto.stream.chacha.ChaCha20IETF.xor(&stream, &stream, 0, @splat(0), @splat(0));
    try expectHex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586", &stream);
}

test "seal: what is sealed is opened, of every length, however it is cut" {
    var plain: [3 * seal.record_max_bytes]u8 = undefined;
    var random: std.Random.DefaultPrng = .init(2);
    random.random().bytes(&plain);
    const lengths = [_]usize{ 1, 2, 44, 4096, seal.record_max_bytes, seal.record_max_bytes + 1, plain.len };
    for (each()) |suite| {
        var sender = try begin(suite);
        var receiver = try begin(suite);
        for (lengths) |length| {
            var sealed: [plain.len + 3 * seal.overhead_bytes]u8 = undefined;
            const size = try seal.seal(&sender, plain[0..length], &sealed);
            try testing.expectEqual(seal.sealedBytes(length), size);
            var opened: [plain.len + 3 * seal.overhead_bytes]u8 = undefined;
            var start: usize = 0;
            var end: usize = 0;
            var carried: usize = 0;
            while (end < size) {
                // At first byte by byte: every place at which a read can end.
                end = if (end < 100) end + 1 else @min(size, end + 1 + random.random().uintLessThan(usize, 70_000));
                const done = try seal.open(&receiver, sealed[start..end], opened[carried..]);
                start += done.taken;
                carried += done.carried;
            }
            try testing.expectEqual(size, start);
            try testing.expectEqualSlices(u8, plain[0..length], opened[0..carried]);
        }
    }
}

test "seal: what is changed at any byte, dropped, repeated, moved or reflected is not opened" {
    const plain = "a page that nobody else may read";
    for (each()) |suite| {
        var sender = try begin(suite);
        var records: [2][plain.len + seal.overhead_bytes]u8 = undefined;
        for (&records) |*record| _ = try seal.seal(&sender, plain, record);
        try testing.expect(!std.mem.eql(u8, &records[0], &records[1]));
        for (0..records[0].len) |index| {
            var receiver = try begin(suite);
            var changed = records[0];
            changed[index] ^= 0x10;
            try expectRefused(&receiver, &changed);
        }
        var dropped = try begin(suite);
        try expectRefused(&dropped, &records[1]);
        var repeated = try begin(suite);
        var out: [records[0].len]u8 = undefined;
        _ = try seal.open(&repeated, &records[0], &out);
        try testing.expectEqualStrings(plain, out[0..plain.len]);
        try expectRefused(&repeated, &records[0]);
        // The other direction has another key.
        var reflected = try seal.State.begin(@backingInt(suite), &@as([seal.key_bytes]u8, @splat(8)));
        try expectRefused(&reflected, &records[0]);
    }
}

fn expectRefused(receiver: *seal.State, sealed: []const u8) !void {
    var out: [256]u8 = @splat(0xa5);
    try testing.expectError(error.NotAuthentic, seal.open(receiver, sealed, &out));
    try testing.expect(std.mem.find(u8, &out, "page") == null);
}

test "seal: both ends change keys at the same number, and the old key opens nothing more" {
    for (each()) |suite| {
        var sender = try begin(suite);
        sender.number = seal.rekey_after - 3;
        var receiver = sender;
        var old = sender;
        var out: [100]u8 = undefined;
        for (0..4) |round| {
            var record: [1 + seal.overhead_bytes]u8 = undefined;
            _ = try seal.seal(&sender, &.{@intCast(round)}, &record);
            const done = try seal.open(&receiver, &record, &out);
            try testing.expectEqual(1, done.carried);
            try testing.expectEqual(@as(u8, @intCast(round)), out[0]);
            if (round < 1) {
                _ = try seal.open(&old, &record, &out);
            } else if (round == 2) {
                old.number = 1;
                old.length = 0;
                try testing.expectError(error.NotAuthentic, seal.open(&old, &record, &out));
            }
        }
        try testing.expect(!std.mem.eql(u8, &sender.key, &key));
        try testing.expectEqual(5, sender.number);
        try testing.expectEqual(sender, receiver);
    }
}

test "seal: memory that is no state, and room that is too small, are refused" {
    var out: [100]u8 = undefined;
    for ([_]u32{ 0, 3, 4, std.math.maxInt(u32) }) |suite| {
        try testing.expectError(error.BadArgument, seal.State.begin(suite, &key));
        var state = try begin(.chacha20_poly1305);
        state.suite = suite;
        try testing.expectError(error.BadArgument, seal.seal(&state, "x", &out));
        try testing.expectError(error.BadArgument, seal.open(&state, "x", &out));
    }
    var state = try begin(.chacha20_poly1305);
    try testing.expectError(error.BadArgument, seal.seal(&state, "x", out[0..seal.overhead_bytes]));
    try testing.expectError(error.BadArgument, seal.open(&state, "xy", out[0..1]));
    state.length = seal.record_max_bytes + 1;
    try testing.expectError(error.BadArgument, seal.open(&state, "x", &out));
}

test "seal: what came before a changed record is carried, and the next call fails" {
    for (each()) |suite| for ([_]usize{ 0, seal.header_bytes }) |place| {
        var sender = try begin(suite);
        var receiver = try begin(suite);
        var sealed: [2 * (1 + seal.overhead_bytes)]u8 = undefined;
        const first = try seal.seal(&sender, "a", &sealed);
        _ = try seal.seal(&sender, "b", sealed[first..]);
        sealed[first + place] ^= 1;
        var out: [sealed.len]u8 = undefined;
        const done = try seal.open(&receiver, &sealed, &out);
        try testing.expectEqual(1, done.carried);
        try testing.expectEqual(first + place, done.taken);
        try testing.expectError(error.NotAuthentic, seal.open(&receiver, sealed[done.taken..], &out));
    };
}
