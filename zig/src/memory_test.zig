//! The memory of a region: how much there is of it, and what happens where the kernel gives no
//! more.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const Status = @import("status.zig").Status;
const harness_file = @import("harness.zig");
const c = harness_file.c;
const Harness = harness_file.Harness;
const succeed = harness_file.succeed;
const expectEqual = std.testing.expectEqual;

test "memory: the count is what pages were given, until they are released" {
    const harness = try Harness.open(4096, 1 << 20);
    defer harness.close();
    const handle = harness.info.handle;
    try expectEqual(0, c.tdsm_memory_bytes(handle));
    try harness.install(0, 10, abi.install_zero | abi.install_writable);
    try expectEqual(10 * 4096, c.tdsm_memory_bytes(handle));
    try succeed(c.tdsm_populate(handle, 1 << 19, 100));
    try expectEqual(110 * 4096, c.tdsm_memory_bytes(handle));
    try succeed(c.tdsm_release(handle, 5, 1 << 19));
    try expectEqual((110 - 5 - 5) * 4096, c.tdsm_memory_bytes(handle));
    try expectEqual(-@backingInt(Status.bad_handle), c.tdsm_memory_bytes(0));
}

test "memory: populate fills the gaps of a range, and changes no byte and no entry" {
    const harness = try Harness.open(8192, 600);
    defer harness.close();
    const handle = harness.info.handle;
    for ([_]u32{ 0, 7, 300, 599 }) |page| harness.aliasByte(page).* = 9;
    try harness.install(7, 1, 0);
    try succeed(c.tdsm_populate(handle, 0, 600));
    try succeed(c.tdsm_populate(handle, 0, 600));
    try expectEqual(600 * 8192, c.tdsm_memory_bytes(handle));
    for ([_]u32{ 0, 7, 300, 599 }) |page| try expectEqual(9, harness.aliasByte(page).*);
    try expectEqual(9, harness.byte(7).*);
    const access = try harness_file.Access.write(harness.byte(7), 1);
    try harness.expectFault(7, abi.fault_write | abi.fault_write_protect, 0);
    try harness.install(7, 1, abi.install_writable);
    _ = access.join();
}

test "memory: page tables are given back with the last page that they show" {
    if (!try tablesAreReclaimed()) return error.SkipZigTest;
    const page_count = 64 << 8;
    const harness = try Harness.open(4096, page_count);
    defer harness.close();
    const handle = harness.info.handle;
    const before = try tableKib();
    try harness.install(0, page_count, abi.install_writable);
    @memset(harness.alias[0 .. page_count * 4096], 1);
    try succeed(c.tdsm_protect(handle, 0, page_count));
    const kib_each = 64 << 10 >> 9;
    // The window and the alias have theirs; some may have been there for other memory nearby.
    try std.testing.expect(try tableKib() > before + kib_each);
    var first: u32 = 0;
    while (first < page_count) : (first += 100) {
        try succeed(c.tdsm_release(handle, first, @min(100, page_count - first)));
    }
    // The kernel leaves one where it is interrupted, which another time gives back.
    try std.testing.expect(try tableKib() <= before + kib_each / 2);
    // What is given back can be used again.
    const access = try harness_file.Access.write(harness.byte(77), 3);
    try harness.expectFault(77, abi.fault_write, 0);
    try harness.install(77, 1, abi.install_writable);
    _ = access.join();
    try expectEqual(3, harness.aliasByte(77).*);
}

/// Whether this kernel frees page tables of memory that is advised away.
fn tablesAreReclaimed() !bool {
    const length = 32 << 20;
    const fd = linux.memfd_create("tdsm-test", 0);
    defer _ = linux.close(@intCast(fd));
    _ = linux.ftruncate(@intCast(fd), length);
    const protection: linux.PROT = .{ .READ = true, .WRITE = true };
    const address = linux.mmap(null, length, protection, .{ .TYPE = .SHARED }, @intCast(fd), 0);
    defer _ = linux.munmap(@ptrFromInt(address), length);
    const memory: [*]u8 = @ptrFromInt(address);
    const before = try tableKib();
    var at: usize = 0;
    while (at < length) : (at += 4096) memory[at] = 1;
    const touched = try tableKib();
    _ = linux.madvise(memory, length, linux.MADV.DONTNEED);
    return touched > before and try tableKib() < touched;
}

