//! Sealing: what travels on a connection of nodes that share a key, as records that only the other
//! end can read and nobody can change, drop, repeat or move.
//!
//! A record is its length, sealed, and then so many bytes, sealed: each with a tag of its own, so
//! that a length is known to be right before bytes are waited for. What is sealed is numbered from
//! 0 on; the number is the nonce, and is not sent. Each direction has a key and numbers of its own.

const std = @import("std");
const builtin = @import("builtin");
const status = @import("status.zig");
const ChaCha20Poly1305 = std.crypto.aead.chacha_poly.ChaCha20Poly1305;

pub const key_bytes = 32;
pub const tag_bytes = 16;
/// The bytes of a record before those that it carries.
pub const header_bytes = @sizeOf(u32) + tag_bytes;
/// How much longer a record is than what it carries.
pub const overhead_bytes = header_bytes + tag_bytes;
/// The most bytes that a record carries.
pub const record_max_bytes = 64 << 10;
/// How much is sealed with one key before the next one, which is made of it, is used.
pub const rekey_after = 1 << 32;
/// The number that seals nothing but the next key.
const rekey_number = std.math.maxInt(u64);

/// How to seal. The values are bits, so that a node can say which of them it does well.
pub const Suite = enum(u32) {
    /// Ten times as fast, with instructions for AES.
    aegis256 = 1,
    /// For a connection with an end that has none.
    chacha20_poly1305 = 2,
};

/// One direction of a connection, at one of its ends.
pub const State = extern struct {
    key: [key_bytes]u8,
    /// The number of what is sealed or opened next.
    number: u64,
    /// One of `Suite`.
    suite: u32,
    /// What the next record carries, once its header is opened; 0 before.
    length: u32,

    comptime {
        std.debug.assert(@sizeOf(State) == 48);
        std.debug.assert(@offsetOf(State, "key") == 0);
        std.debug.assert(@offsetOf(State, "number") == 32);
        std.debug.assert(@offsetOf(State, "suite") == 40);
        std.debug.assert(@offsetOf(State, "length") == 44);
    }

    /// The state of a direction on which nothing was sent yet.
    pub fn begin(suite: u32, key: *const [key_bytes]u8) status.Error!State {
        const known = suite == @backingInt(Suite.aegis256) or suite == @backingInt(Suite.chacha20_poly1305);
        if (!known or suite & suites() == 0) return status.reject(error.BadArgument);
        return .{ .key = key.*, .number = 0, .suite = suite, .length = 0 };
    }

    /// Whether a caller's memory can be a state: it may be anything.
    pub fn isSound(state: *const State) bool {
        return state.suite & suites() != 0 and @popCount(state.suite) == 1 and
            state.number <= rekey_after and state.length <= record_max_bytes;
    }

    /// Seals bytes as the next record: `out` is as long as they are, and `overhead_bytes`.
    pub fn sealRecord(state: *State, plain: []const u8, out: []u8) void {
        std.debug.assert(plain.len <= record_max_bytes and out.len == plain.len + overhead_bytes);
        var length: [4]u8 = undefined;
        std.mem.writeInt(u32, &length, @intCast(plain.len), .little);
        state.sealNext(&length, out[0..4], out[4..header_bytes]);
        state.sealNext(plain, out[header_bytes..][0..plain.len], out[header_bytes + plain.len ..][0..tag_bytes]);
    }

    /// How many bytes make the next header, or the rest of a record, whole.
    pub fn needed(state: *const State) u32 {
        return if (state.length == 0) header_bytes else state.length + tag_bytes;
    }

    /// Opens the header of a record.
    pub fn openLength(state: *State, header: *const [header_bytes]u8) status.Error!void {
        var bytes: [4]u8 = undefined;
        try state.openNext(&bytes, header[0..4], header[4..header_bytes]);
        const length = std.mem.readInt(u32, &bytes, .little);
        // Only an end that has the key can say so.
        if (length == 0 or length > record_max_bytes) return status.reject(error.NotAuthentic);
        state.length = length;
    }

    /// Opens the rest of the record whose header was opened: what it carries, and its tag. `out`
    /// may be where the bytes lie.
    pub fn openBody(state: *State, out: []u8, body: []const u8) status.Error!void {
        const length = state.length;
        try state.openNext(out[0..length], body[0..length], body[length..][0..tag_bytes]);
        state.length = 0;
    }

    /// Seals bytes. Those of a page may change meanwhile, so each is read once: a cipher that read
    /// one twice would make a record that nobody can open.
    fn sealNext(state: *State, plain: []const u8, out: []u8, tag: *[tag_bytes]u8) void {
        const number = state.next();
        if (state.suite == @backingInt(Suite.aegis256)) {
            return tdsm_aegis256_seal(out.ptr, plain.ptr, plain.len, tag, number, &state.key);
        }
        ChaCha20Poly1305.encrypt(out, tag, plain, "", chachaNonce(number), state.key);
    }

    /// Opens bytes; where they are not as they were sealed, `out` has nothing of them.
    fn openNext(state: *State, out: []u8, bytes: []const u8, tag: *const [tag_bytes]u8) status.Error!void {
        const number = state.next();
        const sound = if (state.suite == @backingInt(Suite.aegis256))
            tdsm_aegis256_open(out.ptr, bytes.ptr, bytes.len, tag, number, &state.key)
        else sound: {
            ChaCha20Poly1305.decrypt(out, bytes, tag.*, "", chachaNonce(number), state.key) catch break :sound false;
            break :sound true;
        };
        if (sound) return;
        std.crypto.secureZero(u8, out);
        return status.reject(error.NotAuthentic);
    }

    /// The number of what is sealed or opened now; both ends change keys at the same one.
    fn next(state: *State) u64 {
        if (state.number == rekey_after) {
            var key: [key_bytes]u8 = @splat(0);
            var tag: [tag_bytes]u8 = undefined;
            state.number = rekey_number;
            if (state.suite == @backingInt(Suite.aegis256)) {
                tdsm_aegis256_seal(&key, &key, key.len, &tag, rekey_number, &state.key);
            } else {
                ChaCha20Poly1305.encrypt(&key, &tag, &key, "", chachaNonce(rekey_number), state.key);
            }
            state.key = key;
            std.crypto.secureZero(u8, &key);
            state.number = 0;
        }
        defer state.number += 1;
        return state.number;
    }
};

