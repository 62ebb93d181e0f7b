//! The page operations, one thread faulting at a time.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const Status = @import("status.zig").Status;
const harness_file = @import("harness.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const Access = harness_file.Access;
const Pipe = harness_file.Pipe;
const succeed = harness_file.succeed;
const expectEqual = std.testing.expectEqual;

test "pages: a read miss is reported, served with bytes, and not reported again" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    const access = try Access.read(harness.byte(3));
    try harness.expectFault(3, 0, 0);
    harness.aliasByte(3).* = 42;
    try harness.install(3, 1, 0);
    try expectEqual(42, access.join());
    try expectEqual(42, harness.byte(3).*);
    try harness.expectNoFault();
}

test "pages: a write miss says that it is one, and one fault is enough" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    const access = try Access.write(harness.byte(5), 7);
    try harness.expectFault(5, abi.fault_write, 0);
    try harness.install(5, 1, abi.install_writable);
    _ = access.join();
    try expectEqual(7, harness.aliasByte(5).*);
    try harness.expectNoFault();
}

test "pages: bytes that the file has make a minor fault" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    harness.aliasByte(2).* = 9;
    const access = try Access.read(harness.byte(2));
    try harness.expectFault(2, abi.fault_minor, 0);
    try harness.install(2, 1, 0);
    try expectEqual(9, access.join());
}

test "pages: a write to a shared page is an upgrade" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    try harness.install(1, 1, 0);
    const first = try Access.write(harness.byte(1), 3);
    try harness.expectFault(1, abi.fault_write | abi.fault_write_protect, 0);
    try succeed(c.tdsm_unprotect(harness.info.handle, 1, 1));
    _ = first.join();
    try expectEqual(3, harness.aliasByte(1).*);

    // The same by install, which finds the entry there.
    try succeed(c.tdsm_protect(harness.info.handle, 1, 1));
    const second = try Access.write(harness.byte(1), 4);
    try harness.expectFault(1, abi.fault_write | abi.fault_write_protect, 0);
    try harness.install(1, 1, abi.install_writable);
    _ = second.join();
    try expectEqual(4, harness.aliasByte(1).*);
}

test "pages: after evict the next access faults again, whatever the page was" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    for ([_]u32{ 0, abi.install_writable }) |flags| {
        harness.aliasByte(4).* = 11;
        try harness.install(4, 1, flags);
        try succeed(c.tdsm_evict(harness.info.handle, 4, 1));
        const access = try Access.write(harness.byte(4), 12);
        try harness.expectFault(4, abi.fault_write | abi.fault_minor, 0);
        try expectEqual(11, harness.aliasByte(4).*);
        try harness.install(4, 1, abi.install_writable);
        _ = access.join();
        try expectEqual(12, harness.aliasByte(4).*);
        try succeed(c.tdsm_evict(harness.info.handle, 4, 1));
    }
}

test "pages: a shared install in answer to a write lets it fault again, not wait for ever" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    try harness.install(1, 1, 0);
    const access = try Access.write(harness.byte(1), 3);
    for (0..3) |_| {
        try harness.expectFault(1, abi.fault_write | abi.fault_write_protect, 0);
        try harness.install(1, 1, 0);
    }
    try harness.expectFault(1, abi.fault_write | abi.fault_write_protect, 0);
    try harness.install(1, 1, abi.install_writable);
    _ = access.join();
    try expectEqual(3, harness.aliasByte(1).*);
}

test "pages: install over a range of which some has entries gives all the asked protection" {
    const harness = try Harness.open(8192, 16);
    defer harness.close();
    try harness.install(3, 2, abi.install_writable);
    try harness.install(7, 1, 0);
    try harness.install(0, 16, 0);
    for (0..16) |page| {
        const access = try Access.write(harness.byte(@intCast(page)), 1);
        try harness.expectFault(@intCast(page), abi.fault_write | abi.fault_write_protect, 0);
        // Idempotent: again, over what is there.
        try harness.install(@intCast(page), 1, abi.install_writable);
        try harness.install(@intCast(page), 1, abi.install_writable);
        _ = access.join();
    }
    try succeed(c.tdsm_protect(harness.info.handle, 0, 16));
    try succeed(c.tdsm_evict(harness.info.handle, 5, 3));
    try harness.install(0, 16, abi.install_writable);
    for (0..16) |page| harness.byte(@intCast(page)).* = 2;
    try harness.expectNoFault();
}

