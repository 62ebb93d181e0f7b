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
    /// At several counts in a row threads wanted more cores than there are, or this core was not
    /// given away.
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
/// Before each count this core is given away. The kernel may let a thread wait for this core while
/// another one is idle. And it counts a thread that has just begun to sleep as one that can run, if
/// that has had more than its share of the core, and the core has had no other to choose since
/// (delayed dequeue): the thread that waits for the page looked for is often such a one. So a count
/// that follows no yield says nothing, and the cores count as taken.
pub fn untilNews(glance: anytype, begun: u64, look_us: u31) status.Error!Looked {
    const end = begun + @as(u64, look_us) * std.time.ns_per_us;
    var now = begun;
    var count_again = begun;
    var taken: u32 = 0;
    while (now < end) : (now = clock.nowNs(.MONOTONIC)) {
        // First, so that what is there already does not wait behind a yield.
        const count = try glance.take();
        if (count > 0) return .{ .seen = count };
        if (now < count_again) continue;
        count_again = now + count_every_ns;
        taken = if (!giveWay(now) or cores.areTaken()) taken + 1 else 0;
        if (taken == taken_counts) return .taken;
    }
    return .over;
}

/// How long a thread is to look the next time, where it has looked for so long, and a wait took so
/// long: longer or, where looking takes a core from the thread that ends the wait, less long. As
/// `runtime/node/look_time.ts` has it, and why.
pub fn learned(look_us: u32, took_us: f64, min_us: u32, max_us: u32) u32 {
    const is_short = took_us <= @as(f64, @floatFromInt(max_us));
    return if (is_short) @min(look_us * 2, max_us) else @max(look_us / 2, min_us);
}

/// For how long other threads have had this one's core while it looked, in nanoseconds.
pub threadlocal var given_ns: u64 = 0;

/// Gives this core away for a moment, unless a thread that computes got it that way not long ago:
/// that one gives it back at the tick, since this thread has not slept. Answers whether the core
/// was given away.
fn giveWay(now: u64) bool {
    if (now < yields_from) return false;
    realtime.yield();
    const after = clock.nowNs(.MONOTONIC);
    if (after - now > yield_ns) {
        given_ns += after - now;
        starvation.gaveAway(after - now);
    }
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
/// For how long a core is not given away then, at least and at most. It doubles if the core is lost
/// again within the same time, and else halves. A tick of 4 ms is less than 1 % of the most.
const keep_min_ns = 20 * std.time.ns_per_ms;
const keep_max_ns = 640 * std.time.ns_per_ms;
/// What takes no longer was the yield itself.
const yield_ns = 5 * std.time.ns_per_us;
/// How long a look waits at least between two counts, which take 1 to 2 us each.
const count_every_ns = 6 * std.time.ns_per_us;
/// At how many counts in a row the cores must be taken.
const taken_counts = 5;