extern fn tdsm_aegis256_seal(out: [*]u8, bytes: [*]const u8, length: usize, tag: *[tag_bytes]u8, number: u64, key: *const [key_bytes]u8) void;
extern fn tdsm_aegis256_open(out: [*]u8, bytes: [*]const u8, length: usize, tag: *const [tag_bytes]u8, number: u64, key: *const [key_bytes]u8) bool;

fn chachaNonce(number: u64) [ChaCha20Poly1305.nonce_length]u8 {
    var nonce: [ChaCha20Poly1305.nonce_length]u8 = @splat(0);
    std.mem.writeInt(u64, nonce[4..12], number, .little);
    return nonce;
}

/// The bytes of the records that carry so many bytes.
pub fn sealedBytes(length: usize) usize {
    return length + overhead_bytes * ((length + record_max_bytes - 1) / record_max_bytes);
}

/// Seals `plain` as records, and returns how many bytes of `out` they take.
pub fn seal(state: *State, plain: []const u8, out: []u8) status.Error!usize {
    if (!state.isSound() or out.len < sealedBytes(plain.len)) return status.reject(error.BadArgument);
    var rest = plain;
    var used: usize = 0;
    while (rest.len > 0) {
        const part = rest[0..@min(rest.len, record_max_bytes)];
        const record = out[used..][0 .. part.len + overhead_bytes];
        state.sealRecord(part, record);
        used += record.len;
        rest = rest[part.len..];
    }
    return used;
}

pub const Opened = struct {
    /// The bytes of `sealed` that are done with: whole records, and the header of the next one.
    taken: usize,
    /// The bytes of `out` that were carried.
    carried: usize,
};

/// What came before a failure still counts. The next call fails as well: the number is another one.
fn afterAll(done: Opened, failure: status.Error) status.Error!Opened {
    return if (done.carried > 0) done else failure;
}

/// Opens the records that are whole in `sealed`. `out` must have room for as many bytes as `sealed`
/// has. After a failure the connection must end.
pub fn open(state: *State, sealed: []const u8, out: []u8) status.Error!Opened {
    if (!state.isSound() or out.len < sealed.len) return status.reject(error.BadArgument);
    var done: Opened = .{ .taken = 0, .carried = 0 };
    while (true) {
        const rest = sealed[done.taken..];
        const needed = state.needed();
        if (rest.len < needed) return done;
        if (state.length == 0) {
            state.openLength(rest[0..header_bytes]) catch |failure| return afterAll(done, failure);
        } else {
            const length = state.length;
            state.openBody(out[done.carried..], rest) catch |failure| return afterAll(done, failure);
            done.carried += length;
        }
        done.taken += needed;
    }
}

/// The suites that this machine does well, as bits. ChaCha20-Poly1305 any machine does.
pub fn suites() u32 {
    const both = @backingInt(Suite.aegis256) | @backingInt(Suite.chacha20_poly1305);
    return if (hasAes()) both else @backingInt(Suite.chacha20_poly1305);
}

var aes: std.atomic.Value(enum(u8) { unknown, present, absent }) = .init(.unknown);

/// Whether the functions of `aes.zig` may be called.
/// Asked once: CPUID leaves a virtual machine, and that takes microseconds.
pub fn hasAes() bool {
    switch (aes.load(.monotonic)) {
        .present => return true,
        .absent => return false,
        .unknown => {
            const present = findAes();
            aes.store(if (present) .present else .absent, .monotonic);
            return present;
        },
    }
}

fn findAes() bool {
    switch (builtin.cpu.arch) {
        .x86_64 => {
            const features = asm ("cpuid"
                : [_] "={ecx}" (-> u32),
                : [_] "{eax}" (@as(u32, 1)),
                  [_] "{ecx}" (@as(u32, 0)),
                : .{ .ebx = true, .edx = true });
            // AES, XSAVE that the kernel uses, and AVX.
            const needed = 1 << 25 | 1 << 27 | 1 << 28;
            if (features & needed != needed) return false;
            const saved = asm ("xgetbv"
                : [_] "={eax}" (-> u32),
                : [_] "{ecx}" (@as(u32, 0)),
                : .{ .edx = true });
            // The kernel keeps the registers of SSE and of AVX for each thread.
            return saved & 0b110 == 0b110;
        },
        .aarch64 => {
            const hwcap_aes = 1 << 3;
            // The C library's: that of `std.os.linux` is told nothing where a program in C starts.
            return std.c.getauxval(std.elf.AT.HWCAP) & hwcap_aes != 0;
        },
        else => return false,
    }
}
