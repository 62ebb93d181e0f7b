//! AEGIS-256 for processors that have the instructions for AES. It is an object of its own,
//! compiled for such processors, in a library that runs on any: `seal.zig` calls it only where they
//! are.

const std = @import("std");
const Aegis256 = std.crypto.aead.aegis.Aegis256;

comptime {
    std.debug.assert(std.crypto.core.aes.has_hardware_support);
    @export(&seal, .{ .name = "tdsm_aegis256_seal", .visibility = .hidden });
    @export(&open, .{ .name = "tdsm_aegis256_open", .visibility = .hidden });
}

/// The number of what is sealed, in the nonce's first bytes: no number comes twice with one key.
fn nonceOf(number: u64) [Aegis256.nonce_length]u8 {
    var nonce: [Aegis256.nonce_length]u8 = @splat(0);
    std.mem.writeInt(u64, nonce[0..8], number, .little);
    return nonce;
}

fn seal(out: [*]u8, bytes: [*]const u8, length: usize, tag: *[Aegis256.tag_length]u8, number: u64, key: *const [Aegis256.key_length]u8) callconv(.c) void {
    Aegis256.encrypt(out[0..length], tag, bytes[0..length], "", nonceOf(number), key.*);
}

fn open(out: [*]u8, bytes: [*]const u8, length: usize, tag: *const [Aegis256.tag_length]u8, number: u64, key: *const [Aegis256.key_length]u8) callconv(.c) bool {
    Aegis256.decrypt(out[0..length], bytes[0..length], tag.*, "", nonceOf(number), key.*) catch return false;
    return true;
}
