//! What the kernel counts of each thread (`/proc/<pid>/task/<tid>/schedstat`): how long it has
//! waited for a core while it could run, and how often it was given one.

const std = @import("std");
const linux = std.os.linux;

/// The counts of one thread.
pub const Schedstat = struct {
    /// How long the thread has waited for a core, in nanoseconds.
    waited_ns: u64,
    /// How often it was given a core; at least 1.
    runs: u64,

    fn parse(text: []const u8) ?Schedstat {
        var words = std.mem.tokenizeAny(u8, text, " \n");
        _ = words.next();
        const waited = words.next() orelse return null;
        const runs = words.next() orelse return null;
        const counts: Schedstat = .{
            .waited_ns = std.fmt.parseInt(u64, waited, 10) catch return null,
            .runs = std.fmt.parseInt(u64, runs, 10) catch return null,
        };
        // Every thread that can be asked about has run, unless the kernel does not count.
        return if (counts.runs == 0) null else counts;
    }
};

/// Opens the counts of a thread of this process; -1 where there are none.
pub fn open(thread: u32) i32 {
    var buffer: [64]u8 = undefined;
    const path = std.fmt.bufPrintSentinel(&buffer, "/proc/self/task/{d}/schedstat", .{thread}, 0) catch unreachable;
    const result = linux.open(path, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
    return if (linux.errno(result) == .SUCCESS) @intCast(result) else -1;
}

/// Reads what `open` has opened; null where the kernel does not count, or the thread has ended.
pub fn read(file: i32) ?Schedstat {
    if (file < 0) return null;
    var buffer: [96]u8 = undefined;
    const result = linux.pread(file, &buffer, buffer.len, 0);
    if (linux.errno(result) != .SUCCESS) return null;
    return Schedstat.parse(buffer[0..result]);
}

/// The counts of the calling thread; null where the kernel does not count.
pub fn ofThisThread() ?Schedstat {
    const file = open(@intCast(linux.gettid()));
    defer close(file);
    return read(file);
}

pub fn close(file: i32) void {
    if (file >= 0) _ = linux.close(file);
}

const expectEqual = std.testing.expectEqual;

test "schedstat: the kernel's line is read, and one that counts nothing is none" {
    try expectEqual(Schedstat{ .waited_ns = 42, .runs = 7 }, Schedstat.parse("18500 42 7\n"));
    for ([_][]const u8{ "", "\n", "0 0 0\n", "1 2\n", "1 x 3\n", "1 2 -3\n" }) |text| {
        try expectEqual(null, Schedstat.parse(text));
    }
}

test "schedstat: the runs of a thread grow" {
    const file = open(@intCast(linux.gettid()));
    defer close(file);
    const before = read(file) orelse return error.SkipZigTest;
    const pause: linux.timespec = .{ .sec = 0, .nsec = 1 };
    _ = linux.nanosleep(&pause, null);
    try std.testing.expect(read(file).?.runs > before.runs);
    try expectEqual(null, read(-1));
}
