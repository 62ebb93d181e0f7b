//! Regions that are seen in more than one place.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const Status = @import("status.zig").Status;
const harness_file = @import("harness.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const Access = harness_file.Access;
const succeed = harness_file.succeed;
const expectEqual = std.testing.expectEqual;

fn addWindow(harness: Harness, address: u64, region_byte: u64, length: u64) ![*]u8 {
    var out: u64 = 0;
    try succeed(c.tdsm_window_add(harness.info.handle, address, region_byte, length, &out));
    if (address != 0) try expectEqual(address, out);
    return @ptrFromInt(out);
}

test "windows: a page that is valid elsewhere faults minor in a new window" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    try harness.install(5, 1, abi.install_writable);
    harness.byte(5).* = 8;
    const second = try addWindow(harness, 0, 4 * 4096, 4 * 4096);
    const access = try Access.read(&second[4096]);
    try harness.expectFault(5, abi.fault_minor, 1);
    try harness.install(5, 1, abi.install_writable);
    try expectEqual(8, access.join());
    second[4096] = 9;
    try expectEqual(9, harness.byte(5).*);
    try harness.expectNoFault();
}

test "windows: protect, evict and unprotect act in all of them" {
    const harness = try Harness.open(8192, 8);
    defer harness.close();
    const handle = harness.info.handle;
    // Half of page 2, all of page 3: windows need not keep to logical pages.
    const second = try addWindow(harness, 0, 2 * 8192 + 4096, 8192 + 4096);
    try harness.install(2, 2, abi.install_writable);
    second[0] = 1;
    harness.byte(2).* = 1;
    try harness.expectNoFault();

    try succeed(c.tdsm_protect(handle, 2, 2));
    const writes = [_]struct { target: *u8, window: u32 }{
        .{ .target = harness.byte(2), .window = 0 },
        .{ .target = &second[0], .window = 1 },
    };
    for (writes) |write| {
        const access = try Access.write(write.target, 2);
        try harness.expectFault(2, abi.fault_write | abi.fault_write_protect, write.window);
        try succeed(c.tdsm_unprotect(handle, 2, 1));
        _ = access.join();
        try succeed(c.tdsm_protect(handle, 2, 1));
    }
    try succeed(c.tdsm_evict(handle, 2, 2));
    for (writes) |write| {
        const access = try Access.read(write.target);
        try harness.expectFault(2, abi.fault_minor, write.window);
        try harness.install(2, 1, 0);
        try expectEqual(2, access.join());
        try succeed(c.tdsm_evict(handle, 2, 1));
    }
}

test "windows: a chosen address is replaced, and blank again after removal" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    const length = 4 * 4096;
    const mapped = linux.mmap(null, length, .{ .READ = true, .WRITE = true }, .{ .TYPE = .PRIVATE, .ANONYMOUS = true }, -1, 0);
    const memory: [*]u8 = @ptrFromInt(mapped);
    defer _ = linux.munmap(memory, length);
    @memset(memory[0..length], 0xaa);

    harness.aliasByte(8).* = 6;
    const second = try addWindow(harness, mapped, 8 * 4096, length);
    const access = try Access.read(&second[0]);
    try harness.expectFault(8, abi.fault_minor, 1);
    try harness.install(8, 1, 0);
    try expectEqual(6, access.join());

    try succeed(c.tdsm_window_remove(harness.info.handle, mapped));
    for (memory[0..length]) |byte| try expectEqual(0, byte);
    memory[0] = 1;
    try expectEqual(6, harness.aliasByte(8).*);
    try harness.expectNoFault();
}

test "windows: the table is bounded; overlaps, odd sizes and the main window are refused" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    const handle = harness.info.handle;
    const bad = -@backingInt(Status.bad_argument);
    var out: u64 = 0;
    try expectEqual(bad, c.tdsm_window_add(handle, 0, 0, 0, &out));
    try expectEqual(bad, c.tdsm_window_add(handle, 0, 0, 100, &out));
    try expectEqual(bad, c.tdsm_window_add(handle, 0, 100, 4096, &out));
    try expectEqual(bad, c.tdsm_window_add(handle, 0, 15 * 4096, 2 * 4096, &out));
    try expectEqual(bad, c.tdsm_window_add(handle, 0, std.math.maxInt(u64) - 4095, 4096, &out));
    try expectEqual(bad, c.tdsm_window_add(handle, harness.info.window_address + 4096, 0, 4096, &out));
    try expectEqual(bad, c.tdsm_window_add(handle, harness.info.alias_address, 0, 4096, &out));
    try expectEqual(bad, c.tdsm_window_add(handle, std.math.maxInt(u64) - 4095, 0, 4096, &out));
    try expectEqual(bad, c.tdsm_window_add(handle, 0, 0, 4096, null));
    try expectEqual(bad, c.tdsm_window_remove(handle, harness.info.window_address));
    try expectEqual(bad, c.tdsm_window_remove(handle, 4096));
    for (1..abi.windows_max) |_| _ = try addWindow(harness, 0, 0, 4096);
    try expectEqual(-@backingInt(Status.limit_exceeded), c.tdsm_window_add(handle, 0, 0, 4096, &out));
}