/// The memory of the process's page tables, in KiB.
fn tableKib() !u64 {
    const fd: i32 = @intCast(linux.open("/proc/self/status", .{}, 0));
    defer _ = linux.close(fd);
    var text: [4096]u8 = undefined;
    const length = linux.read(fd, &text, text.len);
    const name = "VmPTE:";
    const start = std.mem.find(u8, text[0..length], name) orelse return error.NotThere;
    const rest = std.mem.trimStart(u8, text[start + name.len .. length], " \t");
    return std.fmt.parseInt(u64, rest[0 .. std.mem.findScalar(u8, rest, ' ') orelse 0], 10);
}

test "memory: where the kernel gives none, calls say so, and nothing ends by a signal" {
    const harness = try Harness.open(4096, 64);
    defer harness.close();
    try harness.install(0, 1, 0);
    var starved: Starved = .{ .handle = harness.info.handle };
    const thread = try std.Thread.spawn(.{}, Starved.run, .{&starved});
    thread.join();
    try expectEqual(true, starved.ready);
    const exhausted = -@backingInt(Status.memory_exhausted);
    try expectEqual([_]i32{ exhausted, @backingInt(linux.E.NOSPC) }, starved.zero);
    try expectEqual([_]i32{ exhausted, @backingInt(linux.E.NOSPC) }, starved.hole);
    try expectEqual([_]i32{ exhausted, @backingInt(linux.E.NOMEM) }, starved.populated);
    // What has memory needs none.
    try expectEqual(0, starved.there[0]);
    // The pages can be installed once there is memory again.
    try harness.install(1, 9, abi.install_zero);
    try expectEqual(0, harness.byte(9).*);
}

/// A thread whose system calls find no memory, as under a strict limit of the machine's.
const Starved = struct {
    handle: u32,
    ready: bool = false,
    /// What each call answers, with the errno.
    zero: [2]i32 = @splat(0),
    hole: [2]i32 = @splat(0),
    populated: [2]i32 = @splat(0),
    there: [2]i32 = @splat(0),

    fn run(starved: *Starved) void {
        starved.ready = refuseMemory();
        if (!starved.ready) return;
        const handle = starved.handle;
        starved.zero = said(c.tdsm_install(handle, 1, 1, abi.install_zero));
        starved.hole = said(c.tdsm_install(handle, 2, 1, 0));
        starved.populated = said(c.tdsm_populate(handle, 0, 3));
        starved.there = said(c.tdsm_populate(handle, 0, 1));
    }

    fn said(result: i32) [2]i32 {
        return .{ result, c.tdsm_last_errno() };
    }
};

const Instruction = extern struct { code: u16, jump_true: u8 = 0, jump_false: u8 = 0, k: u32 };
const Program = extern struct { length: u16, instructions: [*]const Instruction };

/// From here on fallocate(2) of this thread fails by ENOSPC, and MADV_POPULATE_WRITE by ENOMEM.
fn refuseMemory() bool {
    const load = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const equal = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const answer = 0x06; // BPF_RET | BPF_K
    const refuse = linux.SECCOMP.RET.ERRNO;
    const number_offset = 0;
    const third_argument_offset = 32;
    const populate_write = 23;
    const instructions = [_]Instruction{
        .{ .code = load, .k = number_offset },
        .{ .code = equal, .jump_true = 3, .k = @backingInt(linux.SYS.fallocate) },
        .{ .code = equal, .jump_false = 4, .k = @backingInt(linux.SYS.madvise) },
        .{ .code = load, .k = third_argument_offset },
        .{ .code = equal, .jump_true = 1, .jump_false = 2, .k = populate_write },
        .{ .code = answer, .k = refuse | @as(u32, @backingInt(linux.E.NOSPC)) },
        .{ .code = answer, .k = refuse | @as(u32, @backingInt(linux.E.NOMEM)) },
        .{ .code = answer, .k = linux.SECCOMP.RET.ALLOW },
    };
    const program: Program = .{ .length = instructions.len, .instructions = &instructions };
    if (linux.prctl(@backingInt(linux.PR.SET_NO_NEW_PRIVS), 1, 0, 0, 0) != 0) return false;
    return linux.seccomp(linux.SECCOMP.SET_MODE_FILTER, 0, &program) == 0;
}

test "memory: the addresses of a region count as taken once it is closed, and not before" {
    const before = c.tdsm_closed_bytes();
    const harness = try Harness.open(4096, 1 << 10);
    try expectEqual(before, c.tdsm_closed_bytes());
    harness.close();
    try expectEqual(before + (4096 << 10), c.tdsm_closed_bytes());
}
