//! What the tests of regions share: a region opened through the C ABI, threads that touch it, and
//! an engine that serves them from the test's own thread.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
pub const c = @import("c_api.zig");

/// The longest that a test waits for an event, so that a hang becomes a failure.
pub const patience_us: i64 = 60 * std.time.us_per_s;

pub const Harness = struct {
    info: abi.RegionInfo,
    window: [*]u8,
    alias: [*]u8,

    pub fn open(page_size: u32, page_count: u64) !Harness {
        const options: abi.OpenOptions = .{
            .size = page_size * page_count,
            .required_features = 0,
            .page_size = page_size,
            .flags = 0,
        };
        var info: abi.RegionInfo = .{};
        try succeed(c.tdsm_open(&options, &info));
        return .{
            .info = info,
            .window = @ptrFromInt(info.window_address),
            .alias = @ptrFromInt(info.alias_address),
        };
    }

    pub fn close(harness: Harness) void {
        succeed(c.tdsm_close(harness.info.handle)) catch @panic("close failed");
    }

    pub fn byte(harness: Harness, page: u32) *u8 {
        return &harness.window[@as(usize, page) * harness.info.page_size];
    }

    pub fn aliasByte(harness: Harness, page: u32) *volatile u8 {
        return &harness.alias[@as(usize, page) * harness.info.page_size];
    }

    pub fn install(harness: Harness, first: u32, count: u32, flags: u32) !void {
        try succeed(c.tdsm_install(harness.info.handle, first, count, flags));
    }

    /// Waits for one fault and says what it is.
    pub fn nextFault(harness: Harness) !abi.Fault {
        var fault: [1]abi.Fault = undefined;
        while (true) {
            const bits = c.tdsm_wait(harness.info.handle, patience_us);
            if (bits == 0) return error.NoFaultCame;
            if (c.tdsm_faults_read(harness.info.handle, &fault, 1) == 1) return fault[0];
        }
    }

    pub fn expectFault(harness: Harness, page: u32, flags: u32, window: u32) !void {
        const fault = try harness.nextFault();
        try std.testing.expectEqual(page, fault.page);
        try std.testing.expectEqual(flags, fault.flags);
        try std.testing.expectEqual(window, fault.window);
        try std.testing.expect(fault.thread != 0);
    }

    pub fn expectNoFault(harness: Harness) !void {
        var fault: [1]abi.Fault = undefined;
        try std.testing.expectEqual(0, c.tdsm_faults_read(harness.info.handle, &fault, 1));
    }
};

pub fn succeed(result: i32) !void {
    try std.testing.expectEqual(0, result);
}

/// A thread that makes one access, which may block in a fault.
pub const Access = struct {
    thread: std.Thread,
    job: *Job,

    const Job = struct {
        target: *u8,
        write: ?u8,
        seen: u8 = 0,
    };

    pub fn read(target: *u8) !Access {
        return start(.{ .target = target, .write = null });
    }

    pub fn write(target: *u8, value: u8) !Access {
        return start(.{ .target = target, .write = value });
    }

    fn start(job: Job) !Access {
        const kept = try std.testing.allocator.create(Job);
        errdefer std.testing.allocator.destroy(kept);
        kept.* = job;
        return .{ .thread = try std.Thread.spawn(.{}, run, .{kept}), .job = kept };
    }

    fn run(job: *Job) void {
        const target: *volatile u8 = job.target;
        if (job.write) |value| target.* = value else job.seen = target.*;
    }

    /// Waits for the access to be over; answers what a read saw.
    pub fn join(access: Access) u8 {
        access.thread.join();
        defer std.testing.allocator.destroy(access.job);
        return access.job.seen;
    }
};

/// Both ends of a pipe.
pub const Pipe = struct {
    ends: [2]i32,

    pub fn open() !Pipe {
        var ends: [2]i32 = undefined;
        try std.testing.expectEqual(.SUCCESS, linux.errno(linux.pipe2(&ends, .{ .CLOEXEC = true })));
        return .{ .ends = ends };
    }

    pub fn close(pipe: Pipe) void {
        for (pipe.ends) |end| _ = linux.close(end);
    }

    /// What write(2) answers for one byte of memory.
    pub fn writeFrom(pipe: Pipe, source: *u8) linux.E {
        return linux.errno(linux.write(pipe.ends[1], @ptrCast(source), 1));
    }

    pub fn writeOnThread(pipe: Pipe, source: *u8, result: *linux.E) void {
        result.* = pipe.writeFrom(source);
    }

    /// Leaves in `result` what read(2) answers for one byte of memory.
    pub fn readOnThread(pipe: Pipe, target: *u8, result: *linux.E) void {
        result.* = linux.errno(linux.read(pipe.ends[0], @ptrCast(target), 1));
    }
};

/// Lets the process have so many descriptors, as far as it may. Answers the limit as it was, which
/// the caller sets again.
pub fn allowDescriptors(count: u64) linux.rlimit {
    var limit: linux.rlimit = undefined;
    _ = linux.getrlimit(.NOFILE, &limit);
    const before = limit;
    limit.cur = @min(limit.max, count);
    _ = linux.setrlimit(.NOFILE, &limit);
    return before;
}
