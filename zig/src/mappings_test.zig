//! What the program may do to the mapping of a region, by native code, and what it may not.

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

const page_size = 4096;

/// Where a page begins in the main window.
fn at(harness: Harness, page: u32) [*]align(page_size) u8 {
    return @ptrCast(@alignCast(harness.byte(page)));
}

fn expectSuccess(result: usize) !void {
    try expectEqual(.SUCCESS, linux.errno(result));
}

/// Everything that coherence asks of pages 8 to 23, and that a write to each faults when it must.
fn expectCoherent(harness: Harness) !void {
    const handle = harness.info.handle;
    try succeed(c.tdsm_evict(handle, 8, 16));
    for (8..24) |page| harness.aliasByte(@intCast(page)).* = @intCast(page);
    try harness.install(8, 16, 0);
    for (8..24) |page| try expectEqual(page, harness.byte(@intCast(page)).*);
    try harness.expectNoFault();
    for ([_]u32{ 8, 15, 16, 23 }) |page| {
        const upgrade = try Access.write(harness.byte(page), 1);
        try harness.expectFault(page, abi.fault_write | abi.fault_write_protect, 0);
        try succeed(c.tdsm_unprotect(handle, page, 1));
        _ = upgrade.join();
        try expectEqual(1, harness.aliasByte(page).*);
    }
    // Some have entries, and the other protection.
    try harness.install(8, 16, abi.install_writable);
    for (8..24) |page| harness.byte(@intCast(page)).* = 2;
    try harness.expectNoFault();
    try succeed(c.tdsm_protect(handle, 8, 16));
    try succeed(c.tdsm_evict(handle, 8, 16));
    for ([_]u32{ 8, 15, 16, 23 }) |page| {
        const miss = try Access.read(harness.byte(page));
        try harness.expectFault(page, abi.fault_minor, 0);
        try harness.install(page, 1, 0);
        try expectEqual(2, miss.join());
    }
    try succeed(c.tdsm_release(handle, 8, 16));
}

test "mappings: advice on a part splits the mapping, and every operation goes on across the borders" {
    const advices = [_]u32{
        linux.MADV.NORMAL,   linux.MADV.RANDOM, linux.MADV.SEQUENTIAL, linux.MADV.WILLNEED,
        linux.MADV.DONTNEED, linux.MADV.DOFORK, linux.MADV.DONTFORK,   linux.MADV.HUGEPAGE,
        linux.MADV.DODUMP,   linux.MADV.COLD,   linux.MADV.PAGEOUT,
    };
    for (advices) |advice| {
        // On one page, on several, and on the end of the range.
        for ([_][2]u32{ .{ 16, 1 }, .{ 10, 5 }, .{ 20, 8 } }) |part| {
            const harness = try Harness.open(page_size, 32);
            defer harness.close();
            try harness.install(8, 16, abi.install_writable);
            const result = linux.madvise(at(harness, part[0]), part[1] * page_size, advice);
            // A kernel without huge pages knows no advice about them.
            if (advice != linux.MADV.HUGEPAGE) try expectSuccess(result);
            try expectCoherent(harness);
        }
    }
}

test "mappings: a page larger than the kernel's is one page though a border is inside of it" {
    const harness = try Harness.open(16 * page_size, 4);
    defer harness.close();
    const inside: [*]u8 = at(harness, 1);
    try expectSuccess(linux.madvise(inside + 5 * page_size, 3 * page_size, linux.MADV.RANDOM));
    const access = try Access.write(&inside[15 * page_size], 9);
    try harness.expectFault(1, abi.fault_write, 0);
    try harness.install(1, 1, abi.install_writable);
    _ = access.join();
    for (0..16) |part| inside[part * page_size] = 1;
    try harness.expectNoFault();
    try succeed(c.tdsm_evict(harness.info.handle, 1, 1));
    const again = try Access.read(&inside[6 * page_size]);
    try harness.expectFault(1, abi.fault_minor, 0);
    try harness.install(1, 1, 0);
    try expectEqual(1, again.join());
}

