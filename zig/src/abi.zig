//! Layouts and constants that both sides of the C ABI share, and the manifest that lets the other
//! side check them. Everything here is append-only within one `version`.

const std = @import("std");
const noise = @import("noise.zig");
const seal = @import("seal.zig");
const SealedLink = @import("sealed_link.zig").SealedLink;
const Status = @import("status.zig").Status;

/// Raised when a layout, a constant or the meaning of a call changes.
pub const version: u32 = 8;

pub const page_size_min: u32 = 4 << 10;
pub const page_size_max: u32 = 2 << 20;
pub const region_size_max: u64 = 1 << 40;
/// Regions that one process may have open at a time.
pub const regions_max = 64;
/// Windows of one region, the first included.
pub const windows_max = 64;
/// Native modules that one process may have open at a time.
pub const modules_max = 64;
/// Bytes of a file's name with its end (PATH_MAX).
pub const path_max = 4096;
/// Bytes of the message with which a fence ends the process.
pub const fence_message_max = 4096;

/// Bytes of one direction's key, and of the tag of what is sealed.
pub const seal_key = seal.key_bytes;
/// Bytes of a record before those that it carries.
pub const seal_header = seal.header_bytes;
/// How much longer a record is than what it carries, in bytes.
pub const seal_overhead = seal.overhead_bytes;
/// The most bytes that a record carries.
pub const seal_record_max = seal.record_max_bytes;

/// How much longer a message of the handshake with a key is than its payload, in bytes.
pub const noise_overhead = noise.overhead_bytes;
/// The most bytes that a message of the handshake carries.
pub const noise_payload_max = noise.payload_max_bytes;

/// `tdsm_open_options.flags`: refuse where faults inside system calls cannot be served.
pub const open_require_kernel_faults: u32 = 1;

/// `tdsm_region_info.flags`: a system call on an absent page fails instead of faulting.
pub const region_user_mode_only: u32 = 1;
/// `tdsm_region_info.flags`: userfaultfd came from /dev/userfaultfd, not from the system call.
pub const region_from_device: u32 = 2;
/// `tdsm_region_info.flags`: the kernel counts how often threads are given a core.
pub const region_counts_runs: u32 = 4;

/// `tdsm_install` flags: writable; else write-protected.
pub const install_writable: u32 = 1;
/// `tdsm_install` flags: make the bytes zero first.
pub const install_zero: u32 = 2;

/// `tdsm_fault.flags`: the access was a write.
pub const fault_write: u32 = 1;
/// `tdsm_fault.flags`: the page is mapped but write-protected.
pub const fault_write_protect: u32 = 2;
/// `tdsm_fault.flags`: the memory file has the page's bytes already, the window has no entry.
pub const fault_minor: u32 = 4;

/// Bits that `tdsm_wait` answers.
pub const wait_faults: i32 = 1;
pub const wait_kicked: i32 = 2;
pub const wait_closing: i32 = 4;

/// In the word that `tdsm_exit_watch` answers the address of: the process ends, and waits for the
/// engine.
pub const exit_begun: u32 = 3;
/// Bits that `tdsm_links_wait` answers, beside how many links it tells of.
pub const ready_faults: i32 = 1 << 16;
pub const ready_kicked: i32 = 1 << 17;
/// The event loop of this thread has something to do.
pub const ready_loop: i32 = 1 << 18;
/// It was seen in a look, before any sleep.
pub const ready_seen: i32 = 1 << 19;
/// `tdsm_signals_take` has something to tell.
pub const ready_signals: i32 = 1 << 20;
/// A look ended without news, and left the cores to other threads: see `look.zig`.
pub const ready_taken: i32 = 1 << 21;
/// A look ended without news, since its time was over.
pub const ready_over: i32 = 1 << 22;
/// `tdsm_link_ready.bits` and the interest in a link: bytes, or the other side's end.
pub const link_bytes: u32 = 1;
/// `tdsm_link_ready.bits` and the interest in a link: room for bytes to send.
pub const link_room: u32 = 2;
/// The descriptors of a process among which one is looked for.
pub const descriptors_max = 65536;

