//! The handshake of two programs that share a key: Noise_NNpsk0_25519_AESGCM_SHA256. Two messages;
//! with them both sides know that the other has the key, and have two fresh keys, one for each
//! direction. A key that is found later does not open what was said before.
//!
//! A message is one call, which waits for nothing: neither for a connection nor for another thread.
//! After a failure nothing of the handshake is left, and every call that follows fails.

const std = @import("std");
const seals = @import("seal.zig");
const status = @import("status.zig");
const Aes256Gcm = std.crypto.aead.aes_gcm.Aes256Gcm;
const Hkdf = std.crypto.kdf.hkdf.HkdfSha256;
const Sha256 = std.crypto.hash.sha2.Sha256;
const X25519 = std.crypto.dh.X25519;

/// The bytes of a key, of a hash, and of either half of a key pair.
pub const key_bytes = 32;
/// How much longer a message is than its payload: a public key, and the payload's tag.
pub const overhead_bytes = X25519.public_length + Aes256Gcm.tag_length;
/// The most bytes that a message carries.
pub const payload_max_bytes = 64;

const protocol_name = "Noise_NNpsk0_25519_AESGCM_SHA256";

/// Which side a program is; the initiator sends the first message.
pub const Role = enum(u32) { initiator = 1, responder = 2 };

/// What is said next.
const Step = enum(u32) { first = 1, second = 2, split = 3 };

