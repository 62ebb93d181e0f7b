//! Whether the cores of this machine are all in use. A thread that looks for news takes a core;
//! where threads want more cores than there are, that is the core of the very thread that has the
//! news.

const std = @import("std");
const linux = std.os.linux;

/// The file that says how many threads can run, opened once; `unopened` before that.
var loadavg: std.atomic.Value(i32) = .init(unopened);
var count: std.atomic.Value(u32) = .init(0);

const unopened = -2;
const none = -1;

/// `_SC_NPROCESSORS_ONLN` of sysconf(3).
const nprocessors_onln = 84;
extern "c" fn sysconf(name: c_int) c_long;

/// Whether more threads can run than there are cores, over all programs. False where the kernel
/// does not say.
pub fn areTaken() bool {
    const file = opened();
    if (file < 0) return false;
    var buffer: [128]u8 = undefined;
    const result = linux.pread(file, &buffer, buffer.len, 0);
    if (linux.errno(result) != .SUCCESS) return false;
    return (runningIn(buffer[0..result]) orelse return false) > online();
}

/// How many cores the machine uses, whichever this process may use.
pub fn online() u32 {
    const known = count.load(.monotonic);
    if (known != 0) return known;
    const found: u32 = @intCast(@max(sysconf(nprocessors_onln), 1));
    count.store(found, .monotonic);
    return found;
}

fn opened() i32 {
    const known = loadavg.load(.acquire);
    if (known != unopened) return known;
    const result = linux.open("/proc/loadavg", .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
    const file: i32 = if (linux.errno(result) == .SUCCESS) @intCast(result) else none;
    const other = loadavg.cmpxchgStrong(unopened, file, .acq_rel, .acquire) orelse return file;
    // Another thread was quicker.
    if (file >= 0) _ = linux.close(file);
    return other;
}

/// The fourth number of `0.20 0.18 0.12 1/80 11206`.
fn runningIn(text: []const u8) ?u64 {
    const slash = std.mem.indexOfScalar(u8, text, '/') orelse return null;
    const space = std.mem.lastIndexOfScalar(u8, text[0..slash], ' ') orelse return null;
    return std.fmt.parseInt(u64, text[space + 1 .. slash], 10) catch null;
}

const expectEqual = std.testing.expectEqual;
const Spinners = @import("spinners.zig").Spinners;

test "cores: the threads that can run are read from the kernel's line" {
    try expectEqual(1, runningIn("0.20 0.18 0.12 1/80 11206\n"));
    try expectEqual(117, runningIn("99.20 87.18 70.12 117/2080 4194304\n"));
    for ([_][]const u8{ "", "1/80", "0.20 0.18 0.12 x/80 1", "0.20 0.18 0.12", "0.2 -1/3" }) |text| {
        try expectEqual(null, runningIn(text));
    }
}

test "cores: they are taken once one thread more spins than there are cores" {
    const spinners: Spinners = try .start();
    defer spinners.stop();
    // With this thread it is one more; those that were just made may not have begun.
    while (!areTaken()) {}
}
