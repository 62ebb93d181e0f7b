//! The page operations. Each covers a range of logical pages in every window that shows any of
//! them, may be repeated at will, and leaves all of the range in the asked state or fails.
//! The caller holds the region's lock.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const status = @import("status.zig");
const userfaultfd = @import("userfaultfd.zig");
const window = @import("window.zig");
const Region = @import("region.zig").Region;
pub const ByteRange = window.ByteRange;
const View = window.View;
const Error = status.Error;

/// How often in a row the kernel may say that the address space is changing. It does so only
/// while another thread is inside mremap, munmap or fork.
const busy_retries_max = 1 << 16;

/// `count` pages from `first`, in bytes.
pub fn byteRange(region: *const Region, first: u32, count: u32) Error!ByteRange {
    const start = @as(u64, first) * region.page_size;
    const length = @as(u64, count) * region.page_size;
    if (count == 0 or start + length > region.size) return status.reject(error.BadArgument);
    return .{ .start = start, .length = length };
}

/// Gives the pages entries, writable or write-protected, and wakes the threads that wait for them.
/// Pages that have entries already get the asked protection. Bytes never written are zero.
pub fn install(region: *Region, range: ByteRange, flags: u32) Error!void {
    if (flags & ~(abi.install_writable | abi.install_zero) != 0) return status.reject(error.BadArgument);
    if (region.fence.raised) return status.reject(error.Fenced);
    if (flags & abi.install_zero != 0) {
        // The kernel clears what it allocates as it maps it: one pass over the memory, not two.
        const cleared = isHole(region, range);
        try allocate(region, range);
        if (!cleared) {
            const alias: [*]u8 = @ptrFromInt(region.alias + range.start);
            @memset(alias[0..range.length], 0);
        }
    }
    region.waiters.serve(@intCast(range.start / region.page_size), @intCast(range.length / region.page_size));
    const write_protected = flags & abi.install_writable == 0;
    var views = region.windows.views(range);
    while (views.next()) |view| try installView(region, range, view, write_protected);
}

fn installView(region: *Region, range: ByteRange, view: View, write_protected: bool) Error!void {
    var progress: Progress = .{ .view = view };
    var allocated = false;
    while (progress.rest()) |rest| {
        switch (try userfaultfd.mapContinue(region.uffd, rest.address, rest.length, write_protected)) {
            .bytes => |bytes| progress.advance(bytes),
            .exists => progress.skipExisting(),
            .busy => try progress.retry(),
            .not_covered => try progress.narrow(),
            .hole => {
                // No thread ever wrote here. Once allocated the file has every page of the range.
                if (allocated) return status.refuse(error.SystemCallFailed, .FAULT);
                try allocate(region, range);
                allocated = true;
            },
        }
    }
    if (!progress.found_existing) return;
    // Those that were there may have had the other protection, and their waiters still wait.
    try setProtection(region, view, if (write_protected) .on else .off);
    try userfaultfd.wake(region.uffd, view.address, view.length);
}

/// Makes the pages read-only: later writes fault. When it returns, no earlier write is under way.
pub fn protect(region: *Region, range: ByteRange) Error!void {
    var views = region.windows.views(range);
    while (views.next()) |view| {
        try requireMapped(view);
        try setProtection(region, view, .on);
    }
}

/// Write protection skips what is not mapped, and the kernel refuses it only where nothing of the
/// range is. But memory that was moved elsewhere (mremap) can still be written there. A range of
/// one page needs no look of its own: where the page is gone, the write protection is refused.
fn requireMapped(view: View) Error!void {
    if (view.length <= std.heap.pageSize()) return;
    // Of asynchronous writing back nothing is left but a look at the mappings.
    switch (linux.errno(linux.msync(@ptrFromInt(view.address), view.length, linux.MSF.ASYNC))) {
        .SUCCESS => {},
        .NOMEM => |errno| return status.refuse(error.WindowGone, errno),
        else => |errno| return status.fromErrno(errno),
    }
}

/// Lets every thread that stands in a fault try its access again. Where that fails once more it is
/// a new fault, to be read: so every thread that still waits becomes known, whatever was read
/// before.
pub fn wake(region: *Region) Error!void {
    for (region.windows.slots[0..region.windows.used]) |slot| {
        if (slot.length != 0) try userfaultfd.wake(region.uffd, slot.address, slot.length);
    }
}