test "mappings: mprotect of a part is the program's affair, before and after it is taken back" {
    const harness = try Harness.open(page_size, 32);
    defer harness.close();
    const part = at(harness, 12);
    for ([_]linux.PROT{ .{ .READ = true }, .{} }) |protection| {
        try harness.install(8, 16, abi.install_writable);
        try expectSuccess(linux.mprotect(part, 4 * page_size, protection));
        try harness.install(8, 16, 0);
        try succeed(c.tdsm_evict(harness.info.handle, 8, 16));
        try harness.install(8, 16, 0);
        try expectSuccess(linux.mprotect(part, 4 * page_size, .{ .READ = true, .WRITE = true }));
        const upgrade = try Access.write(harness.byte(12), 1);
        try harness.expectFault(12, abi.fault_write | abi.fault_write_protect, 0);
        try harness.install(12, 1, abi.install_writable);
        _ = upgrade.join();
        try expectCoherent(harness);
    }
}

test "mappings: memory that is locked comes and goes as any other" {
    const harness = try Harness.open(page_size, 32);
    defer harness.close();
    // In the midst of the range, with entries there, so that the kernel has nothing to fetch.
    try harness.install(8, 16, abi.install_writable);
    try expectSuccess(linux.mlock(at(harness, 12), 4 * page_size));
    try expectCoherent(harness);
    try harness.install(8, 16, abi.install_writable);
    try expectSuccess(linux.munlock(at(harness, 8), 16 * page_size));
    try expectCoherent(harness);
}

const Locker = struct {
    memory: [*]const u8,
    length: usize,
    handle: u32,
    result: linux.E = .INTR,
    done: std.atomic.Value(bool) = .init(false),

    fn run(locker: *Locker) void {
        locker.result = linux.errno(linux.mlock(locker.memory, locker.length));
        locker.done.store(true, .release);
        _ = c.tdsm_kick(locker.handle);
    }
};

test "mappings: locking pages that are not here fetches them" {
    const harness = try Harness.open(page_size, 8);
    defer harness.close();
    if (harness.info.flags & abi.region_user_mode_only != 0) return error.SkipZigTest;
    var locker: Locker = .{ .memory = harness.window, .length = 8 * page_size, .handle = harness.info.handle };
    const thread = try std.Thread.spawn(.{}, Locker.run, .{&locker});
    var fetched: u32 = 0;
    while (!locker.done.load(.acquire)) {
        try std.testing.expect(c.tdsm_wait(harness.info.handle, harness_file.patience_us) > 0);
        var faults: [8]abi.Fault = undefined;
        const count = c.tdsm_faults_read(harness.info.handle, &faults, faults.len);
        for (faults[0..@intCast(count)]) |fault| try harness.install(fault.page, 1, 0);
        fetched += @intCast(count);
    }
    thread.join();
    try expectEqual(.SUCCESS, locker.result);
    try expectEqual(8, fetched);
}

test "mappings: in a program that locks all that it maps, no page of a window is there unasked" {
    try expectSuccess(linux.mlockall(.{ .FUTURE = true }));
    defer _ = linux.munlockall();
    const harness = try Harness.open(page_size, 1024);
    defer harness.close();
    var resident: [1024]u8 = @splat(0);
    _ = linux.mincore(harness.alias, 1024 * page_size, &resident);
    for (resident) |flag| try expectEqual(0, flag & 1);
    var second: u64 = 0;
    harness.aliasByte(3).* = 7;
    try succeed(c.tdsm_window_add(harness.info.handle, 0, 0, 8 * page_size, &second));
    const memory: [*]u8 = @ptrFromInt(second);
    for ([_]*u8{ harness.byte(3), &memory[3 * page_size] }, 0..) |byte, window| {
        const access = try Access.read(byte);
        try harness.expectFault(3, abi.fault_minor, @intCast(window));
        try harness.install(3, 1, 0);
        try expectEqual(7, access.join());
        try succeed(c.tdsm_evict(harness.info.handle, 3, 1));
    }
}

const gone = -@backingInt(Status.window_gone);

