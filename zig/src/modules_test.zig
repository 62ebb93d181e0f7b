//! Native modules through the C ABI, as far as libraries go that every process has. Modules with
//! shared variables need a compiler: `ffi/module_test.ts` builds them.

const std = @import("std");
const abi = @import("abi.zig");
const Status = @import("status.zig").Status;
const c = @import("c_api.zig");
const expectEqual = std.testing.expectEqual;

fn expectProblem(path: [*:0]const u8, problem: abi.Problem) !void {
    var info: abi.ModuleInfo = .{};
    try expectEqual(-@backingInt(Status.module_unusable), c.tdsm_module_open(path, &info));
    try expectEqual(problem, info.problem);
    try expectEqual(0, info.module);
}

test "modules: a library that is not loaded, or shares nothing, is refused" {
    try expectProblem("/nonexistent/libcounter.so", .not_loaded);
    // Found, compared with its file and read to the end, more often than there are slots.
    for (0..abi.modules_max + 1) |_| try expectProblem("libc.so.6", .section_missing);
}

test "modules: a handle that was never given out is none" {
    const bad = -@backingInt(Status.bad_handle);
    for ([_]u32{ 0, 1, 1 << 8, 1 << 8 | abi.modules_max, std.math.maxInt(u32) }) |handle| {
        try expectEqual(bad, c.tdsm_module_map(handle, 0, 0));
        try expectEqual(bad, c.tdsm_module_unmap(handle, 0));
        try expectEqual(bad, c.tdsm_module_close(handle));
    }
}

test "modules: an argument that is missing is a bad one" {
    const bad = -@backingInt(Status.bad_argument);
    var info: abi.ModuleInfo = .{};
    try expectEqual(bad, c.tdsm_module_open(null, &info));
    try expectEqual(bad, c.tdsm_module_open("libc.so.6", null));
}
