const std = @import("std");
const noise = @import("noise.zig");
const seal = @import("seal.zig");

const testing = std.testing;
const initiator = @backingInt(noise.Role.initiator);
const responder = @backingInt(noise.Role.responder);
const key: [noise.key_bytes]u8 = @splat(7);

extern fn tdsm_aes256gcm_seal(out: [*]u8, bytes: [*]const u8, length: usize, tag: *[16]u8, said: *const [32]u8, key: *const [32]u8) void;
extern fn tdsm_aes256gcm_open(out: [*]u8, bytes: [*]const u8, length: usize, tag: *const [16]u8, said: *const [32]u8, key: *const [32]u8) bool;

test "noise: AES-256-GCM of the object is that of the library for any processor" {
    if (!seal.hasAes()) return error.SkipZigTest;
    const Aes256Gcm = std.crypto.aead.aes_gcm.Aes256Gcm;
    try testing.expect(!std.crypto.core.aes.has_hardware_support);
    var random: std.Random.DefaultPrng = .init(1);
    for ([_]usize{ 0, 1, 4, 15, 16, 17, noise.payload_max_bytes }) |length| {
        var plain: [noise.payload_max_bytes]u8 = undefined;
        random.random().bytes(&plain);
        var said: [32]u8 = undefined;
        random.random().bytes(&said);
        var sealed = plain;
        var expected = plain;
        var tag: [16]u8 = undefined;
        var expected_tag: [16]u8 = undefined;
        tdsm_aes256gcm_seal(&sealed, &plain, length, &tag, &said, &key);
        Aes256Gcm.encrypt(expected[0..length], &expected_tag, plain[0..length], &said, @splat(0), key);
        try testing.expectEqualSlices(u8, &expected, &sealed);
        try testing.expectEqualSlices(u8, &expected_tag, &tag);
        var opened = sealed;
        try testing.expect(tdsm_aes256gcm_open(&opened, &sealed, length, &tag, &said, &key));
        try testing.expectEqualSlices(u8, &plain, &opened);
        tag[0] ^= 1;
        try testing.expect(!tdsm_aes256gcm_open(&opened, &sealed, length, &tag, &said, &key));
    }
}

/// Both sides before the first message.
fn pair() !struct { noise.State, noise.State } {
    var sides: [2]noise.State = undefined;
    try sides[0].begin(initiator, &key, "prologue");
    try sides[1].begin(responder, &key, "prologue");
    return .{ sides[0], sides[1] };
}

fn expectWiped(state: *const noise.State) !void {
    const secrets = std.mem.asBytes(state)[@offsetOf(noise.State, "chaining_key")..];
    try testing.expect(std.mem.allEqual(u8, secrets, 0));
}

test "noise: both sides have the same two keys, and nothing else is left of the handshake" {
    var one, var two = try pair();
    var message: [4 + noise.overhead_bytes]u8 = undefined;
    var payload: [4]u8 = undefined;
    try one.write("ping", &@as([32]u8, @splat(1)), &message);
    try two.read(&message, &payload);
    try testing.expectEqualStrings("ping", &payload);
    try two.write("pong", &@as([32]u8, @splat(2)), &message);
    try one.read(&message, &payload);
    try testing.expectEqualStrings("pong", &payload);
    try testing.expectEqualSlices(u8, &one.hash, &two.hash);
    var keys: [4][noise.key_bytes]u8 = undefined;
    try one.split(&keys[0], &keys[1]);
    try two.split(&keys[2], &keys[3]);
    try testing.expectEqualSlices(u8, &keys[0], &keys[3]);
    try testing.expectEqualSlices(u8, &keys[1], &keys[2]);
    try testing.expect(!std.mem.eql(u8, &keys[0], &keys[1]));
    try expectWiped(&one);
    try expectWiped(&two);
}

test "noise: each changed byte is refused at both messages, and ends the handshake" {
    for (0..4 + noise.overhead_bytes) |at| {
        var one, var two = try pair();
        var message: [4 + noise.overhead_bytes]u8 = undefined;
        var payload: [4]u8 = undefined;
        try one.write("ping", &@as([32]u8, @splat(1)), &message);
        var fresh = two;
        message[at] ^= 4;
        try testing.expectError(error.NotAuthentic, two.read(&message, &payload));
        try expectWiped(&two);
        message[at] ^= 4;
        try fresh.read(&message, &payload);
        try fresh.write("pong", &@as([32]u8, @splat(2)), &message);
        message[at] ^= 4;
        try testing.expectError(error.NotAuthentic, one.read(&message, &payload));
        try testing.expect(std.mem.allEqual(u8, &payload, 0));
        try expectWiped(&one);
    }
}

test "noise: calls out of turn, lengths and roles that there are not are refused" {
    var one, var two = try pair();
    var message: [4 + noise.overhead_bytes]u8 = undefined;
    var payload: [4]u8 = undefined;
    const private: [32]u8 = @splat(1);
    try testing.expectError(error.BadArgument, two.write("pong", &private, &message));
    try testing.expectError(error.BadArgument, one.read(&message, &payload));
    try testing.expectError(error.BadArgument, one.split(&two.private, &two.remote));
    try testing.expectError(error.BadArgument, one.write("ping", &private, message[1..]));
    try testing.expectError(error.BadArgument, two.read(message[1..], &payload));
    const long: [noise.payload_max_bytes + 1]u8 = @splat(0);
    var longer: [long.len + noise.overhead_bytes]u8 = undefined;
    try testing.expectError(error.BadArgument, one.write(&long, &private, &longer));
    try one.write("ping", &private, &message);
    try testing.expectError(error.BadArgument, one.write("ping", &private, &message));
    for ([_]u32{ 0, 3 }) |role| {
        try testing.expectError(error.BadArgument, one.begin(role, &key, ""));
    }
}