/// Page 16 is no longer where it was: what asks for it fails, and what does not goes on.
fn expectGone(harness: Harness) !void {
    const handle = harness.info.handle;
    try expectEqual(gone, c.tdsm_install(handle, 8, 16, 0));
    try expectEqual(gone, c.tdsm_install(handle, 16, 1, abi.install_writable));
    try expectEqual(gone, c.tdsm_protect(handle, 8, 16));
    try expectEqual(gone, c.tdsm_protect(handle, 16, 1));
    try succeed(c.tdsm_evict(handle, 8, 8));
    try succeed(c.tdsm_evict(handle, 17, 7));
    try harness.install(17, 7, abi.install_writable);
    try succeed(c.tdsm_protect(handle, 8, 8));
}

test "mappings: a page that the program unmaps, moves or covers is found out" {
    {
        const harness = try Harness.open(page_size, 32);
        defer harness.close();
        try harness.install(8, 16, abi.install_writable);
        try expectSuccess(linux.munmap(at(harness, 16), page_size));
        try expectGone(harness);
        try expectEqual(gone, c.tdsm_evict(harness.info.handle, 8, 16));
    }
    {
        const harness = try Harness.open(page_size, 32);
        defer harness.close();
        try harness.install(8, 16, abi.install_writable);
        const moved = linux.mremap(at(harness, 16), page_size, 2 * page_size, .{ .MAYMOVE = true }, null);
        try expectSuccess(moved);
        defer _ = linux.munmap(@ptrFromInt(moved), 2 * page_size);
        try expectGone(harness);
        try expectEqual(gone, c.tdsm_evict(harness.info.handle, 16, 1));
    }
    {
        const harness = try Harness.open(page_size, 32);
        defer harness.close();
        try harness.install(8, 16, abi.install_writable);
        try expectSuccess(linux.mmap(at(harness, 16), page_size, .{ .READ = true, .WRITE = true }, .{
            .TYPE = .PRIVATE,
            .ANONYMOUS = true,
            .FIXED = true,
        }, -1, 0));
        try expectGone(harness);
    }
}

// Older kernels end an allocation in tmpfs at any signal, newer ones only where the process ends.
test "mappings: an allocation that a signal interrupts is made all the same" {
    const harness = try Harness.open(2 << 20, 16);
    defer harness.close();
    const counted: linux.Sigaction = .{ .handler = .{ .handler = onAlarm }, .mask = linux.sigemptyset(), .flags = 0 };
    var before: linux.Sigaction = undefined;
    _ = linux.sigaction(.ALRM, &counted, &before);
    defer _ = linux.sigaction(.ALRM, &before, null);
    alarms.store(0, .monotonic);
    var stop: std.atomic.Value(bool) = .init(false);
    const thread = try std.Thread.spawn(.{}, raiseAlarms, .{ linux.gettid(), &stop });
    defer thread.join();
    defer stop.store(true, .release);
    for (0..16) |page| try harness.install(@intCast(page), 1, abi.install_writable);
    for (0..16) |page| harness.byte(@intCast(page)).* = 1;
    try std.testing.expect(alarms.load(.monotonic) > 0);
}

var alarms: std.atomic.Value(u32) = .init(0);

fn onAlarm(_: linux.SIG) callconv(.c) void {
    _ = alarms.fetchAdd(1, .monotonic);
}

fn raiseAlarms(thread: linux.pid_t, stop: *std.atomic.Value(bool)) void {
    while (!stop.load(.acquire)) _ = linux.tgkill(linux.getpid(), thread, .ALRM);
}

test "mappings: a thread that stands in a fault is reported anew once it is woken" {
    const harness = try Harness.open(page_size, 16);
    defer harness.close();
    const access = try Access.read(harness.byte(3));
    try harness.expectFault(3, 0, 0);
    try harness.expectNoFault();
    for (0..2) |_| {
        try succeed(c.tdsm_wake(harness.info.handle));
        try harness.expectFault(3, 0, 0);
    }
    try harness.install(3, 1, 0);
    _ = access.join();
    try succeed(c.tdsm_wake(harness.info.handle));
    try harness.expectNoFault();
}
