//! The places where a program sees the region, and which part of a range of pages each one shows.

const std = @import("std");
const abi = @import("abi.zig");
const status = @import("status.zig");

pub const Window = struct {
    /// First address.
    address: u64,
    /// The byte of the region that is seen there.
    region_byte: u64,
    /// Bytes; 0 marks a free slot.
    length: u64,

    pub const none: Window = .{ .address = 0, .region_byte = 0, .length = 0 };

    fn overlaps(window: Window, address: u64, length: u64) bool {
        return address < window.address + window.length and window.address < address + length;
    }
};

/// Bytes of the region, from the first of the first page to the last of the last one.
pub const ByteRange = struct { start: u64, length: u64 };

/// A part of the address space.
pub const View = struct { address: u64, length: u64 };

/// A region's windows, in slots that keep their number while the window lives.
pub const Table = struct {
    slots: [abi.windows_max]Window = @splat(.none),
    /// One more than the last slot in use: most regions have one window, so most walks are short.
    used: u32 = 0,

    pub fn add(table: *Table, window: Window) status.Error!u32 {
        std.debug.assert(window.length > 0);
        for (&table.slots, 0..) |*slot, index| {
            if (slot.length != 0) continue;
            slot.* = window;
            table.used = @max(table.used, @as(u32, @intCast(index + 1)));
            return @intCast(index);
        }
        return status.reject(error.LimitExceeded);
    }

    pub fn remove(table: *Table, slot: u32) void {
        table.slots[slot] = .none;
        while (table.used > 0 and table.slots[table.used - 1].length == 0) table.used -= 1;
    }

    pub fn isFull(table: *const Table) bool {
        for (table.slots) |slot| if (slot.length == 0) return false;
        return true;
    }

    pub fn overlaps(table: *const Table, address: u64, length: u64) bool {
        for (table.slots[0..table.used]) |slot| {
            if (slot.length != 0 and slot.overlaps(address, length)) return true;
        }
        return false;
    }

    /// The slot whose window starts at `address`.
    pub fn findStart(table: *const Table, address: u64) ?u32 {
        for (table.slots[0..table.used], 0..) |slot, index| {
            if (slot.length != 0 and slot.address == address) return @intCast(index);
        }
        return null;
    }

    /// The slot whose window has `address` in it.
    pub fn findAddress(table: *const Table, address: u64) ?u32 {
        for (table.slots[0..table.used], 0..) |slot, index| {
            if (slot.length != 0 and slot.overlaps(address, 1)) return @intCast(index);
        }
        return null;
    }

    /// Where `range` is seen: one view for each window that shows any of it.
    pub fn views(table: *const Table, range: ByteRange) Views {
        return .{ .slots = table.slots[0..table.used], .range = range };
    }
};

pub const Views = struct {
    slots: []const Window,
    range: ByteRange,
    next_slot: usize = 0,

    pub fn next(views: *Views) ?View {
        while (views.next_slot < views.slots.len) {
            const slot = views.slots[views.next_slot];
            views.next_slot += 1;
            const start = @max(slot.region_byte, views.range.start);
            const end = @min(slot.region_byte + slot.length, views.range.start + views.range.length);
            if (start < end) return .{ .address = slot.address + (start - slot.region_byte), .length = end - start };
        }
        return null;
    }
};

const expectEqual = std.testing.expectEqual;

test "window: views clip a range to each window that intersects it" {
    var table: Table = .{};
    try expectEqual(0, try table.add(.{ .address = 0x10000, .region_byte = 0, .length = 0x8000 }));
    try expectEqual(1, try table.add(.{ .address = 0x90000, .region_byte = 0x3000, .length = 0x1000 }));
    try expectEqual(2, try table.add(.{ .address = 0xa0000, .region_byte = 0x5000, .length = 0x3000 }));

    var views = table.views(.{ .start = 0x2000, .length = 0x4000 });
    try expectEqual(View{ .address = 0x12000, .length = 0x4000 }, views.next().?);
    try expectEqual(View{ .address = 0x90000, .length = 0x1000 }, views.next().?);
    try expectEqual(View{ .address = 0xa0000, .length = 0x1000 }, views.next().?);
    try expectEqual(null, views.next());
}

test "window: a removed slot is skipped, then used again" {
    var table: Table = .{};
    for (0..3) |i| {
        _ = try table.add(.{ .address = 0x10000 * (i + 1), .region_byte = 0, .length = 0x1000 });
    }
    table.remove(1);
    try expectEqual(null, table.findStart(0x20000));
    try expectEqual(2, table.findAddress(0x30fff).?);
    try expectEqual(3, table.used);
    try expectEqual(1, try table.add(.{ .address = 0x50000, .region_byte = 0, .length = 0x1000 }));
    table.remove(2);
    table.remove(1);
    try expectEqual(1, table.used);
}

test "window: a full table refuses" {
    var table: Table = .{};
    for (0..abi.windows_max) |i| {
        try std.testing.expect(!table.isFull());
        _ = try table.add(.{ .address = 0x10000 * (i + 1), .region_byte = 0, .length = 0x1000 });
    }
    try std.testing.expect(table.isFull());
    try std.testing.expectError(error.LimitExceeded, table.add(.{
        .address = 0x1000,
        .region_byte = 0,
        .length = 0x1000,
    }));
    try std.testing.expect(table.overlaps(0x10fff, 2));
    try std.testing.expect(!table.overlaps(0x11000, 0x1000));
}