/// Which step of `tdsm_open` failed. Append-only.
pub const Step = enum(u32) {
    none = 0,
    options = 1,
    region_table = 2,
    memory_file = 3,
    map_window = 4,
    map_alias = 5,
    advise = 6,
    userfaultfd = 7,
    handshake = 8,
    features = 9,
    register = 10,
    probe_continue = 11,
    event = 12,
};

pub const OpenOptions = extern struct {
    /// Bytes of the region: a multiple of `page_size`, at most 1 TiB.
    size: u64,
    /// Bits of UFFD_FEATURE_* demanded beside those that the runtime needs.
    required_features: u64,
    /// Bytes of a logical page: a power of two, 4 KiB to 2 MiB.
    page_size: u32,
    /// Bits of `open_*`.
    flags: u32,
    /// Where the program is to touch the region: private memory of the caller, all of which the
    /// region takes over for good; 0 for anywhere.
    window_address: u64 = 0,

    comptime {
        std.debug.assert(@sizeOf(OpenOptions) == 32);
        std.debug.assert(@offsetOf(OpenOptions, "size") == 0);
        std.debug.assert(@offsetOf(OpenOptions, "required_features") == 8);
        std.debug.assert(@offsetOf(OpenOptions, "page_size") == 16);
        std.debug.assert(@offsetOf(OpenOptions, "flags") == 20);
        std.debug.assert(@offsetOf(OpenOptions, "window_address") == 24);
    }
};

pub const RegionInfo = extern struct {
    /// Where the program touches the region; faults there are reported.
    window_address: u64 = 0,
    /// Where the engine touches the region; never faults to user space.
    alias_address: u64 = 0,
    /// Bytes of the region.
    size: u64 = 0,
    /// Bits of UFFD_FEATURE_* in force; after a failure, those that the kernel has.
    features: u64 = 0,
    /// Bits of UFFD_FEATURE_* that were needed and that the kernel lacks.
    missing_features: u64 = 0,
    /// Names the region in every other call; 0 is never a handle.
    handle: u32 = 0,
    /// Bytes of a logical page.
    page_size: u32 = 0,
    /// Bits of `region_*`.
    flags: u32 = 0,
    /// The step that failed.
    failed_step: Step = .none,
    /// The errno of that step, 0 if it was not the kernel's.
    errno: i32 = 0,
    reserved: u32 = 0,

    comptime {
        std.debug.assert(@sizeOf(RegionInfo) == 64);
        std.debug.assert(@offsetOf(RegionInfo, "window_address") == 0);
        std.debug.assert(@offsetOf(RegionInfo, "alias_address") == 8);
        std.debug.assert(@offsetOf(RegionInfo, "size") == 16);
        std.debug.assert(@offsetOf(RegionInfo, "features") == 24);
        std.debug.assert(@offsetOf(RegionInfo, "missing_features") == 32);
        std.debug.assert(@offsetOf(RegionInfo, "handle") == 40);
        std.debug.assert(@offsetOf(RegionInfo, "page_size") == 44);
        std.debug.assert(@offsetOf(RegionInfo, "flags") == 48);
        std.debug.assert(@offsetOf(RegionInfo, "failed_step") == 52);
        std.debug.assert(@offsetOf(RegionInfo, "errno") == 56);
        std.debug.assert(@offsetOf(RegionInfo, "reserved") == 60);
    }
};

pub const LinkReady = extern struct {
    /// The link's descriptor.
    fd: i32,
    /// Bits of `link_*`.
    bits: u32,

    comptime {
        std.debug.assert(@sizeOf(LinkReady) == 8);
        std.debug.assert(@offsetOf(LinkReady, "fd") == 0);
        std.debug.assert(@offsetOf(LinkReady, "bits") == 4);
    }
};

/// What the calling thread has spent its time on since it began, in nanoseconds.
pub const ThreadTimes = extern struct {
    /// In `tdsm_links_wait`, looking instead of sleeping.
    looked_ns: u64,
    /// On a core, which looking is, too.
    ran_ns: u64,
    /// Waiting for a core, while it could run; 0 where the kernel does not count that.
    waited_ns: u64,

    comptime {
        std.debug.assert(@sizeOf(ThreadTimes) == 24);
        std.debug.assert(@offsetOf(ThreadTimes, "looked_ns") == 0);
        std.debug.assert(@offsetOf(ThreadTimes, "ran_ns") == 8);
        std.debug.assert(@offsetOf(ThreadTimes, "waited_ns") == 16);
    }
};

