//! The thread that touches pages and times each access, as a thread of a program would.

const std = @import("std");
const linux = std.os.linux;
const wire = @import("wire.zig");
const window_file = @import("window.zig");
const Window = window_file.Window;
const check = wire.check;

/// What to touch.
pub const Job = struct {
    /// How many pages.
    count: u32,
    /// From one to the next, in pages.
    stride: u32,
    /// Each access is a store instead of a load.
    write: bool = false,
    /// How long to sleep before each access, in milliseconds.
    silence_ms: u32 = 0,
};

pub const samples_max = 100_000;

pub const Toucher = struct {
    window: Window,
    /// Eventfds: a job is there; the thread has left the end page.
    begin: i32,
    end: i32,
    job: Job = undefined,
    /// What each access took, in nanoseconds.
    samples: [samples_max]u64 = undefined,
    /// What all took, sleeping left out.
    total: u64 = 0,
    /// Accesses that found what they should not.
    wrong: u32 = 0,

    pub fn start(toucher: *Toucher, window: Window) !void {
        const begin = try check("make an eventfd", linux.eventfd(0, linux.EFD.CLOEXEC));
        const end = try check("make an eventfd", linux.eventfd(0, linux.EFD.CLOEXEC));
        toucher.* = .{ .window = window, .begin = @intCast(begin), .end = @intCast(end) };
        (try std.Thread.spawn(.{}, loop, .{toucher})).detach();
    }

    /// Lets it touch. That it is through it says by a fault of the end page.
    pub fn touch(toucher: *Toucher, job: Job) !void {
        toucher.job = job;
        try signal(toucher.begin);
    }

    /// Waits until it has left the end page, which must be there by now.
    pub fn join(toucher: *Toucher) !void {
        try take(toucher.end);
    }

    fn loop(toucher: *Toucher) void {
        while (true) {
            take(toucher.begin) catch @panic("lost its eventfd");
            toucher.work();
            std.mem.doNotOptimizeAway(toucher.window.words(window_file.end_page)[0]);
            signal(toucher.end) catch @panic("lost its eventfd");
        }
    }

    fn work(toucher: *Toucher) void {
        const job = toucher.job;
        toucher.wrong = 0;
        var slept: u64 = 0;
        const first = now();
        var page: u32 = 0;
        for (toucher.samples[0..job.count]) |*sample| {
            if (job.silence_ms > 0) slept += sleep(job.silence_ms);
            const words = toucher.window.words(page);
            const begin = now();
            if (job.write) words[0] = page else std.mem.doNotOptimizeAway(words[0]);
            sample.* = now() - begin;
            if (words[1] != wire.mark(page)) toucher.wrong += 1;
            page += job.stride;
        }
        toucher.total = now() - first - slept;
    }
};

pub fn signal(event: i32) !void {
    const one: u64 = 1;
    _ = try check("write an eventfd", linux.write(event, std.mem.asBytes(&one), @sizeOf(u64)));
}

fn take(event: i32) !void {
    var count: u64 = undefined;
    _ = try check("read an eventfd", linux.read(event, std.mem.asBytes(&count), @sizeOf(u64)));
}

/// Answers how long it was, in nanoseconds.
fn sleep(ms: u32) u64 {
    const begin = now();
    const time: linux.timespec = .{
        .sec = ms / std.time.ms_per_s,
        .nsec = @as(isize, ms % std.time.ms_per_s) * std.time.ns_per_ms,
    };
    _ = linux.nanosleep(&time, null);
    return now() - begin;
}

/// A clock that never goes back, in nanoseconds.
pub fn now() u64 {
    var time: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}
