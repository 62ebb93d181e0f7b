//! To look for news again and again for a while before a thread sleeps, and to give others the core
//! meanwhile.

const std = @import("std");
const clock = @import("clock.zig");
const cores = @import("cores.zig");
const realtime = @import("realtime.zig");
const starvation = @import("starvation.zig");
const status = @import("status.zig");

/// How a look ended.
pub const Looked = union(enum) {
    /// So much was there.
    seen: usize,
    /// Threads came to want more cores than there are.
    taken,
    /// Its time is over.
    over,
};

/// Looks again and again for a while, and ends where threads want more cores than there are.
/// `glance.take()` takes what is there, without waiting, and answers how much.
///
/// There may be one thread more for a moment only: on another core, an engine that ends its turn
/// and the thread that it has just woken. So the cores count as taken once they are at several
/// counts in a row.
///
/// Before each count this core is given away. The kernel may let a thread wait for it while another
/// core is idle. And it counts a thread that has just begun to sleep as one that can run, if that
/// has had more than its share of the core and the core has had no other to choose since (delayed
/// dequeue): the thread that waits for the page looked for is often such a one.
pub fn look(glance: anytype, begun: u64, look_us: u31) status.Error!Looked {
    const end = begun + @as(u64, look_us) * std.time.ns_per_us;
    var now = begun;
    var count_again = begun;
    var taken: u32 = 0;
    while (now < end) : (now = clock.nowNs(.MONOTONIC)) {
        if (now >= count_again) {
            count_again = now + count_every_ns;
            // Without that, every count is taken to be one of others.
            const gave = giveWay(now);
            taken = if (!gave or cores.areTaken()) taken + 1 else 0;
            if (taken == taken_counts) return .taken;
        }
        const count = try glance.take();
        if (count > 0) return .{ .seen = count };
    }
    return .over;
}

/// Gives this core away for a moment, unless that has given it to a thread that computes not long
/// ago. Such a thread gives it back at the tick, since this one has not slept. Answers whether it
/// gave its core away.
fn giveWay(now: u64) bool {
    if (now < yields_from) return false;
    realtime.yield();
    const after = clock.nowNs(.MONOTONIC);
    starvation.gaveAway(after - now);
    if (after - now < lost_ns) return true;
    const is_soon = now - yields_from < kept_ns;
    kept_ns = if (is_soon) @min(2 * kept_ns, keep_max_ns) else @max(kept_ns / 2, keep_min_ns);
    yields_from = after + kept_ns;
    return true;
}

/// From when on this thread yields its core, and for how long it did not before that.
threadlocal var yields_from: u64 = 0;
threadlocal var kept_ns: u64 = 0;
/// After how long without it a core is taken to have gone to a thread that computes.
const lost_ns = std.time.ns_per_ms;
/// For how long a core is not given away then: at first, and at most. Twice as long as the last
/// time where it is lost again before it was as long given away, else half as long. A tick of 4 ms
/// is less than 1 % of the most.
const keep_min_ns = 20 * std.time.ns_per_ms;
const keep_max_ns = 640 * std.time.ns_per_ms;
/// How often a look counts the threads that want a core, which takes 1 to 2 us.
const count_every_ns = 6 * std.time.ns_per_us;
/// At how many counts in a row the cores must be taken.
const taken_counts = 5;
