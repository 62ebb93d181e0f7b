//! Whether this process is the child of a fork, with a copy of what its parent knew of its nodes.
//! Nothing of that is the child's: no engine runs there, and the connections are the parent's.

const std = @import("std");
const linux = std.os.linux;

/// A byte on a page that the kernel wipes in a child, whichever way the child was made; null until
/// a node can be used.
var mark: std.atomic.Value(?*const u8) = .init(null);

/// From here on a child knows that it is one. False where the kernel has no memory for that.
pub fn place() bool {
    if (mark.load(.acquire) != null) return true;
    const size = std.heap.page_size_min;
    const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true };
    const result = linux.mmap(null, size, .{ .READ = true, .WRITE = true }, flags, -1, 0);
    if (linux.errno(result) != .SUCCESS) return false;
    const page: [*]u8 = @ptrFromInt(result);
    if (linux.errno(linux.madvise(page, size, linux.MADV.WIPEONFORK)) != .SUCCESS) {
        _ = linux.munmap(page, size);
        return false;
    }
    page[0] = 1;
    // Another thread may have been faster: its page stays then.
    if (mark.cmpxchgStrong(null, &page[0], .acq_rel, .acquire) != null) _ = linux.munmap(page, size);
    return true;
}

/// Whether this process was forked from one that had a node.
pub fn isChild() bool {
    const byte = mark.load(.acquire) orelse return false;
    return @as(*const volatile u8, byte).* == 0;
}

test "fork mark: a child of a fork knows that it is one, and its parent stays none" {
    try std.testing.expect(place());
    try std.testing.expect(place());
    try std.testing.expect(!isChild());
    const child = linux.fork();
    if (child == 0) linux.exit_group(if (isChild()) 7 else 8);
    var status: c_int = 0;
    const pid: std.c.pid_t = @intCast(child);
    try std.testing.expectEqual(pid, std.c.waitpid(pid, &status, 0));
    const ended: u32 = @bitCast(status);
    try std.testing.expect(linux.W.IFEXITED(ended));
    try std.testing.expectEqual(7, linux.W.EXITSTATUS(ended));
    try std.testing.expect(!isChild());
}