/// Makes pages that have entries writable, and wakes the threads that wait for them.
pub fn unprotect(region: *Region, range: ByteRange) Error!void {
    if (region.fence.raised) return status.reject(error.Fenced);
    region.waiters.serve(@intCast(range.start / region.page_size), @intCast(range.length / region.page_size));
    var views = region.windows.views(range);
    while (views.next()) |view| try setProtection(region, view, .off);
}

/// Takes the entries away: when it returns no access through any window is under way, every later
/// one faults, and the alias has the last bytes written. (MADV_DONTNEED_LOCKED alone does this,
/// also where the program has locked its memory: it takes the entries and flushes every core's TLB
/// before it returns, so there is no need to write-protect first.)
pub fn evict(region: *Region, range: ByteRange) Error!void {
    var views = region.windows.views(range);
    while (views.next()) |view| try evictView(view);
}

/// The same for a part of a window.
pub fn evictView(view: View) Error!void {
    switch (linux.errno(linux.madvise(@ptrFromInt(view.address), view.length, dont_need_locked))) {
        .SUCCESS => {},
        // Part of the range is not mapped, or is a mapping of the program's that has no pages to
        // take.
        .NOMEM, .INVAL => |errno| return status.refuse(error.WindowGone, errno),
        else => |errno| return status.fromErrno(errno),
    }
}

/// MADV_DONTNEED_LOCKED of madvise(2), since Linux 5.18.
const dont_need_locked = 24;

/// Gives the pages memory where they have none, mapped in the alias: then bytes can be written
/// there, which without memory would end the process by SIGBUS.
pub fn populate(region: *Region, range: ByteRange) Error!void {
    const unit = std.heap.pageSize();
    var resident: [populate_pages]u8 = undefined;
    var done: u64 = 0;
    while (done < range.length) {
        const part = @min(range.length - done, populate_pages * unit);
        const alias: [*]u8 = @ptrFromInt(region.alias + range.start + done);
        const pages = resident[0 .. part / unit];
        _ = try status.check(linux.mincore(alias, part, pages.ptr));
        done += part;
        // To populate what is there already costs more than to look.
        const first = std.mem.findScalar(u8, pages, 0) orelse continue;
        const last = std.mem.findScalarLast(u8, pages, 0).?;
        const missing = alias + first * unit;
        switch (linux.errno(linux.madvise(missing, (last + 1 - first) * unit, madv_populate_write))) {
            .SUCCESS => {},
            // FAULT: a write would have been SIGBUS.
            .NOMEM, .FAULT => |errno| return status.refuse(error.MemoryExhausted, errno),
            else => |errno| return status.fromErrno(errno),
        }
    }
}

/// MADV_POPULATE_WRITE of madvise(2).
const madv_populate_write = 23;
/// The kernel's pages that `populate` looks at in one go: as many as the longest run has.
const populate_pages = 512;

/// Evicts the pages and gives their memory back; they read as zero when installed again.
pub fn release(region: *Region, range: ByteRange) Error!void {
    try evict(region, range);
    try punch(region, range);
    var views = region.windows.views(range);
    while (views.next()) |view| {
        const shown = region.windows.slots[views.next_slot - 1];
        const seen: View = .{ .address = shown.address, .length = shown.length };
        giveTablesBack(region, view, seen, shown.region_byte, .window);
    }
    const alias: View = .{ .address = region.alias, .length = region.size };
    const view: View = .{ .address = region.alias + range.start, .length = range.length };
    giveTablesBack(region, view, alias, 0, .alias);
}

/// What one page table shows. Page tables of pages that are gone stay until their memory is advised
/// away as a whole (Linux 6.14; older ones keep them until it is unmapped): a walk through a large
/// region would leave more of them than there are pages in memory.
const table_bytes = 512 * 4096;

/// Gives back the page tables of a mapping around `view` for which there is no page in memory any
/// more.
fn giveTablesBack(
    region: *Region,
    view: View,
    mapping: View,
    region_byte: u64,
    comptime kind: enum { window, alias },
) void {
    var start = std.mem.alignBackward(u64, view.address, table_bytes);
    while (start < view.address + view.length) : (start += table_bytes) {
        if (start < mapping.address or start + table_bytes > mapping.address + mapping.length) continue;
        const range: ByteRange = .{ .start = region_byte + (start - mapping.address), .length = table_bytes };
        if (!isHole(region, range)) continue;
        const block: View = .{ .address = start, .length = table_bytes };
        // The marks of pages that were write-protected would keep the table. Where the program has
        // mapped something else in the block, the table is not to be given back.
        if (kind == .window) setProtection(region, block, .off) catch continue;
        evictView(block) catch continue;
    }
}

