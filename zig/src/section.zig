//! `.rdma`: the section whose variables are meant to be seen by every node. `rdma.ld` puts it on
//! pages of its own and names both ends; this library carries one variable there, so that the
//! placement can be checked on any machine.

const std = @import("std");
const abi = @import("abi.zig");

extern var __rdma_start: u8;
extern var __rdma_end: u8;

/// The library's own variable in `.rdma`: not a whole number of pages, so that the end is padded.
var sample: [5000]u8 linksection(".rdma") = @splat(0);

pub fn describe() abi.SectionInfo {
    const start = @intFromPtr(&__rdma_start);
    const end = @intFromPtr(&__rdma_end);
    std.mem.doNotOptimizeAway(&sample);
    return .{ .start = start, .end = end, .size = end - start };
}

test "section: begins and ends on a page, and has the variable in it" {
    const info = describe();
    try std.testing.expectEqual(0, info.start % 4096);
    try std.testing.expectEqual(0, info.end % 4096);
    try std.testing.expectEqual(8192, info.size);
    try std.testing.expect(@intFromPtr(&sample) >= info.start);
    try std.testing.expect(@intFromPtr(&sample) + sample.len <= info.end);
    // NOLOAD memory is memory: it can be written and read back.
    sample[0] = 42;
    sample[sample.len - 1] = 43;
    try std.testing.expectEqual(42, sample[0]);
    try std.testing.expectEqual(43, sample[sample.len - 1]);
}
