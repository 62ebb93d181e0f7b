//! What is left of a region behind its end: blank memory after a close, nothing behind a fence.
//! That an access behind a fence ends the process is seen from outside, by
//! ffi/native_process_test.ts.

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

test "close: every window is blank memory from then on, also for a thread that waits there" {
    const harness = try Harness.open(4096, 16);
    try harness.install(0, 2, abi.install_writable);
    harness.byte(0).* = 7;
    var address: u64 = 0;
    try succeed(c.tdsm_window_add(harness.info.handle, 0, 4096, 4096, &address));
    const second: [*]u8 = @ptrFromInt(address);
    const late = try Access.read(harness.byte(5));
    try harness.expectFault(5, 0, 0);
    harness.close();
    try expectEqual(0, late.join());
    for ([_]*u8{ harness.byte(0), harness.byte(15), &second[0] }) |byte| {
        try expectEqual(0, byte.*);
        byte.* = 9;
    }
    // Private: the windows have nothing to do with each other any more.
    try expectEqual(0, harness.byte(1).*);
}

test "fence: no window shows a page, and none is given to one any more" {
    const harness = try Harness.open(4096, 16);
    const handle = harness.info.handle;
    var address: u64 = 0;
    try succeed(c.tdsm_window_add(handle, 0, 0, 4 * 4096, &address));
    try harness.install(0, 2, abi.install_writable);
    try harness.install(2, 1, 0);
    for ([_]u64{ harness.info.window_address, address }) |window| try expectEqual(3, try mappedPages(window, 4));

    const message = "never said";
    try succeed(c.tdsm_fence(handle, message, message.len, 1, 0));
    for ([_]u64{ harness.info.window_address, address }) |window| try expectEqual(0, try mappedPages(window, 4));
    const fenced = -@as(i32, @backingInt(Status.fenced));
    try expectEqual(fenced, c.tdsm_install(handle, 0, 1, abi.install_writable));
    try expectEqual(fenced, c.tdsm_unprotect(handle, 0, 1));
    try succeed(c.tdsm_evict(handle, 0, 16));
    try succeed(c.tdsm_fence(handle, null, 0, 2, 0));

    harness.close();
    try expectEqual(0, try mappedPages(harness.info.window_address, 4));
    const bad_handle = -@as(i32, @backingInt(Status.bad_handle));
    try expectEqual(bad_handle, c.tdsm_kick(handle));
    // The slot of a fenced region is not used again.
    const next = try Harness.open(4096, 1);
    defer next.close();
    try std.testing.expect(next.info.handle & 0xff != handle & 0xff);
}

test "lease: when it is over the region is fenced, and the engine woken; to extend it is too late" {
    const harness = try Harness.open(4096, 16);
    const handle = harness.info.handle;
    try harness.install(0, 4, abi.install_writable);
    const message = "never said";
    try succeed(c.tdsm_lease_begin(handle, c.tdsm_boottime_ms() + 5, message, message.len, 1, 0, -1));
    try expectEqual(abi.wait_kicked, c.tdsm_wait(handle, harness_file.patience_us));
    try expectEqual(0, try mappedPages(harness.info.window_address, 4));
    const fenced = -@as(i32, @backingInt(Status.fenced));
    try expectEqual(fenced, c.tdsm_lease_extend(handle, std.math.inf(f64)));
    try expectEqual(fenced, c.tdsm_install(handle, 0, 1, abi.install_writable));
    harness.close();
    try expectEqual(0, try mappedPages(harness.info.window_address, 4));
}

test "lease: a fence that is raised before is no other, and one that is put off leaves the region open" {
    const hour_ms = 3_600_000;
    const fenced = try Harness.open(4096, 1);
    const now_ms = c.tdsm_boottime_ms();
    try succeed(c.tdsm_lease_begin(fenced.info.handle, now_ms + hour_ms, null, 0, 1, 0, -1));
    try fenced.install(0, 1, abi.install_writable);
    try succeed(c.tdsm_fence(fenced.info.handle, null, 0, 1, 0));
    try expectEqual(0, try mappedPages(fenced.info.window_address, 1));
    fenced.close();

    const open = try Harness.open(4096, 1);
    const bad_argument = -@as(i32, @backingInt(Status.bad_argument));
    try expectEqual(bad_argument, c.tdsm_lease_extend(open.info.handle, now_ms));
    try succeed(c.tdsm_lease_begin(open.info.handle, now_ms + hour_ms, null, 0, 1, 0, -1));
    try expectEqual(bad_argument, c.tdsm_lease_begin(open.info.handle, now_ms + hour_ms, null, 0, 1, 0, -1));
    try succeed(c.tdsm_lease_extend(open.info.handle, now_ms - hour_ms));
    try succeed(c.tdsm_lease_extend(open.info.handle, std.math.inf(f64)));
    try open.install(0, 1, abi.install_writable);
    open.byte(0).* = 1;
    // Its thread ends with it, and blank memory takes its place.
    open.close();
    try expectEqual(0, open.byte(0).*);
}

test "fence: a window that the program has cut into parts shows no page either" {
    const harness = try Harness.open(4096, 16);
    try harness.install(0, 4, abi.install_writable);
    const part: [*]u8 = @ptrCast(harness.byte(1));
    try expectEqual(.SUCCESS, linux.errno(linux.mprotect(part, 4096, .{ .READ = true })));
    try expectEqual(4, try mappedPages(harness.info.window_address, 4));
    try succeed(c.tdsm_fence(harness.info.handle, null, 0, 1, 0));
    try expectEqual(0, try mappedPages(harness.info.window_address, 4));
    harness.close();
}

test "fence: a message that is too long is refused, and the region stays open" {
    const harness = try Harness.open(4096, 1);
    defer harness.close();
    const message: [abi.fence_message_max + 1]u8 = @splat('x');
    const bad_argument = -@as(i32, @backingInt(Status.bad_argument));
    try expectEqual(bad_argument, c.tdsm_fence(harness.info.handle, &message, message.len, 1, 0));
    try harness.install(0, 1, abi.install_writable);
    harness.byte(0).* = 1;
}

/// How many of the kernel's pages from `address` on have an entry in the page table.
fn mappedPages(address: u64, count: usize) !usize {
    const opened = linux.open("/proc/self/pagemap", .{ .ACCMODE = .RDONLY }, 0);
    try expectEqual(.SUCCESS, linux.errno(opened));
    defer _ = linux.close(@intCast(opened));
    var entries: [16]u64 = undefined;
    const bytes = std.mem.sliceAsBytes(entries[0..count]);
    const at: i64 = @intCast(address / 4096 * @sizeOf(u64));
    try expectEqual(bytes.len, linux.pread(@intCast(opened), bytes.ptr, bytes.len, at));
    var mapped: usize = 0;
    for (entries[0..count]) |entry| mapped += @intCast(entry >> 63);
    return mapped;
}
