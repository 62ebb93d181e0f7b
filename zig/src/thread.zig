//! Threads of this process, and whether they have ended. The kernel gives the id of a thread that
//! has ended to another one day, so a thread is known by its id and by the time at which it began.

const std = @import("std");
const linux = std.os.linux;

/// A thread: the kernel's id, and the clock tick in which the thread began, 0 where that is not
/// known.
pub const Thread = packed struct(u64) {
    id: u32,
    began: u32,
};

/// The calling thread.
pub fn current() Thread {
    const id: u32 = @intCast(linux.gettid());
    return .{ .id = id, .began = beginning(id) orelse 0 };
}

/// Whether a thread of this process has ended. False also where the kernel does not say.
pub fn hasEnded(thread: Thread) bool {
    const nothing: linux.SIG = @fromBackingInt(@as(u32, 0));
    if (linux.errno(linux.tgkill(linux.getpid(), @intCast(thread.id), nothing)) == .SRCH) return true;
    if (thread.began == 0) return false;
    const began = beginning(thread.id) orelse return false;
    return began != thread.began;
}

/// When a thread of this process began, as its file in /proc says; the lowest bits are enough.
fn beginning(id: u32) ?u32 {
    var path_buffer: [64]u8 = undefined;
    const path = std.fmt.bufPrintSentinel(&path_buffer, "/proc/self/task/{d}/stat", .{id}, 0) catch unreachable;
    const opened = linux.open(path, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
    if (linux.errno(opened) != .SUCCESS) return null;
    const file: i32 = @intCast(opened);
    defer _ = linux.close(file);
    var buffer: [1024]u8 = undefined;
    const result = linux.pread(file, &buffer, buffer.len, 0);
    if (linux.errno(result) != .SUCCESS) return null;
    return beginningIn(buffer[0..result]);
}

/// Field 22 of the file. The second, the thread's name, may have anything in it, also brackets.
fn beginningIn(text: []const u8) ?u32 {
    const named = std.mem.lastIndexOfScalar(u8, text, ')') orelse return null;
    var fields = std.mem.tokenizeScalar(u8, text[named + 1 ..], ' ');
    for (3..22) |_| _ = fields.next() orelse return null;
    const ticks = std.fmt.parseInt(u64, fields.next() orelse return null, 10) catch return null;
    return @truncate(ticks);
}

const expectEqual = std.testing.expectEqual;

test "thread: it is known while it runs, and has ended once it is no more" {
    const Job = struct {
        thread: Thread = undefined,
        begun: std.atomic.Value(bool) = .init(false),
        stop: std.atomic.Value(bool) = .init(false),

        fn run(job: *@This()) void {
            job.thread = current();
            job.begun.store(true, .release);
            while (!job.stop.load(.acquire)) std.Thread.yield() catch {};
        }
    };
    var job: Job = .{};
    const running = try std.Thread.spawn(.{}, Job.run, .{&job});
    while (!job.begun.load(.acquire)) try std.Thread.yield();
    try std.testing.expect(!hasEnded(job.thread));
    try std.testing.expect(!hasEnded(current()));
    try std.testing.expect(job.thread.id != current().id);
    job.stop.store(true, .release);
    running.join();
    // The one that joins is woken a moment before the kernel forgets the thread.
    while (!hasEnded(job.thread)) try std.Thread.yield();
}

test "thread: another one with the same id is another one" {
    var thread = current();
    try std.testing.expect(thread.began != 0);
    thread.began +%= 1;
    try std.testing.expect(hasEnded(thread));
    // Where it is not known when a thread began, its id alone counts.
    thread.began = 0;
    try std.testing.expect(!hasEnded(thread));
}

test "thread: its beginning is found whatever its name is" {
    const rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4294967301 20 21\n";
    for ([_][]const u8{ "(deno)", "(a b)", "())", "(1) S 2 (3)" }) |name| {
        var buffer: [128]u8 = undefined;
        const text = try std.fmt.bufPrint(&buffer, "77 {s}{s}", .{ name, rest });
        try expectEqual(5, beginningIn(text));
    }
    for ([_][]const u8{ "", "77", "77 (deno)", "77 (deno) S 1 2", "77 (deno) S a b c" }) |text| {
        try expectEqual(null, beginningIn(text));
    }
}