/// One side of one handshake, in memory of the caller.
pub const State = extern struct {
    /// The hash of all that was said.
    hash: [key_bytes]u8,
    chaining_key: [key_bytes]u8,
    /// Seals the next payload. Each payload has a key of its own, so the nonce is always 0.
    cipher_key: [key_bytes]u8,
    /// The private half of this side's key pair, once it has sent its message.
    private: [key_bytes]u8,
    /// The public half of the other side's, once its message is there.
    remote: [key_bytes]u8,
    /// One of `Role`.
    role: u32,
    /// One of `Step`; after a failure, and at the end, none.
    step: u32,

    comptime {
        std.debug.assert(protocol_name.len == key_bytes);
        std.debug.assert(@sizeOf(State) == 168);
        std.debug.assert(@offsetOf(State, "hash") == 0);
        std.debug.assert(@offsetOf(State, "chaining_key") == 32);
        std.debug.assert(@offsetOf(State, "cipher_key") == 64);
        std.debug.assert(@offsetOf(State, "private") == 96);
        std.debug.assert(@offsetOf(State, "remote") == 128);
        std.debug.assert(@offsetOf(State, "role") == 160);
        std.debug.assert(@offsetOf(State, "step") == 164);
    }

    /// Begins a handshake at which both sides have seen `prologue` alike.
    pub fn begin(state: *State, role: u32, key: *const [key_bytes]u8, prologue: []const u8) status.Error!void {
        const known = role == @backingInt(Role.initiator) or role == @backingInt(Role.responder);
        if (!known) return status.reject(error.BadArgument);
        state.* = .{
            .hash = protocol_name.*,
            .chaining_key = protocol_name.*,
            .cipher_key = @splat(0),
            .private = @splat(0),
            .remote = @splat(0),
            .role = role,
            .step = @backingInt(Step.first),
        };
        state.mixHash(prologue);
        var mixed = state.derive(3, key);
        defer wipe(&mixed);
        state.mixHash(&mixed[1]);
        state.chaining_key = mixed[0];
        state.cipher_key = mixed[2];
    }

    /// Makes this side's message of a payload and a private key that is used for nothing else.
    pub fn write(state: *State, payload: []const u8, private: *const [key_bytes]u8, message: []u8) status.Error!void {
        if (payload.len > payload_max_bytes or message.len != payload.len + overhead_bytes) {
            return status.reject(error.BadArgument);
        }
        const step = try state.enter(.initiator);
        errdefer state.end();
        state.private = private.*;
        const public = X25519.recoverPublicKey(private.*);
        try state.mixPublic(step, &public);
        message[0..key_bytes].* = public;
        const sealed = message[key_bytes..];
        state.seal(payload, sealed[0..payload.len], sealed[payload.len..][0..Aes256Gcm.tag_length]);
        state.mixHash(sealed);
    }

    /// Takes the other side's message; `payload` has nothing of it where it cannot be accepted.
    pub fn read(state: *State, message: []const u8, payload: []u8) status.Error!void {
        if (payload.len > payload_max_bytes or message.len != payload.len + overhead_bytes) {
            return status.reject(error.BadArgument);
        }
        const step = try state.enter(.responder);
        errdefer state.end();
        state.remote = message[0..key_bytes].*;
        try state.mixPublic(step, &state.remote);
        const sealed = message[key_bytes..];
        try state.open(sealed[0..payload.len], sealed[payload.len..][0..Aes256Gcm.tag_length], payload);
        state.mixHash(sealed);
    }

    /// Ends the handshake, once both messages are there: the keys of what this side sends, and of
    /// what it receives.
    pub fn split(state: *State, send: *[key_bytes]u8, receive: *[key_bytes]u8) status.Error!void {
        if (state.step != @backingInt(Step.split)) return status.reject(error.BadArgument);
        var keys = state.derive(2, "");
        defer wipe(&keys);
        const is_initiator = state.role == @backingInt(Role.initiator);
        send.* = keys[if (is_initiator) 0 else 1];
        receive.* = keys[if (is_initiator) 1 else 0];
        state.end();
    }

    /// Goes on to the next step where it is `first`'s turn with the first message, or that of the
    /// other side with the second.
    fn enter(state: *State, first: Role) status.Error!Step {
        const step: Step = if (state.role == @backingInt(first)) .first else .second;
        if (state.step != @backingInt(step)) return status.reject(error.BadArgument);
        state.step += 1;
        return step;
    }

    /// Forgets everything but the hash, which is no secret.
    fn end(state: *State) void {
        const hash = state.hash;
        wipe(state);
        state.hash = hash;
    }

    /// Takes the public key at the head of a message; of the second message the shared secret, too.
    /// A public key of small order makes that the same for everybody: its sender knows the key, and
    /// is no node.
    fn mixPublic(state: *State, step: Step, public: *const [key_bytes]u8) status.Error!void {
        state.mixHash(public);
        state.mixKey(public);
        if (step == .first) return;
        var secret = X25519.scalarmult(state.private, state.remote) catch return status.reject(error.NotAuthentic);
        defer wipe(&secret);
        state.mixKey(&secret);
    }

    fn mixHash(state: *State, said: []const u8) void {
        var hash: Sha256 = .init(.{});
        hash.update(&state.hash);
        hash.update(said);
        hash.final(&state.hash);
    }

    fn mixKey(state: *State, material: *const [key_bytes]u8) void {
        var mixed = state.derive(2, material);
        defer wipe(&mixed);
        state.chaining_key = mixed[0];
        state.cipher_key = mixed[1];
    }

    /// Noise's HKDF, which is that of RFC 5869 with the chaining key as its salt and nothing as its
    /// info.
    fn derive(state: *const State, comptime outputs: usize, material: []const u8) [outputs][key_bytes]u8 {
        var secret = Hkdf.extract(&state.chaining_key, material);
        defer wipe(&secret);
        var keys: [outputs][key_bytes]u8 = undefined;
        Hkdf.expand(std.mem.asBytes(&keys), "", secret);
        return keys;
    }

    fn seal(state: *const State, payload: []const u8, out: []u8, tag: *[Aes256Gcm.tag_length]u8) void {
        if (seals.hasAes()) {
            return tdsm_aes256gcm_seal(out.ptr, payload.ptr, payload.len, tag, &state.hash, &state.cipher_key);
        }
        Aes256Gcm.encrypt(out, tag, payload, &state.hash, nonce, state.cipher_key);
    }

    fn open(state: *const State, sealed: []const u8, tag: *const [Aes256Gcm.tag_length]u8, out: []u8) status.Error!void {
        const sound = if (seals.hasAes())
            tdsm_aes256gcm_open(out.ptr, sealed.ptr, sealed.len, tag, &state.hash, &state.cipher_key)
        else sound: {
            Aes256Gcm.decrypt(out, sealed, tag.*, &state.hash, nonce, state.cipher_key) catch break :sound false;
            break :sound true;
        };
        if (sound) return;
        std.crypto.secureZero(u8, out);
        return status.reject(error.NotAuthentic);
    }
};

fn wipe(secret: anytype) void {
    std.crypto.secureZero(u8, std.mem.asBytes(secret));
}

const nonce: [Aes256Gcm.nonce_length]u8 = @splat(0);

extern fn tdsm_aes256gcm_seal(out: [*]u8, bytes: [*]const u8, length: usize, tag: *[Aes256Gcm.tag_length]u8, said: *const [key_bytes]u8, key: *const [key_bytes]u8) void;
extern fn tdsm_aes256gcm_open(out: [*]u8, bytes: [*]const u8, length: usize, tag: *const [Aes256Gcm.tag_length]u8, said: *const [key_bytes]u8, key: *const [key_bytes]u8) bool;
