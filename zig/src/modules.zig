//! Native modules: shared libraries whose `.rdma` section is shown on pages of a region. A module
//! is kept loaded, and known to the whole process, while a thread uses it: two threads that load it
//! share one section, which can be on one range of one region only.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const module_file = @import("module_file.zig");
const registry = @import("registry.zig");
const status = @import("status.zig");

/// The public part of the loader's record of a library.
const LinkMap = extern struct {
    base: u64,
    path: [*:0]const u8,
    dynamic: ?*anyopaque,
    next: ?*LinkMap,
    previous: ?*LinkMap,
};

const dlinfo_link_map: c_int = 2;
extern "c" fn realpath(path: [*:0]const u8, resolved: [*]u8) ?[*:0]u8;
extern "c" fn dlinfo(library: *anyopaque, request: c_int, out: *?*LinkMap) c_int;

const slot_bits = 8;
comptime {
    std.debug.assert(abi.modules_max <= 1 << slot_bits);
}

const Module = struct {
    /// The loader's record: the same for every thread that loads the library, null in a free slot.
    library: ?*LinkMap = null,
    /// Keeps the library loaded.
    reference: *anyopaque = undefined,
    /// Calls of `open` not yet taken back.
    users: u32 = 0,
    generation: u32 = 1,
    info: abi.ModuleInfo = .{},
    /// The region that the section shows, 0 if none, and how many asked for it.
    region: u32 = 0,
    region_byte: u64 = 0,
    maps: u32 = 0,

    /// Whether the section shows a region that is still open. Closing one leaves blank memory.
    fn isMapped(module: *Module) bool {
        if (module.region == 0) return false;
        if (registry.enter(module.region)) |lease| {
            lease.end();
            return true;
        } else |_| {
            module.region = 0;
            module.maps = 0;
            return false;
        }
    }
};

var modules: [abi.modules_max]Module = @splat(.{});
/// Held while `modules` is read or changed.
var lock: std.c.pthread_mutex_t = .{};

/// Describes the library at `path`, which must be loaded already, and keeps it loaded until
/// `close`.
pub fn open(path: [*:0]const u8, info: *abi.ModuleInfo) status.Error!void {
    info.* = .{};
    const reference = std.c.dlopen(path, .{ .NOW = true, .NOLOAD = true }) orelse return refuse(info, .not_loaded, 0);
    var library: ?*LinkMap = null;
    if (dlinfo(reference, dlinfo_link_map, &library) != 0 or library == null) {
        _ = std.c.dlclose(reference);
        return refuse(info, .not_loaded, 0);
    }
    acquire();
    defer release();
    if (find(library.?)) |module| {
        _ = std.c.dlclose(reference); // One is enough.
        module.users += 1;
        info.* = module.info;
        return;
    }
    errdefer _ = std.c.dlclose(reference);
    const slot = for (&modules, 0..) |*module, index| {
        if (module.library == null) break index;
    } else return status.reject(error.LimitExceeded);
    try describe(library.?, info);
    const module = &modules[slot];
    info.module = module.generation << slot_bits | @as(u32, @intCast(slot));
    module.* = .{
        .library = library,
        .reference = reference,
        .users = 1,
        .generation = module.generation,
        .info = info.*,
    };
}

/// Writes the file that the module is, as an absolute path without symbolic links, to `out`;
/// answers its length in bytes.
pub fn fileName(handle: u32, out: *[abi.path_max]u8) status.Error!u32 {
    acquire();
    defer release();
    const module = try enter(handle);
    const resolved = realpath(module.library.?.path, out) orelse {
        return status.fromErrno(@fromBackingInt(@as(u16, @intCast(std.c._errno().*))));
    };
    return @intCast(std.mem.len(resolved));
}

/// Takes one `open` back. After the last one the section shows no region and the library may be
/// unloaded: no native code that uses the section may run then.
pub fn close(handle: u32) status.Error!void {
    acquire();
    defer release();
    const module = try enter(handle);
    module.users -= 1;
    if (module.users > 0) return;
    hide(module);
    // Without this reference the loader may unmap the section, and a window must be gone by then.
    _ = std.c.dlclose(module.reference);
    module.* = .{ .generation = module.generation % ((1 << (32 - slot_bits)) - 1) + 1 };
}