pub const Fault = extern struct {
    /// The logical page.
    page: u32,
    /// Bits of `fault_*`.
    flags: u32,
    /// The kernel's id of the thread that faulted, 0 if the kernel does not say.
    thread: u32,
    /// The slot of the window it faulted in; 0 is the main window.
    window: u32,

    comptime {
        std.debug.assert(@sizeOf(Fault) == 16);
        std.debug.assert(@offsetOf(Fault, "page") == 0);
        std.debug.assert(@offsetOf(Fault, "flags") == 4);
        std.debug.assert(@offsetOf(Fault, "thread") == 8);
        std.debug.assert(@offsetOf(Fault, "window") == 12);
    }
};

pub const SectionInfo = extern struct {
    /// Address of the first byte of `.rdma`.
    start: u64,
    /// Address after its last byte.
    end: u64,
    /// Bytes between the two.
    size: u64,

    comptime {
        std.debug.assert(@sizeOf(SectionInfo) == 24);
        std.debug.assert(@offsetOf(SectionInfo, "start") == 0);
        std.debug.assert(@offsetOf(SectionInfo, "end") == 8);
        std.debug.assert(@offsetOf(SectionInfo, "size") == 16);
    }
};

/// What is wrong with a module that `tdsm_module_open` refuses. Append-only.
pub const Problem = enum(u32) {
    none = 0,
    /// No library of that path is loaded.
    not_loaded = 1,
    /// The library's file cannot be opened or read; the errno says why.
    file_unreadable = 2,
    /// The file is not the one that was loaded.
    file_changed = 3,
    /// The file is not a 64-bit little-endian ELF library with section headers.
    not_elf = 4,
    /// It has no `.rdma` section.
    section_missing = 5,
    /// No variable is in its `.rdma` section.
    section_empty = 6,
    /// The section shares pages with others.
    section_misaligned = 7,
    /// A variable of the section is not zero.
    has_values = 8,
    /// The compiler has put a variable that is marked as shared elsewhere.
    variable_elsewhere = 9,
};

pub const ModuleInfo = extern struct {
    /// Where its `.rdma` section is, at the start of a page.
    address: u64 = 0,
    /// Bytes of the section, whole pages.
    size: u64 = 0,
    /// Equal where names, places and sizes of the section's variables are.
    layout_hash: u64 = 0,
    /// With `has_values`: the byte of the section that is not zero.
    value_offset: u64 = 0,
    /// Names the module in every other call; 0 is never a handle.
    module: u32 = 0,
    /// How many variables `layout_hash` is about.
    variables: u32 = 0,
    /// Why the module is refused.
    problem: Problem = .none,
    /// The errno of that, 0 if it was not the kernel's.
    errno: i32 = 0,
    /// With `variable_elsewhere`: the name of the variable as the linker knows it, ended by a zero,
    /// or as much of it as there is room for.
    variable: [208]u8 = @splat(0),

    comptime {
        std.debug.assert(@sizeOf(ModuleInfo) == 256);
        std.debug.assert(@offsetOf(ModuleInfo, "variable") == 48);
        std.debug.assert(@offsetOf(ModuleInfo, "address") == 0);
        std.debug.assert(@offsetOf(ModuleInfo, "size") == 8);
        std.debug.assert(@offsetOf(ModuleInfo, "layout_hash") == 16);
        std.debug.assert(@offsetOf(ModuleInfo, "value_offset") == 24);
        std.debug.assert(@offsetOf(ModuleInfo, "module") == 32);
        std.debug.assert(@offsetOf(ModuleInfo, "variables") == 36);
        std.debug.assert(@offsetOf(ModuleInfo, "problem") == 40);
        std.debug.assert(@offsetOf(ModuleInfo, "errno") == 44);
    }
};

