//! CRC-32C (Castagnoli), which guards what travels between nodes.
//!
//! With SSE 4.2 the processor does eight bytes in one instruction, but has the result only three
//! cycles later; so three lanes of a block are done side by side, and joined by tables. Elsewhere a
//! table does eight bytes a step.

const std = @import("std");
const builtin = @import("builtin");

/// The polynomial, lowest power last.
const polynomial: u32 = 0x82f63b78;

/// Three lanes and 16 bytes are a page of 4 KiB.
const lane_bytes = 1360;
const block_bytes = 3 * lane_bytes;

/// The checksum of `bytes`. To go on with more bytes pass what came out as `seed`; at first 0.
pub fn checksum(bytes: []const u8, seed: u32) u32 {
    if (builtin.cpu.arch == .x86_64 and hasInstruction()) return byInstruction(bytes, seed);
    return byTable(bytes, seed);
}

fn byTable(bytes: []const u8, seed: u32) u32 {
    var rest = bytes;
    var crc = ~seed;
    while (rest.len >= 8) : (rest = rest[8..]) {
        const word = std.mem.readInt(u64, rest[0..8], .little) ^ crc;
        crc = 0;
        inline for (0..8) |index| crc ^= tables[7 - index][@as(u8, @truncate(word >> (8 * index)))];
    }
    for (rest) |byte| crc = (crc >> 8) ^ tables[0][@as(u8, @truncate(crc)) ^ byte];
    return ~crc;
}

fn byInstruction(bytes: []const u8, seed: u32) u32 {
    var rest = bytes;
    var crc: u64 = ~seed;
    while (rest.len >= block_bytes) : (rest = rest[block_bytes..]) {
        crc = joinLanes(crc, rest[0..block_bytes]);
    }
    while (rest.len >= 8) : (rest = rest[8..]) crc = step8(crc, rest[0..8]);
    var narrow: u32 = @truncate(crc);
    for (rest) |byte| narrow = step1(narrow, byte);
    return ~narrow;
}

fn joinLanes(crc: u64, block: *const [block_bytes]u8) u32 {
    var first = crc;
    var second: u64 = 0;
    var third: u64 = 0;
    var at: usize = 0;
    while (at < lane_bytes) : (at += 8) {
        // Three walks at once are more than the hardware foresees by itself.
        if (at % 64 == 0) inline for (0..3) |lane| {
            @prefetch(@as([*]const u8, block) + at + lane * lane_bytes + 2 * block_bytes, .{});
        };
        first = step8(first, block[at..][0..8]);
        second = step8(second, block[lane_bytes + at ..][0..8]);
        third = step8(third, block[2 * lane_bytes + at ..][0..8]);
    }
    return shift(&shift_two_lanes, @truncate(first)) ^ shift(&shift_one_lane, @truncate(second)) ^
        @as(u32, @truncate(third));
}

inline fn step8(crc: u64, bytes: *const [8]u8) u64 {
    return asm ("crc32q %[word], %[crc]"
        : [crc] "=r" (-> u64),
        : [word] "r" (std.mem.readInt(u64, bytes, .little)),
          [_] "0" (crc),
    );
}

inline fn step1(crc: u32, byte: u8) u32 {
    return asm ("crc32b %[byte], %[crc]"
        : [crc] "=r" (-> u32),
        : [byte] "r" (byte),
          [_] "0" (crc),
    );
}

var instruction: std.atomic.Value(enum(u8) { unknown, present, absent }) = .init(.unknown);

/// Asked once: CPUID leaves a virtual machine, and that takes microseconds.
fn hasInstruction() bool {
    switch (instruction.load(.monotonic)) {
        .present => return true,
        .absent => return false,
        .unknown => {
            const features = asm ("cpuid"
                : [_] "={ecx}" (-> u32),
                : [_] "{eax}" (@as(u32, 1)),
                  [_] "{ecx}" (@as(u32, 0)),
                : .{ .ebx = true, .edx = true });
            const sse42 = features & (1 << 20) != 0;
            instruction.store(if (sse42) .present else .absent, .monotonic);
            return sse42;
        },
    }
}

/// `tables[n][byte]`: what a byte becomes when n more bytes follow it.
const tables: [8][256]u32 = made: {
    @setEvalBranchQuota(100_000);
    var made: [8][256]u32 = undefined;
    for (0..256) |byte| {
        var crc: u32 = @intCast(byte);
        for (0..8) |_| crc = timesX(crc);
        made[0][byte] = crc;
    }
    for (1..8) |index| for (0..256) |byte| {
        const before = made[index - 1][byte];
        made[index][byte] = (before >> 8) ^ made[0][before & 0xff];
    };
    break :made made;
};

const ShiftTable = [4][256]u32;
const shift_one_lane = shiftTable(lane_bytes);
const shift_two_lanes = shiftTable(2 * lane_bytes);

/// What a checksum becomes when as many zero bytes follow as the table is made for.
fn shift(table: *const ShiftTable, crc: u32) u32 {
    var shifted: u32 = 0;
    inline for (0..4) |index| shifted ^= table[index][@as(u8, @truncate(crc >> (8 * index)))];
    return shifted;
}

fn shiftTable(comptime bytes: usize) ShiftTable {
    @setEvalBranchQuota(1_000_000);
    // A checksum is linear in its bits: what becomes of each bit says it all.
    var bits: [32]u32 = undefined;
    for (&bits, 0..) |*bit, index| {
        bit.* = @as(u32, 1) << @intCast(index);
        for (0..bytes) |_| bit.* = (bit.* >> 8) ^ tables[0][bit.* & 0xff];
    }
    var table: ShiftTable = undefined;
    for (0..4) |index| for (0..256) |byte| {
        var crc: u32 = 0;
        for (0..8) |bit| if (byte >> bit & 1 != 0) {
            crc ^= bits[8 * index + bit];
        };
        table[index][byte] = crc;
    };
    return table;
}

fn timesX(crc: u32) u32 {
    return if (crc & 1 != 0) (crc >> 1) ^ polynomial else crc >> 1;
}

test "crc32c: the vector of the standard, and nothing" {
    try std.testing.expectEqual(0xe306_9283, checksum("123456789", 0));
    try std.testing.expectEqual(0xe306_9283, byTable("123456789", 0));
    try std.testing.expectEqual(0, checksum("", 0));
}

test "crc32c: every way agrees at every length, aligned or not, in one go or in two" {
    var bytes: [3 * block_bytes + 40]u8 = undefined;
    var random: std.Random.DefaultPrng = .init(1);
    random.random().bytes(&bytes);
    const lengths = [_]usize{ 0, 1, 7, 8, 9, 63, 4079, 4080, 4081, 4096, 8160, 8192, 12_240, 12_277 };
    for (lengths) |length| for (0..3) |offset| {
        const part = bytes[offset..][0..length];
        const expected = byTable(part, 0);
        try std.testing.expectEqual(expected, checksum(part, 0));
        const half = length / 2;
        try std.testing.expectEqual(expected, checksum(part[half..], checksum(part[0..half], 0)));
    };
}