test "pages: a range that nobody wrote is zero; ZERO wipes what was written" {
    const harness = try Harness.open(4096, 64);
    defer harness.close();
    harness.aliasByte(10).* = 1;
    try harness.install(0, 64, 0);
    for (0..64) |page| try expectEqual(@intFromBool(page == 10), harness.byte(@intCast(page)).*);
    @memset(harness.alias[0 .. 64 * 4096], 0xee);
    try harness.install(8, 4, abi.install_zero);
    for (harness.window[0 .. 64 * 4096], 0..) |byte, at| {
        const wiped = at / 4096 >= 8 and at / 4096 < 12;
        try expectEqual(@as(u8, if (wiped) 0 else 0xee), byte);
    }
}

test "pages: every page size faults, installs, protects, evicts and releases as a whole" {
    var page_size: u32 = abi.page_size_min;
    while (page_size <= abi.page_size_max) : (page_size *= 2) {
        const harness = try Harness.open(page_size, 4);
        defer harness.close();
        const handle = harness.info.handle;
        const last = &harness.window[2 * page_size - 1];
        const read = try Access.read(last);
        try harness.expectFault(1, 0, 0);
        harness.alias[2 * page_size - 1] = 77;
        try harness.install(1, 1, 0);
        try expectEqual(77, read.join());
        try expectEqual(0, harness.byte(1).*);

        const upgrade = try Access.write(harness.byte(1), 1);
        try harness.expectFault(1, abi.fault_write | abi.fault_write_protect, 0);
        try succeed(c.tdsm_unprotect(handle, 1, 1));
        _ = upgrade.join();
        try succeed(c.tdsm_release(handle, 1, 1));
        const again = try Access.read(last);
        try harness.expectFault(1, 0, 0);
        try harness.install(1, 1, 0);
        try expectEqual(0, again.join());
        // The neighbours were never given entries.
        for ([_]u32{ 0, 2 }) |page| {
            const neighbour = try Access.read(&harness.window[(page + 1) * page_size - 1]);
            try harness.expectFault(page, 0, 0);
            try harness.install(page, 1, 0);
            _ = neighbour.join();
        }
    }
}

test "pages: release gives the memory back" {
    const harness = try Harness.open(4096, 64);
    defer harness.close();
    try harness.install(0, 64, abi.install_writable);
    var resident: [64]u8 = @splat(0);
    _ = linux.mincore(harness.alias, 64 * 4096, &resident);
    for (resident) |flag| try expectEqual(1, flag & 1);
    try succeed(c.tdsm_release(harness.info.handle, 16, 32));
    _ = linux.mincore(harness.alias, 64 * 4096, &resident);
    for (resident, 0..) |flag, page| try expectEqual(@intFromBool(page < 16 or page >= 48), flag & 1);
}

test "pages: a system call on an absent page waits for it" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    if (harness.info.flags & abi.region_user_mode_only != 0) return error.SkipZigTest;
    const pipe = try Pipe.open();
    defer pipe.close();

    var written: linux.E = .INTR;
    const writer = try std.Thread.spawn(.{}, Pipe.writeOnThread, .{ pipe, harness.byte(0), &written });
    try harness.expectFault(0, 0, 0);
    harness.aliasByte(0).* = 33;
    try harness.install(0, 1, 0);
    writer.join();
    try expectEqual(.SUCCESS, written);

    var read: linux.E = .INTR;
    const reader = try std.Thread.spawn(.{}, Pipe.readOnThread, .{ pipe, harness.byte(1), &read });
    try harness.expectFault(1, abi.fault_write, 0);
    try harness.install(1, 1, abi.install_writable);
    reader.join();
    try expectEqual(.SUCCESS, read);
    try expectEqual(33, harness.aliasByte(1).*);
}

test "pages: ranges outside the region and unknown flags are bad arguments" {
    const harness = try Harness.open(4096, 16);
    defer harness.close();
    const handle = harness.info.handle;
    const bad = -@backingInt(Status.bad_argument);
    const ranges = [_][2]u32{ .{ 0, 0 }, .{ 16, 1 }, .{ 0, 17 }, .{ 15, 2 }, .{ std.math.maxInt(u32), 1 }, .{ 1, std.math.maxInt(u32) } };
    for (ranges) |range| {
        try expectEqual(bad, c.tdsm_install(handle, range[0], range[1], 0));
        try expectEqual(bad, c.tdsm_evict(handle, range[0], range[1]));
        try expectEqual(bad, c.tdsm_release(handle, range[0], range[1]));
    }
    try expectEqual(bad, c.tdsm_install(handle, 0, 1, 4));
    try expectEqual(bad, c.tdsm_faults_read(handle, null, 1));
}
