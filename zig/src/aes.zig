//! AEGIS-256 and AES-256-GCM for processors that have the instructions for AES. They are an object
//! of their own, compiled for such processors, in a library that runs on any: `seal.zig` and
//! `noise.zig` call it only where they are.

const std = @import("std");
const Aegis256 = std.crypto.aead.aegis.Aegis256;
const Aes256Gcm = std.crypto.aead.aes_gcm.Aes256Gcm;

comptime {
    std.debug.assert(std.crypto.core.aes.has_hardware_support);
    @export(&aegisSeal, .{ .name = "tdsm_aegis256_seal", .visibility = .hidden });
    @export(&aegisOpen, .{ .name = "tdsm_aegis256_open", .visibility = .hidden });
    @export(&gcmSeal, .{ .name = "tdsm_aes256gcm_seal", .visibility = .hidden });
    @export(&gcmOpen, .{ .name = "tdsm_aes256gcm_open", .visibility = .hidden });
}

/// The number of what is sealed, in the nonce's first bytes: no number comes twice with one key.
fn nonceOf(number: u64) [Aegis256.nonce_length]u8 {
    var nonce: [Aegis256.nonce_length]u8 = @splat(0);
    std.mem.writeInt(u64, nonce[0..8], number, .little);
    return nonce;
}

fn aegisSeal(out: [*]u8, bytes: [*]const u8, length: usize, tag: *[Aegis256.tag_length]u8, number: u64, key: *const [Aegis256.key_length]u8) callconv(.c) void {
    Aegis256.encrypt(out[0..length], tag, bytes[0..length], "", nonceOf(number), key.*);
}

fn aegisOpen(out: [*]u8, bytes: [*]const u8, length: usize, tag: *const [Aegis256.tag_length]u8, number: u64, key: *const [Aegis256.key_length]u8) callconv(.c) bool {
    Aegis256.decrypt(out[0..length], bytes[0..length], tag.*, "", nonceOf(number), key.*) catch return false;
    return true;
}

/// The only nonce: each key of a handshake seals once.
const gcm_nonce: [Aes256Gcm.nonce_length]u8 = @splat(0);

fn gcmSeal(out: [*]u8, bytes: [*]const u8, length: usize, tag: *[Aes256Gcm.tag_length]u8, said: *const [32]u8, key: *const [Aes256Gcm.key_length]u8) callconv(.c) void {
    Aes256Gcm.encrypt(out[0..length], tag, bytes[0..length], said, gcm_nonce, key.*);
}

fn gcmOpen(out: [*]u8, bytes: [*]const u8, length: usize, tag: *const [Aes256Gcm.tag_length]u8, said: *const [32]u8, key: *const [Aes256Gcm.key_length]u8) callconv(.c) bool {
    Aes256Gcm.decrypt(out[0..length], bytes[0..length], tag.*, said, gcm_nonce, key.*) catch return false;
    return true;
}
