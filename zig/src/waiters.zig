//! Which threads wait for which pages, and whether they have run since.
//!
//! A page that was just given to this node should stay until the access that asked for it has
//! happened. The kernel does not tell when that is, but it counts how often each thread was given
//! a core (`/proc/<pid>/task/<tid>/schedstat`): a thread that waited in a fault, was woken and was
//! given a core since has done its access, or is within nanoseconds of it.

const std = @import("std");
const linux = std.os.linux;
const realtime = @import("realtime.zig");
const Pull = @import("pull.zig").Pull;

/// Threads remembered at one time; beyond it the one noted longest ago is forgotten.
pub const capacity = 64;

/// Whether this kernel counts how often threads are given a core.
pub fn kernelCounts() bool {
    var self: Waiter = .{ .thread = @intCast(linux.gettid()) };
    self.reopen();
    defer self.close();
    return readRuns(self.schedstat) != null;
}

const Waiter = struct {
    /// The kernel's id of the thread; 0 for none.
    thread: u32 = 0,
    page: u32 = 0,
    /// How often it had been given a core when its fault was read; null if the kernel did not say.
    runs: ?u64 = null,
    /// Whether its page was installed since.
    served: bool = false,
    schedstat: i32 = -1,

    fn reopen(waiter: *Waiter) void {
        waiter.close();
        var buffer: [64]u8 = undefined;
        const path = std.fmt.bufPrintSentinel(&buffer, "/proc/self/task/{d}/schedstat", .{waiter.thread}, 0) catch unreachable;
        const result = linux.open(path, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
        if (linux.errno(result) == .SUCCESS) waiter.schedstat = @intCast(result);
    }

    fn close(waiter: *Waiter) void {
        if (waiter.schedstat >= 0) _ = linux.close(waiter.schedstat);
        waiter.schedstat = -1;
    }
};

/// The threads of one region. The caller holds the region's lock.
pub const Table = struct {
    waiters: [capacity]Waiter = @splat(.{}),
    /// The next to be forgotten.
    oldest: u32 = 0,

    /// A fault of `thread` on `page` was read: from here until the page is installed it sleeps.
    pub fn note(table: *Table, thread: u32, page: u32) void {
        if (thread == 0) return;
        const waiter = table.of(thread);
        waiter.page = page;
        waiter.served = false;
        waiter.runs = readRuns(waiter.schedstat);
        if (waiter.runs != null) return;
        // The file of a thread that ended stays dead when its id is given to another.
        waiter.reopen();
        waiter.runs = readRuns(waiter.schedstat);
    }

    /// The pages are being installed: the threads that wait for them will be woken. Where the
    /// calling thread is an engine's in a real-time class, which sleeps soon, one of them is pulled
    /// onto its core; `end` is to be called once they are awake.
    pub fn serve(table: *Table, first: u32, count: u32) Pull {
        var sleeper: u32 = 0;
        for (&table.waiters) |*waiter| {
            if (waiter.page < first or waiter.page - first >= count or waiter.thread == 0) continue;
            if (!waiter.served) sleeper = waiter.thread;
            waiter.served = true;
        }
        return if (sleeper != 0 and realtime.isActive()) Pull.begin(sleeper) else .{};
    }

    /// Whether every thread that was woken when the page was installed, as far as they are known,
    /// was given a core since. A thread that has faulted again, on this page or another, was given
    /// one.
    pub fn resumed(table: *const Table, page: u32) bool {
        for (&table.waiters) |*waiter| {
            if (waiter.thread == 0 or waiter.page != page or !waiter.served) continue;
            const before = waiter.runs orelse continue;
            // A thread that has ended waits for nothing.
            const runs = readRuns(waiter.schedstat) orelse continue;
            if (runs == before) return false;
        }
        return true;
    }

    /// Closes every file.
    pub fn deinit(table: *Table) void {
        for (&table.waiters) |*waiter| waiter.close();
        table.* = .{};
    }

    fn of(table: *Table, thread: u32) *Waiter {
        for (&table.waiters) |*waiter| if (waiter.thread == thread) return waiter;
        const waiter = &table.waiters[table.oldest];
        table.oldest = (table.oldest + 1) % capacity;
        waiter.close();
        waiter.* = .{ .thread = thread };
        return waiter;
    }
};

/// The last of the three numbers in the file: how often the thread was given a core.
fn readRuns(schedstat: i32) ?u64 {
    if (schedstat < 0) return null;
    var buffer: [96]u8 = undefined;
    const result = linux.pread(schedstat, &buffer, buffer.len, 0);
    if (linux.errno(result) != .SUCCESS) return null;
    const text = std.mem.trimEnd(u8, buffer[0..result], "\n ");
    const space = std.mem.lastIndexOfScalar(u8, text, ' ') orelse return null;
    const runs = std.fmt.parseInt(u64, text[space + 1 ..], 10) catch return null;
    // Every thread that can be asked about has run, unless the kernel does not count.
    return if (runs == 0) null else runs;
}