/// Gives the memory of the pages back.
pub fn punch(region: *const Region, range: ByteRange) Error!void {
    const mode = linux.FALLOC.FL_PUNCH_HOLE | linux.FALLOC.FL_KEEP_SIZE;
    _ = try status.check(linux.fallocate(region.memory_file, mode, @intCast(range.start), @intCast(range.length)));
}

/// Tries on the first page, and undoes, the one feature without a feature bit: UFFDIO_CONTINUE that
/// maps write-protected.
pub fn probe(region: *Region) Error!void {
    const range: ByteRange = .{ .start = 0, .length = region.page_size };
    try install(region, range, 0);
    try release(region, range);
    try unprotect(region, range);
}

/// SEEK_DATA of lseek(2).
const seek_data = 3;

/// Whether the memory file has no memory for any of the range.
fn isHole(region: *const Region, range: ByteRange) bool {
    const result = linux.lseek(region.memory_file, @intCast(range.start), seek_data);
    return switch (linux.errno(result)) {
        .SUCCESS => result >= range.start + range.length,
        // Nothing but a hole from there on.
        .NXIO => true,
        else => false,
    };
}

fn allocate(region: *Region, range: ByteRange) Error!void {
    var start = range.start;
    const end = range.start + range.length;
    var part = range.length;
    while (start < end) {
        const length = @min(part, end - start);
        switch (linux.errno(linux.fallocate(region.memory_file, 0, @intCast(start), @intCast(length)))) {
            .SUCCESS => start += length,
            // A signal came, and the kernel, an older one, has taken back what it had allocated.
            // Signals may come faster than a long range is done, but not than a single page.
            .INTR => part = half(length),
            .NOMEM, .NOSPC => |errno| return status.refuse(error.MemoryExhausted, errno),
            else => |errno| return status.fromErrno(errno),
        }
    }
}

/// About half of a length, in whole pages of the kernel and at least one.
fn half(length: u64) u64 {
    return std.mem.alignForward(u64, length / 2, std.heap.pageSize());
}

fn setProtection(region: *Region, view: View, protection: userfaultfd.Protection) Error!void {
    var progress: Progress = .{ .view = view };
    while (progress.rest()) |rest| {
        switch (try userfaultfd.writeProtect(region.uffd, rest.address, rest.length, protection)) {
            .done => progress.advance(rest.length),
            .busy => try progress.retry(),
            .not_covered => try progress.narrow(),
        }
    }
}

/// The progress of an operation that the kernel may do in parts.
///
/// The kernel refuses a range that crosses a border of mappings. A window is one mapping until the
/// program calls madvise, mprotect or mlock on a part of it; where the borders are then, only
/// trying tells.
const Progress = struct {
    view: View,
    done: u64 = 0,
    /// The most bytes to try at once, while a border is near.
    part: u64 = std.math.maxInt(u64),
    found_existing: bool = false,
    busy_in_a_row: u32 = 0,

    fn rest(progress: *const Progress) ?View {
        if (progress.done >= progress.view.length) return null;
        return .{
            .address = progress.view.address + progress.done,
            .length = @min(progress.part, progress.view.length - progress.done),
        };
    }

    fn advance(progress: *Progress, bytes: u64) void {
        std.debug.assert(bytes > 0);
        progress.done += bytes;
        progress.busy_in_a_row = 0;
        progress.part = std.math.maxInt(u64);
    }

    /// No one mapping covers what was tried: half of it next, until a page has none at all.
    fn narrow(progress: *Progress) Error!void {
        const tried = progress.rest().?.length;
        if (tried <= std.heap.pageSize()) return status.refuse(error.WindowGone, .NOENT);
        progress.part = half(tried);
    }

    /// The kernel stops at an entry that is there; how many follow it, only trying tells.
    fn skipExisting(progress: *Progress) void {
        progress.found_existing = true;
        progress.advance(std.heap.pageSize());
    }

    fn retry(progress: *Progress) Error!void {
        progress.busy_in_a_row += 1;
        if (progress.busy_in_a_row > busy_retries_max) return status.refuse(error.SystemCallFailed, .AGAIN);
        _ = linux.sched_yield();
    }
};
