const std = @import("std");
const linux = std.os.linux;
const process = @import("process.zig");

var told: i32 = -1;

/// Runs in the child, whenever its timer rings.
fn ring(_: linux.SIG) callconv(.c) void {
    _ = linux.write(told, "!", 1);
}

test "process: signals that come while the last message waits for its reader cut nothing short" {
    const message = "the last message";
    var out: [2]i32 = undefined;
    var rings: [2]i32 = undefined;
    try std.testing.expectEqual(0, linux.pipe2(&out, .{ .CLOEXEC = true }));
    try std.testing.expectEqual(0, linux.pipe2(&rings, .{ .CLOEXEC = true, .NONBLOCK = false }));
    // The pipe is full, so the message waits until something is read.
    const filler: [4096]u8 = @splat('.');
    const size: usize = @intCast(std.c.fcntl(out[1], linux.F.SETPIPE_SZ, @as(c_int, filler.len)));
    for (0..size / filler.len) |_| {
        try std.testing.expectEqual(filler.len, linux.write(out[1], &filler, filler.len));
    }

    const child = std.c.fork();
    if (child == 0) {
        told = rings[1];
        _ = linux.dup2(out[1], linux.STDERR_FILENO);
        for (out) |end| _ = linux.close(end);
        const action: linux.Sigaction = .{
            .handler = .{ .handler = ring },
            .mask = linux.sigemptyset(),
            .flags = 0,
        };
        _ = linux.sigaction(.ALRM, &action, null);
        const every: linux.itimerspec = .{
            .it_interval = .{ .sec = 0, .nsec = 5_000 },
            .it_value = .{ .sec = 0, .nsec = 5_000 },
        };
        _ = linux.setitimer(@backingInt(linux.ITIMER.REAL), &every, null);
        process.die(message, 7, 60_000);
    }
    for ([_]i32{ out[1], rings[1] }) |end| _ = linux.close(end);
    var byte: [1]u8 = undefined;
    for (0..3) |_| try std.testing.expectEqual(1, linux.read(rings[0], &byte, 1));
    var last: [message.len]u8 = @splat(0);
    while (true) {
        const count = linux.read(out[0], &byte, 1);
        if (count != 1) break;
        std.mem.copyForwards(u8, last[0 .. last.len - 1], last[1..]);
        last[last.len - 1] = byte[0];
    }
    var status: c_int = undefined;
    try std.testing.expectEqual(child, std.c.waitpid(child, &status, 0));
    for ([_]i32{ out[0], rings[0] }) |end| _ = linux.close(end);
    try std.testing.expectEqualStrings(message, &last);
    try std.testing.expectEqual(7, linux.W.EXITSTATUS(@bitCast(status)));
}
