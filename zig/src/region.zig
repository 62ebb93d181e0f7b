//! A region: one sparse memory file, mapped where the program touches it (windows, watched by
//! userfaultfd) and once more where only the engine does (the alias).

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const engine_watch = @import("engine_watch.zig");
const status = @import("status.zig");
const userfaultfd = @import("userfaultfd.zig");
const window = @import("window.zig");
const pages = @import("pages.zig");
const waiters = @import("waiters.zig");
const fences = @import("fence.zig");
const Error = status.Error;

/// The addresses of the regions that were closed: nothing else is ever mapped there.
pub var closed_bytes: std.atomic.Value(u64) = .init(0);

pub const Region = struct {
    memory_file: i32 = -1,
    uffd: i32 = -1,
    /// Readable after a kick.
    event: i32 = -1,
    alias: u64 = 0,
    size: u64 = 0,
    page_size: u32 = 0,
    flags: u32 = 0,
    /// Whether the memory at the window's address is the caller's.
    keeps_place: bool = false,
    features: u64 = 0,
    windows: window.Table = .{},
    waiters: waiters.Table = .{},
    fence: fences.Fence = .{},
    /// How often the engine's thread has come to its sleep, `links.wait`; only that thread counts.
    turns: std.atomic.Value(u32) = .init(0),
    watch: ?engine_watch.Watch = null,
    /// Held while `windows` or `waiters` is read or changed: any thread may add a window while the
    /// engine works.
    lock: std.c.pthread_mutex_t = .{},

    /// Opens into `region`, which must be blank. After an error it is blank again and `info` says
    /// which step failed.
    pub fn open(region: *Region, options: abi.OpenOptions, info: *abi.RegionInfo) Error!void {
        region.* = .{};
        info.failed_step = .options;
        try checkOptions(options);
        region.size = options.size;
        region.page_size = options.page_size;
        errdefer region.abandon();

        try region.openMemory(options.window_address, info);
        try region.openUserfaultfd(options, info);
        info.failed_step = .event;
        region.event = @intCast(try status.check(linux.eventfd(0, linux.EFD.CLOEXEC | linux.EFD.NONBLOCK)));
        info.failed_step = .none;
        region.describe(info);
    }

    fn checkOptions(options: abi.OpenOptions) Error!void {
        const known_flags = abi.open_require_kernel_faults;
        if (options.flags & ~known_flags != 0) return status.reject(error.BadArgument);
        if (!std.math.isPowerOfTwo(options.page_size)) return status.reject(error.BadArgument);
        if (options.page_size < abi.page_size_min) return status.reject(error.BadArgument);
        if (options.page_size > abi.page_size_max) return status.reject(error.BadArgument);
        // A kernel of larger pages cannot map smaller ones.
        if (options.page_size < std.heap.pageSize()) return status.reject(error.KernelUnsupported);
        if (options.size == 0 or options.size > abi.region_size_max) return status.reject(error.BadArgument);
        if (options.size % options.page_size != 0) return status.reject(error.BadArgument);
        if (options.window_address != 0) try checkPlace(options.window_address, options.size);
    }

    /// Refuses a place for the window that does not begin and end in memory of this process. That
    /// all between is memory, too, is the caller's word: the kernel would tell it page by page.
    fn checkPlace(address: u64, size: u64) Error!void {
        const unit = std.heap.pageSize();
        if (address % unit != 0 or address > std.math.maxInt(u64) - size) return status.reject(error.BadArgument);
        var resident: u8 = undefined;
        for ([_]u64{ address, address + size - unit }) |ends| {
            const result = linux.syscall3(.mincore, ends, unit, @intFromPtr(&resident));
            if (linux.errno(result) != .SUCCESS) return status.reject(error.BadArgument);
        }
    }

    fn openMemory(region: *Region, window_address: u64, info: *abi.RegionInfo) Error!void {
        info.failed_step = .memory_file;
        region.memory_file = @intCast(try status.check(linux.memfd_create("tdsm-region", linux.MFD.CLOEXEC)));
        try checkFileLimit(region.size);
        _ = try status.check(linux.ftruncate(region.memory_file, @intCast(region.size)));

        info.failed_step = .map_window;
        const place: ?[*]u8 = if (window_address == 0) null else @ptrFromInt(window_address);
        region.keeps_place = place != null;
        const address = try region.map(place, 0, region.size);
        _ = region.windows.add(.{
            .address = address,
            .region_byte = 0,
            .length = region.size,
        }) catch unreachable; // The table is empty.

        info.failed_step = .map_alias;
        region.alias = try region.map(null, 0, region.size);
        try openMapping(region.alias, region.size);
        info.failed_step = .advise;
        try adviseMapping(address, region.size);
        try adviseMapping(region.alias, region.size);
    }

    fn openUserfaultfd(region: *Region, options: abi.OpenOptions, info: *abi.RegionInfo) Error!void {
        const require_kernel_faults = options.flags & abi.open_require_kernel_faults != 0;
        info.failed_step = .userfaultfd;
        const probe = try userfaultfd.create(require_kernel_faults);
        defer _ = linux.close(probe.fd);
        info.failed_step = .handshake;
        const supported = try userfaultfd.supportedFeatures(probe.fd);

        info.failed_step = .features;
        const needed = userfaultfd.features_needed | options.required_features;
        info.features = supported;
        info.missing_features = needed & ~supported;
        if (info.missing_features != 0) return status.reject(error.KernelUnsupported);

        info.failed_step = .userfaultfd;
        const descriptor = try userfaultfd.create(require_kernel_faults);
        region.uffd = descriptor.fd;
        if (descriptor.user_mode_only) region.flags |= abi.region_user_mode_only;
        if (descriptor.from_device) region.flags |= abi.region_from_device;
        region.features = needed | (userfaultfd.features_wanted & supported);
        info.failed_step = .handshake;
        try userfaultfd.enable(region.uffd, region.features);

        if (waiters.kernelCounts()) region.flags |= abi.region_counts_runs;

        info.failed_step = .register;
        const main = region.windows.slots[0];
        try userfaultfd.register(region.uffd, main.address, main.length);
        try openMapping(main.address, main.length);
        info.failed_step = .probe_continue;
        try pages.probe(region);
    }

    /// Gives back what was opened, before anything of it was handed out.
    fn abandon(region: *Region) void {
        const main = region.windows.slots[0];
        if (main.length != 0 and region.keeps_place) region.blank(0);
        if (main.length != 0 and !region.keeps_place) _ = linux.munmap(@ptrFromInt(main.address), main.length);
        region.windows = .{};
        region.close();
    }

    /// Gives the memory back and closes every descriptor. No thread may be inside a call on the
    /// region. Blank memory takes the place of each window; those of a fenced region stay closed.
    pub fn close(region: *Region) void {
        engine_watch.end(region);
        // Both stay for as long as the process.
        if (region.windows.slots[0].length != 0) _ = closed_bytes.fetchAdd(region.size, .monotonic);
        if (region.alias != 0) _ = linux.munmap(@ptrFromInt(region.alias), region.size);
        region.waiters.deinit();
        if (!fences.endLease(region)) {
            // Its windows keep the memory file, so only this gives the memory back.
            _ = pages.punch(region, .{ .start = 0, .length = region.size }) catch {};
            inline for (.{ "memory_file", "event" }) |name| _ = linux.close(@field(region, name));
            return;
        }
        for (0..region.windows.used) |index| {
            const slot: u32 = @intCast(index);
            if (region.windows.slots[slot].length != 0) region.blank(slot);
        }
        inline for (.{ "uffd", "memory_file", "event" }) |name| {
            if (@field(region, name) >= 0) _ = linux.close(@field(region, name));
        }
        region.* = .{};
    }

    /// Fills what a caller needs to know; leaves the handle, which is the registry's.
    pub fn describe(region: *const Region, info: *abi.RegionInfo) void {
        info.window_address = region.windows.slots[0].address;
        info.alias_address = region.alias;
        info.size = region.size;
        info.features = region.features;
        info.page_size = region.page_size;
        info.flags = region.flags;
    }

    /// The bytes of memory that the memory file takes.
    pub fn memoryBytes(region: *const Region) Error!u64 {
        var stat: linux.Statx = undefined;
        const mask: linux.STATX = .{ .BLOCKS = true };
        _ = try status.check(linux.statx(region.memory_file, "", linux.AT.EMPTY_PATH, mask, &stat));
        return stat.blocks * bytes_per_block;
    }

    /// statx(2) counts in these, whatever the file system.
    const bytes_per_block = 512;

    /// Shows `length` bytes from `region_byte` at `address`, or anywhere if that is 0.
    pub fn addWindow(region: *Region, address: u64, region_byte: u64, length: u64) Error!u64 {
        const unit = std.heap.pageSize();
        if (length == 0 or length % unit != 0) return status.reject(error.BadArgument);
        if (address % unit != 0 or region_byte % unit != 0) return status.reject(error.BadArgument);
        if (region_byte > region.size or length > region.size - region_byte) return status.reject(error.BadArgument);
        region.acquire();
        defer region.release();
        if (region.windows.isFull()) return status.reject(error.LimitExceeded);
        if (address != 0) {
            if (address > std.math.maxInt(u64) - length) return status.reject(error.BadArgument);
            if (region.windows.overlaps(address, length)) return status.reject(error.BadArgument);
            const clear = address + length <= region.alias or region.alias + region.size <= address;
            if (!clear) return status.reject(error.BadArgument);
        }
        const mapped = try region.map(if (address == 0) null else @ptrFromInt(address), region_byte, length);
        const slot = region.windows.add(.{
            .address = mapped,
            .region_byte = region_byte,
            .length = length,
        }) catch unreachable; // Checked above, under the same lock.
        errdefer region.blank(slot);
        try adviseMapping(mapped, length);
        try userfaultfd.register(region.uffd, mapped, length);
        try openMapping(mapped, length);
        return mapped;
    }

    pub fn removeWindow(region: *Region, address: u64) Error!void {
        region.acquire();
        defer region.release();
        const slot = region.windows.findStart(address) orelse return status.reject(error.BadArgument);
        // The main window lives as long as the region.
        if (slot == 0) return status.reject(error.BadArgument);
        // To blank it would open the fence there.
        if (region.fence.raised) return;
        region.blank(slot);
    }

    /// Maps a part of the memory file that nothing can touch before `openMapping`: where the
    /// program locks all of its memory (mlockall with MCL_FUTURE), the kernel would fill a mapping
    /// that can be touched, and accesses to the pages in it would never fault.
    fn map(region: *const Region, address: ?[*]u8, region_byte: u64, length: u64) Error!u64 {
        const result = linux.mmap(
            address,
            length,
            .{},
            .{ .TYPE = .SHARED, .NORESERVE = true, .FIXED = address != null },
            region.memory_file,
            @intCast(region_byte),
        );
        return switch (linux.errno(result)) {
            .SUCCESS => result,
            // RLIMIT_MEMLOCK, where the program locks all of its memory.
            .AGAIN => |errno| status.refuse(error.OutOfMemory, errno),
            else => |errno| status.fromErrno(errno),
        };
    }

    /// Removes a window, and puts blank private memory in its place: threads may still have
    /// pointers into it, and an unrelated mapping could fill a hole. Those that wait there go on,
    /// with zeros.
    fn blank(region: *Region, slot: u32) void {
        const old = region.windows.slots[slot];
        const memory: [*]u8 = @ptrFromInt(old.address);
        const mapped = linux.mmap(memory, old.length, .{ .READ = true, .WRITE = true }, .{
            .TYPE = .PRIVATE,
            .ANONYMOUS = true,
            .NORESERVE = true,
            .FIXED = true,
        }, -1, 0);
        switch (linux.errno(mapped)) {
            .SUCCESS => userfaultfd.wake(region.uffd, old.address, old.length) catch {},
            // The kernel can map no more: the region's memory stays there, no longer watched.
            else => userfaultfd.unregister(region.uffd, old.address, old.length) catch {},
        }
        region.windows.remove(slot);
    }

    pub fn acquire(region: *Region) void {
        _ = std.c.pthread_mutex_lock(&region.lock);
    }

    pub fn release(region: *Region) void {
        _ = std.c.pthread_mutex_unlock(&region.lock);
    }
};

