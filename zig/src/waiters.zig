//! Which threads wait for which pages, and whether they have run since.
//!
//! A page that was just given to this node should stay until the access that asked for it has
//! happened. The kernel does not tell when that is, but it counts how often each thread was given
//! a core (`schedstat.zig`): a thread that waited in a fault, was woken and was given a core since
//! has done its access, or is within nanoseconds of it.

const std = @import("std");
const linux = std.os.linux;
const schedstat = @import("schedstat.zig");

/// Threads remembered at one time; beyond it the one noted longest ago is forgotten.
pub const capacity = 64;

/// Whether this kernel counts how often threads are given a core.
pub fn kernelCounts() bool {
    var self: Waiter = .{ .thread = @intCast(linux.gettid()) };
    self.reopen();
    defer self.close();
    return schedstat.read(self.schedstat) != null;
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
        waiter.schedstat = schedstat.open(waiter.thread);
    }

    fn close(waiter: *Waiter) void {
        schedstat.close(waiter.schedstat);
        waiter.schedstat = -1;
    }

    fn readRuns(waiter: *const Waiter) ?u64 {
        return (schedstat.read(waiter.schedstat) orelse return null).runs;
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
        waiter.runs = waiter.readRuns();
        if (waiter.runs != null) return;
        // The file of a thread that ended stays dead when its id is given to another.
        waiter.reopen();
        waiter.runs = waiter.readRuns();
    }

    /// The pages are being installed: the threads that wait for them will be woken.
    pub fn serve(table: *Table, first: u32, count: u32) void {
        for (&table.waiters) |*waiter| {
            if (waiter.page >= first and waiter.page - first < count) waiter.served = true;
        }
    }

    /// Whether every thread that was woken when the page was installed, as far as they are known,
    /// was given a core since. A thread that has faulted again, on this page or another, was given
    /// one.
    pub fn resumed(table: *const Table, page: u32) bool {
        for (&table.waiters) |*waiter| {
            if (waiter.thread == 0 or waiter.page != page or !waiter.served) continue;
            const before = waiter.runs orelse continue;
            // A thread that has ended waits for nothing.
            const runs = waiter.readRuns() orelse continue;
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
