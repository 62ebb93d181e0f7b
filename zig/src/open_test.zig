//! Opening: what is refused, why, and that nothing is left behind.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const Status = @import("status.zig").Status;
const harness_file = @import("harness.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const succeed = harness_file.succeed;
const expectEqual = std.testing.expectEqual;

const good: abi.OpenOptions = .{ .size = 1 << 20, .required_features = 0, .page_size = 4096, .flags = 0 };

fn expectRefused(options: abi.OpenOptions, reason: Status, step: abi.Step) !void {
    var info: abi.RegionInfo = .{};
    try expectEqual(-@backingInt(reason), c.tdsm_open(&options, &info));
    try expectEqual(step, info.failed_step);
    try expectEqual(0, info.handle);
}

/// The next descriptor that the process would be given.
fn lowestDescriptor() usize {
    const fd = linux.eventfd(0, 0);
    _ = linux.close(@intCast(fd));
    return fd;
}

test "open: sizes, page sizes and flags out of range are bad arguments" {
    const sizes = [_]u64{ 0, 1, 4095, 4097, (1 << 40) + 4096, std.math.maxInt(u64) };
    for (sizes) |size| {
        var options = good;
        options.size = size;
        try expectRefused(options, .bad_argument, .options);
    }
    const page_sizes = [_]u32{ 0, 1, 2048, 4095, 12288, 4 << 20, std.math.maxInt(u32) };
    for (page_sizes) |page_size| {
        var options = good;
        options.page_size = page_size;
        try expectRefused(options, .bad_argument, .options);
    }
    var options = good;
    options.flags = 0x8000_0000;
    try expectRefused(options, .bad_argument, .options);
    var info: abi.RegionInfo = .{};
    try expectEqual(-1, c.tdsm_open(null, &info));
    try expectEqual(-1, c.tdsm_open(&good, null));
}

test "open: a feature that the kernel lacks is named" {
    var options = good;
    options.required_features = 1 << 60;
    var info: abi.RegionInfo = .{};
    const before = lowestDescriptor();
    try expectEqual(-@backingInt(Status.kernel_unsupported), c.tdsm_open(&options, &info));
    try expectEqual(abi.Step.features, info.failed_step);
    try expectEqual(1 << 60, info.missing_features);
    try std.testing.expect(info.features != 0);
    try expectEqual(before, lowestDescriptor());
}

test "open: without descriptors every step fails as such, and leaves none behind" {
    const before = lowestDescriptor();
    var limit: linux.rlimit = undefined;
    try expectEqual(.SUCCESS, linux.errno(linux.getrlimit(.NOFILE, &limit)));
    defer _ = linux.setrlimit(.NOFILE, &limit);
    var refused: u32 = 0;
    for (0..8) |spare| {
        const lowered: linux.rlimit = .{ .cur = before + spare, .max = limit.max };
        try expectEqual(.SUCCESS, linux.errno(linux.setrlimit(.NOFILE, &lowered)));
        var info: abi.RegionInfo = .{};
        const result = c.tdsm_open(&good, &info);
        if (result == 0) {
            try succeed(c.tdsm_close(info.handle));
        } else {
            refused += 1;
            try expectEqual(-@backingInt(Status.too_many_files), result);
            try expectEqual(@as(i32, @backingInt(linux.E.MFILE)), info.errno);
        }
        try expectEqual(.SUCCESS, linux.errno(linux.setrlimit(.NOFILE, &limit)));
        try expectEqual(before, lowestDescriptor());
    }
    // The memory file, the userfaultfd and the event at least.
    try std.testing.expect(refused >= 3);
}

test "open: without address space it is out of memory" {
    var limit: linux.rlimit = undefined;
    try expectEqual(.SUCCESS, linux.errno(linux.getrlimit(.AS, &limit)));
    defer _ = linux.setrlimit(.AS, &limit);
    const lowered: linux.rlimit = .{ .cur = 1 << 39, .max = limit.max };
    try expectEqual(.SUCCESS, linux.errno(linux.setrlimit(.AS, &lowered)));
    var options = good;
    options.size = 1 << 40;
    try expectRefused(options, .out_of_memory, .map_window);
    // Room for one mapping, not for two.
    options.size = 3 << 37;
    try expectRefused(options, .out_of_memory, .map_alias);
}

test "open: a region larger than a file may be is refused, and no signal ends the process" {
    var limit: linux.rlimit = undefined;
    try expectEqual(.SUCCESS, linux.errno(linux.getrlimit(.FSIZE, &limit)));
    defer _ = linux.setrlimit(.FSIZE, &limit);
    const lowered: linux.rlimit = .{ .cur = good.size - 1, .max = limit.max };
    try expectEqual(.SUCCESS, linux.errno(linux.setrlimit(.FSIZE, &lowered)));
    try expectRefused(good, .file_limited, .memory_file);
    // A region that is open already is not limited any more, though it grows page by page.
    try expectEqual(.SUCCESS, linux.errno(linux.setrlimit(.FSIZE, &limit)));
    const harness = try Harness.open(4096, 256);
    defer harness.close();
    try expectEqual(.SUCCESS, linux.errno(linux.setrlimit(.FSIZE, &.{ .cur = 4096, .max = limit.max })));
    try harness.install(0, 256, abi.install_writable);
    @memset(harness.window[0 .. 256 * 4096], 1);
}

test "open: the table of regions is bounded, and a closed slot serves again" {
    var infos: [abi.regions_max]abi.RegionInfo = undefined;
    for (&infos) |*info| try succeed(c.tdsm_open(&good, info));
    try expectRefused(good, .limit_exceeded, .region_table);
    const old = infos[7].handle;
    try succeed(c.tdsm_close(old));
    try succeed(c.tdsm_open(&good, &infos[7]));
    try std.testing.expect(infos[7].handle != old);
    try expectEqual(-@backingInt(Status.bad_handle), c.tdsm_kick(old));
    for (infos) |info| try succeed(c.tdsm_close(info.handle));
}

test "open: 1 TiB is open, sparse, and usable at both ends" {
    const harness = try Harness.open(4096, 1 << 28);
    defer harness.close();
    try harness.install(0, 1, abi.install_writable);
    try harness.install((1 << 28) - 1, 1, abi.install_writable);
    harness.byte((1 << 28) - 1).* = 5;
    try expectEqual(5, harness.aliasByte((1 << 28) - 1).*);
    try expectEqual(0, harness.byte(0).*);
}

test "open: every call refuses a handle that is none" {
    const bad = -@backingInt(Status.bad_handle);
    var info: abi.RegionInfo = .{};
    var fault: [1]abi.Fault = undefined;
    var address: u64 = 0;
    for ([_]u32{ 0, 63, 64, 255, 0xffff_ff00, std.math.maxInt(u32) }) |handle| {
        try expectEqual(bad, c.tdsm_close(handle));
        try expectEqual(bad, c.tdsm_describe(handle, &info));
        try expectEqual(bad, c.tdsm_install(handle, 0, 1, 0));
        try expectEqual(bad, c.tdsm_protect(handle, 0, 1));
        try expectEqual(bad, c.tdsm_unprotect(handle, 0, 1));
        try expectEqual(bad, c.tdsm_evict(handle, 0, 1));
        try expectEqual(bad, c.tdsm_release(handle, 0, 1));
        try expectEqual(bad, c.tdsm_faults_read(handle, &fault, 1));
        try expectEqual(bad, c.tdsm_wait(handle, 0));
        try expectEqual(bad, c.tdsm_kick(handle));
        try expectEqual(bad, c.tdsm_window_add(handle, 0, 0, 4096, &address));
        try expectEqual(bad, c.tdsm_window_remove(handle, 4096));
    }
}

test "open: describe says what open said" {
    const harness = try Harness.open(16384, 8);
    defer harness.close();
    var info: abi.RegionInfo = .{};
    try succeed(c.tdsm_describe(harness.info.handle, &info));
    try expectEqual(harness.info, info);
}

test "open: the window is where the caller's memory was, and that stays blank memory" {
    const size = good.size;
    const prot: linux.PROT = .{ .READ = true, .WRITE = true };
    const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true };
    const place = linux.mmap(null, size, prot, flags, -1, 0);
    try expectEqual(.SUCCESS, linux.errno(place));
    defer _ = linux.munmap(@ptrFromInt(place), size);
    var options = good;
    options.window_address = place;
    var info: abi.RegionInfo = .{};
    try succeed(c.tdsm_open(&options, &info));
    try expectEqual(place, info.window_address);
    try succeed(c.tdsm_install(info.handle, 3, 1, abi.install_writable));
    const window: [*]u8 = @ptrFromInt(place);
    window[3 * 4096] = 7;
    try expectEqual(7, @as([*]u8, @ptrFromInt(info.alias_address))[3 * 4096]);
    try succeed(c.tdsm_close(info.handle));
    try expectEqual(0, window[3 * 4096]);

    // After a failure nothing else may be mapped there either.
    options.required_features = 1 << 60;
    try expectRefused(options, .kernel_unsupported, .features);
    window[size - 1] = 1;
}

test "open: a place that is not memory of the caller from end to end is a bad argument" {
    const size = good.size;
    const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true };
    const place = linux.mmap(null, size, .{}, flags, -1, 0);
    try expectEqual(.SUCCESS, linux.errno(place));
    defer _ = linux.munmap(@ptrFromInt(place), size);
    _ = linux.munmap(@ptrFromInt(place + size - 4096), 4096);
    for ([_]u64{ place, place + 1, 4096, std.math.maxInt(u64) - 4095 }) |address| {
        var options = good;
        options.window_address = address;
        try expectRefused(options, .bad_argument, .options);
    }
}