/// The layouts above as JSON, made by the compiler that laid them out.
pub const manifest: [:0]const u8 = made: {
    // Printing at compile time takes the compiler many steps.
    @setEvalBranchQuota(200_000);
    break :made "{\"abiVersion\":" ++ std.fmt.comptimePrint("{d}", .{version}) ++
        ",\"structs\":{" ++ structJson("tdsm_open_options", OpenOptions) ++
        "," ++ structJson("tdsm_region_info", RegionInfo) ++
        "," ++ structJson("tdsm_fault", Fault) ++
        "," ++ structJson("tdsm_link_ready", LinkReady) ++
        "," ++ structJson("tdsm_thread_times", ThreadTimes) ++
        "," ++ structJson("tdsm_rdma_section_info", SectionInfo) ++
        "," ++ structJson("tdsm_module_info", ModuleInfo) ++
        "," ++ structJson("tdsm_seal_state", seal.State) ++
        "," ++ structJson("tdsm_sealed_link", SealedLink) ++
        "," ++ structJson("tdsm_noise_state", noise.State) ++
        "},\"statuses\":" ++ enumJson(Status) ++
        ",\"steps\":" ++ enumJson(Step) ++
        ",\"problems\":" ++ enumJson(Problem) ++
        ",\"constants\":{" ++ constantsJson(&.{
        "page_size_min",         "page_size_max",
        "region_size_max",       "regions_max",
        "windows_max",           "open_require_kernel_faults",
        "region_user_mode_only", "region_from_device",
        "install_writable",      "install_zero",
        "fault_write",           "fault_write_protect",
        "fault_minor",           "wait_faults",
        "wait_kicked",           "wait_closing",
        "modules_max",           "region_counts_runs",
        "path_max",              "fence_message_max",
        "exit_begun",            "seal_key",
        "seal_overhead",         "seal_record_max",
        "seal_header",           "ready_faults",
        "ready_kicked",          "ready_loop",
        "link_bytes",            "link_room",
        "descriptors_max",       "ready_seen",
        "noise_overhead",        "noise_payload_max",
        "ready_signals",         "ready_taken",
        "ready_over",
    }) ++ "}}";
};

/// The layout of a struct, as one entry of a map in JSON.
pub fn structJson(comptime name: []const u8, comptime T: type) []const u8 {
    comptime {
        var json: []const u8 = std.fmt.comptimePrint("\"{s}\":{{\"size\":{d},\"fields\":{{", .{ name, @sizeOf(T) });
        for (std.meta.fieldNames(T), 0..) |field, i| {
            json = json ++ std.fmt.comptimePrint("{s}\"{s}\":{{\"offset\":{d},\"size\":{d}}}", .{
                if (i == 0) "" else ",",
                field,
                @offsetOf(T, field),
                @sizeOf(@FieldType(T, field)),
            });
        }
        return json ++ "}}";
    }
}

/// The numbers of an enum, as a map in JSON.
pub fn enumJson(comptime T: type) []const u8 {
    comptime {
        var json: []const u8 = "{";
        for (std.enums.values(T), 0..) |value, i| {
            json = json ++ std.fmt.comptimePrint("{s}\"{s}\":{d}", .{
                if (i == 0) "" else ",", @tagName(value), @backingInt(value),
            });
        }
        return json ++ "}";
    }
}

fn constantsJson(comptime names: []const []const u8) []const u8 {
    comptime {
        var json: []const u8 = "";
        for (names, 0..) |name, i| {
            json = json ++ std.fmt.comptimePrint("{s}\"{s}\":{d}", .{
                if (i == 0) "" else ",", name, @field(@This(), name),
            });
        }
        return json;
    }
}

test "abi: the manifest is JSON and has every struct" {
    const gpa = std.testing.allocator;
    const parsed = try std.json.parseFromSlice(std.json.Value, gpa, manifest, .{});
    defer parsed.deinit();
    const root = parsed.value.object;
    try std.testing.expectEqual(@as(i64, version), root.get("abiVersion").?.integer);
    try std.testing.expectEqual(@as(usize, 10), root.get("structs").?.object.count());
    const fault = root.get("structs").?.object.get("tdsm_fault").?.object;
    try std.testing.expectEqual(@as(i64, 12), fault.get("fields").?.object.get("window").?.object.get("offset").?.integer);
}