/// Lets a mapping be touched, and keeps the kernel from filling it by itself.
fn openMapping(address: u64, length: u64) Error!void {
    const memory: [*]u8 = @ptrFromInt(address);
    _ = try status.check(linux.munlock(memory, length));
    _ = try status.check(linux.mprotect(memory, length, .{ .READ = true, .WRITE = true }));
}

/// Refuses a size that a file of this process may not have (RLIMIT_FSIZE): the kernel would end the
/// process by SIGXFSZ.
fn checkFileLimit(size: u64) Error!void {
    var limit: linux.rlimit = undefined;
    _ = try status.check(linux.getrlimit(.FSIZE, &limit));
    if (size > limit.cur) return status.refuse(error.FileLimited, .FBIG);
}

/// Huge pages would give a fault more than its page; a forked child must not touch the region; and
/// a core dump that reads it would wait for an engine that no longer runs.
fn adviseMapping(address: u64, length: u64) Error!void {
    const advices = [_]u32{ linux.MADV.NOHUGEPAGE, linux.MADV.DONTFORK, linux.MADV.DONTDUMP };
    for (advices) |advice| {
        switch (linux.errno(linux.madvise(@ptrFromInt(address), length, advice))) {
            .SUCCESS => {},
            // A kernel without transparent huge pages knows no advice about them.
            .INVAL => |errno| if (advice != linux.MADV.NOHUGEPAGE) return status.fromErrno(errno),
            else => |errno| return status.fromErrno(errno),
        }
    }
}
