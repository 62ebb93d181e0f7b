//! As much of MessagePack as calls to the engine need: maps of texts and numbers are written, and
//! their answers read, without memory of their own.

const std = @import("std");

/// Writes into bytes that are large enough for what the caller writes.
pub const Writer = struct {
    bytes: []u8,
    length: usize = 0,

    pub fn map(writer: *Writer, entries: u4) void {
        writer.put(&.{0x80 | @as(u8, entries)});
    }

    pub fn text(writer: *Writer, value: []const u8) void {
        std.debug.assert(value.len <= std.math.maxInt(u16));
        writer.put(&.{0xda});
        writer.put(&std.mem.toBytes(std.mem.nativeToBig(u16, @intCast(value.len))));
        writer.put(value);
    }

    /// A number as JavaScript has them: exact up to 2^53.
    pub fn number(writer: *Writer, value: u64) void {
        const bits: u64 = @bitCast(@as(f64, @floatFromInt(value)));
        writer.put(&.{0xcb});
        writer.put(&std.mem.toBytes(std.mem.nativeToBig(u64, bits)));
    }

    pub fn boolean(writer: *Writer, value: bool) void {
        writer.put(&.{if (value) 0xc3 else 0xc2});
    }

    pub fn written(writer: *const Writer) []const u8 {
        return writer.bytes[0..writer.length];
    }

    fn put(writer: *Writer, bytes: []const u8) void {
        @memcpy(writer.bytes[writer.length..][0..bytes.len], bytes);
        writer.length += bytes.len;
    }
};

/// A value, or the beginning of one: the entries of a list or a map come next.
pub const Value = union(enum) {
    nothing,
    boolean: bool,
    number: u64,
    text: []const u8,
    list: u32,
    map: u32,
};

/// Reads values one after the other; null where the bytes end, or are something else: numbers are
/// whole, and none is below zero.
pub const Reader = struct {
    bytes: []const u8,

    pub fn next(reader: *Reader) ?Value {
        const first = (reader.take(1) orelse return null)[0];
        return switch (first) {
            0x00...0x7f => .{ .number = first },
            0x80...0x8f => .{ .map = first & 0x0f },
            0x90...0x9f => .{ .list = first & 0x0f },
            0xa0...0xbf => reader.text(first & 0x1f),
            0xc0 => .nothing,
            0xc2, 0xc3 => .{ .boolean = first == 0xc3 },
            0xcb => reader.double(),
            0xcc => reader.integer(u8),
            0xcd => reader.integer(u16),
            0xce => reader.integer(u32),
            0xcf => reader.integer(u64),
            0xd9 => reader.text(reader.word(u8) orelse return null),
            0xda => reader.text(reader.word(u16) orelse return null),
            0xdb => reader.text(reader.word(u32) orelse return null),
            0xdc => .{ .list = reader.word(u16) orelse return null },
            0xde => .{ .map = reader.word(u16) orelse return null },
            else => null,
        };
    }

    /// The entries of the map that comes next.
    pub fn mapEntries(reader: *Reader) ?u32 {
        return switch (reader.next() orelse return null) {
            .map => |entries| entries,
            else => null,
        };
    }

    pub fn textNext(reader: *Reader) ?[]const u8 {
        return switch (reader.next() orelse return null) {
            .text => |value| value,
            else => null,
        };
    }

    pub fn numberNext(reader: *Reader) ?u64 {
        return switch (reader.next() orelse return null) {
            .number => |value| value,
            else => null,
        };
    }

    fn take(reader: *Reader, count: usize) ?[]const u8 {
        if (count > reader.bytes.len) return null;
        defer reader.bytes = reader.bytes[count..];
        return reader.bytes[0..count];
    }

    fn word(reader: *Reader, comptime Word: type) ?Word {
        const bytes = reader.take(@sizeOf(Word)) orelse return null;
        return std.mem.readInt(Word, bytes[0..@sizeOf(Word)], .big);
    }

    fn text(reader: *Reader, length: usize) ?Value {
        return .{ .text = reader.take(length) orelse return null };
    }

    fn integer(reader: *Reader, comptime Word: type) ?Value {
        return .{ .number = reader.word(Word) orelse return null };
    }

    fn double(reader: *Reader) ?Value {
        const value: f64 = @bitCast(reader.word(u64) orelse return null);
        if (!(value >= 0 and value <= 1 << 53)) return null;
        return .{ .number = @intFromFloat(value) };
    }
};

test "msgpack: what was written is read" {
    var bytes: [64]u8 = undefined;
    var writer: Writer = .{ .bytes = &bytes };
    writer.map(3);
    writer.text("length");
    writer.number(1 << 40);
    writer.text("packed");
    writer.boolean(true);
    writer.text("");
    writer.number(0);
    var reader: Reader = .{ .bytes = writer.written() };
    try std.testing.expectEqual(3, reader.mapEntries());
    try std.testing.expectEqualStrings("length", reader.textNext().?);
    try std.testing.expectEqual(1 << 40, reader.numberNext());
    try std.testing.expectEqualStrings("packed", reader.textNext().?);
    try std.testing.expectEqual(Value{ .boolean = true }, reader.next().?);
    try std.testing.expectEqualStrings("", reader.textNext().?);
    try std.testing.expectEqual(0, reader.numberNext());
    try std.testing.expectEqual(null, reader.next());
}

test "msgpack: values of every length are read, and bytes that end early are none" {
    const cases = [_]struct { []const u8, Value }{
        .{ "\x7f", .{ .number = 127 } },
        .{ "\xcc\xff", .{ .number = 255 } },
        .{ "\xcd\x01\x00", .{ .number = 256 } },
        .{ "\xce\x00\x01\x00\x00", .{ .number = 1 << 16 } },
        .{ "\xcf\x00\x00\x01\x00\x00\x00\x00\x00", .{ .number = 1 << 40 } },
        .{ "\xc0", .nothing },
        .{ "\x92", .{ .list = 2 } },
        .{ "\xdc\x00\x10", .{ .list = 16 } },
        .{ "\xde\x00\x10", .{ .map = 16 } },
    };
    for (cases) |case| {
        var reader: Reader = .{ .bytes = case[0] };
        try std.testing.expectEqual(case[1], reader.next().?);
        reader.bytes = case[0][0 .. case[0].len - 1];
        try std.testing.expectEqual(null, reader.next());
    }
    for ([_][]const u8{ "\xa3abc", "\xd9\x03abc", "\xda\x00\x03abc", "\xdb\x00\x00\x00\x03abc" }) |bytes| {
        var reader: Reader = .{ .bytes = bytes };
        try std.testing.expectEqualStrings("abc", reader.textNext().?);
        reader.bytes = bytes[0 .. bytes.len - 1];
        try std.testing.expectEqual(null, reader.textNext());
    }
    var negative: Reader = .{ .bytes = "\xcb\xbf\xf0\x00\x00\x00\x00\x00\x00" };
    try std.testing.expectEqual(null, negative.numberNext());
}