/// Shows the region from `region_byte` in the module's section.
pub fn map(handle: u32, region: u32, region_byte: u64) status.Error!void {
    acquire();
    defer release();
    const module = try enter(handle);
    if (module.isMapped()) {
        if (module.region != region or module.region_byte != region_byte) return status.reject(error.ModuleInUse);
        module.maps += 1;
        return;
    }
    const lease = try registry.enter(region);
    defer lease.end();
    _ = try lease.region.addWindow(module.info.address, region_byte, module.info.size);
    module.region = region;
    module.region_byte = region_byte;
    module.maps = 1;
}

/// Takes one `map` back; after the last one blank memory is in the section. Does nothing if the
/// region is closed: then that is so already.
pub fn unmap(handle: u32, region: u32) status.Error!void {
    acquire();
    defer release();
    const module = try enter(handle);
    if (!module.isMapped() or module.region != region) return;
    module.maps -= 1;
    if (module.maps == 0) hide(module);
}

fn hide(module: *Module) void {
    defer module.region = 0;
    if (module.region == 0) return;
    const lease = registry.enter(module.region) catch return; // Closed, and its windows with it.
    defer lease.end();
    lease.region.removeWindow(module.info.address) catch {}; // Fails only if there is none.
}

fn describe(library: *LinkMap, info: *abi.ModuleInfo) status.Error!void {
    var reader: module_file.Reader = .{ .fd = -1 };
    defer reader.close();
    const section = read(&reader, library) catch {
        info.variable = reader.variable;
        return refuse(info, reader.problem, reader.errno);
    };
    info.address = library.base +% section.address;
    info.size = section.size;
    info.layout_hash = section.layout.finish(section.size);
    info.variables = section.layout.variables;
    const unit = std.heap.pageSize();
    if (info.address % unit != 0 or info.size % unit != 0) return refuse(info, .section_misaligned, 0);
    if (firstValue(info.address, info.size, section.has_contents)) |offset| {
        info.value_offset = offset;
        return refuse(info, .has_values, 0);
    }
}

fn read(reader: *module_file.Reader, library: *LinkMap) module_file.Error!module_file.Section {
    try reader.open(library.path);
    try reader.checkLoaded(library.base);
    return reader.section();
}

/// Finds the first byte that is not zero, because of an initial value or a constructor: mapping the
/// region would silently lose that value. Memory that no thread has touched is skipped.
fn firstValue(address: u64, size: u64, has_contents: bool) ?u64 {
    const unit = std.heap.pageSize();
    const opened = linux.open("/proc/self/pagemap", .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
    const pagemap: ?i32 = if (has_contents or linux.errno(opened) != .SUCCESS) null else @intCast(opened);
    defer if (linux.errno(opened) == .SUCCESS) {
        _ = linux.close(@intCast(opened));
    };
    var entries: [512]u64 = undefined;
    var offset: u64 = 0;
    while (offset < size) {
        const part = entries[0..@min(entries.len, (size - offset) / unit)];
        readTouched(pagemap, (address + offset) / unit, part);
        for (part) |entry| {
            if (entry & touched != 0) {
                const words: [*]const u64 = @ptrFromInt(address + offset);
                for (words[0 .. unit / @sizeOf(u64)], 0..) |word, index| {
                    if (word != 0) return offset + index * @sizeOf(u64) + @ctz(word) / 8;
                }
            }
            offset += unit;
        }
    }
    return null;
}

/// Bits of /proc/PID/pagemap: the page is in memory, or swapped out.
const touched: u64 = 1 << 63 | 1 << 62;

/// The kernel's pagemap from page `first` on; without a pagemap, every page counts as touched.
fn readTouched(pagemap: ?i32, first: u64, out: []u64) void {
    const bytes = std.mem.sliceAsBytes(out);
    if (pagemap) |fd| {
        if (linux.pread(fd, bytes.ptr, bytes.len, @intCast(first * @sizeOf(u64))) == bytes.len) return;
    }
    @memset(out, touched);
}

fn refuse(info: *abi.ModuleInfo, problem: abi.Problem, errno: i32) status.Error {
    info.problem = problem;
    info.errno = errno;
    return status.reject(error.ModuleUnusable);
}

fn find(library: *LinkMap) ?*Module {
    for (&modules) |*module| if (module.library == library) return module;
    return null;
}

fn enter(handle: u32) status.Error!*Module {
    const index = handle & ((1 << slot_bits) - 1);
    if (index >= modules.len) return status.reject(error.BadHandle);
    const module = &modules[index];
    if (module.library == null or module.generation != handle >> slot_bits) return status.reject(error.BadHandle);
    return module;
}

fn acquire() void {
    _ = std.c.pthread_mutex_lock(&lock);
}

fn release() void {
    _ = std.c.pthread_mutex_unlock(&lock);
}
