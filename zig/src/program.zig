//! Threads of the program that are no threads of JavaScript, and how they ask their node's engine:
//! by a slot of the shared memory that `runtime/ring/call_slots.ts` lays out, as Workers do.
//!
//! A thread has a slot from its first call until it ends or detaches. While it is inside of that
//! memory it holds a lease of the region, so that the region's engine, which keeps the memory, does
//! not end meanwhile. Nobody touches the region under a lease: the engine that would serve the
//! fault may wait for that lease.

const std = @import("std");
const abi = @import("abi.zig");
const call_ring = @import("call_ring.zig");
const failures = @import("program_error.zig");
const fork_mark = @import("fork_mark.zig");
const msgpack = @import("msgpack.zig");
const process = @import("process.zig");
const registry = @import("registry.zig");
const status = @import("status.zig");
const thread_link = @import("thread_link.zig");
const threads = @import("thread.zig");
const wait = @import("wait.zig");
const links = @import("program_link.zig");
const SealedLink = @import("sealed_link.zig").SealedLink;
const Header = call_ring.Header;
const Ring = call_ring.Ring;
const Error = failures.Error;
const Purpose = failures.Purpose;
const refuse = failures.refuse;

/// The kinds of calls that native code makes, as `runtime/ring/calls.ts` numbers them.
pub const Call = enum(u32) {
    sync = 5,
    cancel = 6,
    allocate = 7,
    taken = 8,
    free = 9,
    detach = 14,
    open_link = 15,
    link_ended = 16,
    link_told = 17,
    futex_stay = 19,
};

/// How a call ended, as `runtime/ring/calls.ts` numbers it.
pub const Answer = enum(u32) {
    value = 0,
    @"error" = 1,
    cancelled = 2,
    serve = 3,
    grant = 4,
    refused = 5,
    progress = 6,
};

/// What the threads of one node need to know. Places are bytes from the beginning of the shared
/// memory.
pub const Node = extern struct {
    id: u32 = 0,
    /// The place among the nodes that a launcher has started; `rank_none` without one.
    rank: u32 = 0,
    node_count: u32 = 0,
    /// How many threads may have a slot.
    slots: u32 = 0,
    /// The bytes for records of each ring.
    ring_bytes: u32 = 0,
    /// How many words may be quiet, or lent to the node, at one time: 256.
    quiet_slots: u32 = 0,
    /// The largest number of a call, behind which they begin anew.
    call_max: u32 = 0,
    /// How many releases and unlocks of a thread may have no answer.
    posts_max: u32 = 0,
    /// Times, in milliseconds, as `runtime/limits.ts` has them.
    slot_wait_ms: u32 = 0,
    slot_look_ms: u32 = 0,
    call_max_ms: u32 = 0,
    ended_look_ms: u32 = 0,
    desk_silence_ms: u32 = 0,
    /// How long a thread looks at a word before it asks, in microseconds, and how often before it
    /// looks at the clock.
    spin_max_us: u32 = 0,
    spin_min_us: u32 = 0,
    spin_looks: u32 = 0,
    asleep_at: u32 = 0,
    count_at: u32 = 0,
    ended_at: u32 = 0,
    closing_at: u32 = 0,
    failure_at: u32 = 0,
    wanted_at: u32 = 0,
    released_at: u32 = 0,
    threads_at: u32 = 0,
    next_call_at: u32 = 0,
    peer_count_at: u32 = 0,
    quiet_at: u32 = 0,
    rings_at: u32 = 0,
    failure_text_at: u32 = 0,
    /// The words about the links that threads have for themselves, and how they are sealed.
    links_at: u32 = 0,
    seals_at: u32 = 0,
    /// The bytes from one seal to the next.
    seal_bytes: u32 = 0,
    /// How often a thread blocks by its engine before it is given a link.
    link_after: u32 = 0,
    /// The nodes up to which no barrier is gathered by a tree of engines.
    tree_nodes: u32 = 0,
    link_unanswered_max: u32 = 0,
    /// The first ticket of the first thread, and how many each has.
    link_first: u32 = 0,
    link_tickets: u32 = 0,
    /// The version of the frames that go by such a link.
    protocol_version: u32 = 0,
};

/// What a word is, in the two highest bits of its slot in `runtime/ring/word_marks.ts`.
const quiet_mark: u32 = 1 << 30;
const mark_number: u32 = quiet_mark - 1;

/// `Node.rank` of one that no launcher has started.
pub const rank_none = std.math.maxInt(u32);

/// In place of the length of a failure's text: another thread writes it.
const failure_begun = std.math.maxInt(u32);

/// A node that native code may use.
const Published = struct {
    handle: std.atomic.Value(u32) = .init(0),
    /// Where the shared memory begins.
    base: u64 = 0,
    node: Node = .{},
};

/// Changed under the lock; read by calls that hold a lease of the region.
var table: [abi.regions_max]Published = @splat(.{});
var table_lock: std.c.pthread_mutex_t = .{};

/// Lets native code of this process use a node, until its region is closed.
pub fn publish(handle: u32, base: u64, node: Node) status.Error!void {
    const lease = try registry.enter(handle);
    defer lease.end();
    if (!watchThreads() or !fork_mark.place()) return status.reject(error.LimitExceeded);
    _ = std.c.pthread_mutex_lock(&table_lock);
    defer _ = std.c.pthread_mutex_unlock(&table_lock);
    const free = for (&table) |*entry| {
        if (entry.handle.load(.acquire) == 0) break entry;
    } else return status.reject(error.LimitExceeded);
    free.base = base;
    free.node = node;
    free.handle.store(handle, .release);
}

/// The region is about to be closed. Where its node could not go on, that stays the reason for
/// threads that come later.
pub fn retire(handle: u32) void {
    const lease = registry.enter(handle) catch return;
    defer lease.end();
    const published = find(handle) orelse return;
    const inside: Inside = .{ .lease = lease, .base = published.base, .node = &published.node };
    const json = inside.failureText() orelse return;
    _ = std.c.pthread_mutex_lock(&table_lock);
    defer _ = std.c.pthread_mutex_unlock(&table_lock);
    const failed_node = &failed_nodes[failed_count % failed_nodes.len];
    failed_count +%= 1;
    failed_node.handle = handle;
    failed_node.read(json);
}

/// Why a node could not go on whose region is closed.
const FailedNode = struct {
    handle: u32 = 0,
    code: failures.Code = .ok,
    length: u32 = 0,
    message: [256]u8 = undefined,

    fn read(node: *FailedNode, json: []const u8) void {
        var name: [64]u8 = undefined;
        node.code = failures.codeOf(failures.fromJson(behind(json, "\"code\":\""), &name));
        node.length = @intCast(failures.fromJson(behind(json, "\"message\":\""), &node.message).len);
    }
};

/// The last of them; changed, and read, under the lock of the table.
var failed_nodes: [16]FailedNode = @splat(.{});
var failed_count: u32 = 0;

/// Refuses a call of a node that is closed.
fn refuseClosed(handle: u32, purpose: Purpose) Error {
    _ = std.c.pthread_mutex_lock(&table_lock);
    defer _ = std.c.pthread_mutex_unlock(&table_lock);
    for (&failed_nodes) |*node| {
        if (node.handle == handle) return refuse(node.code, purpose, node.message[0..node.length]);
    }
    return refuse(.node_closed, purpose, closed);
}

/// The region is closed, and no call is inside of its memory any more.
pub fn forget(handle: u32) void {
    _ = std.c.pthread_mutex_lock(&table_lock);
    defer _ = std.c.pthread_mutex_unlock(&table_lock);
    for (&table) |*entry| {
        if (entry.handle.load(.acquire) == handle) entry.handle.store(0, .release);
    }
}

fn find(handle: u32) ?*const Published {
    for (&table) |*entry| {
        if (entry.handle.load(.acquire) == handle) return entry;
    }
    return null;
}

/// The one node of this process.
fn onlyNode(purpose: Purpose) Error!u32 {
    var found: u32 = 0;
    for (&table) |*entry| {
        const handle = entry.handle.load(.acquire);
        if (handle == 0) continue;
        if (found != 0) {
            return refuse(.not_joined, purpose, "this process has several nodes; give tdsm_thread_attach one by its handle");
        }
        found = handle;
    }
    if (found != 0) return found;
    return refuse(.not_joined, purpose, "no node of this process has joined, or it is closed");
}

/// A forked child has a copy of its parent's slots and connections. Used there, both take what is
/// the parent's.
fn refuseChild(purpose: Purpose) Error!void {
    if (fork_mark.isChild()) return refuse(.not_joined, purpose, "this process was forked from that of the node; let its parent call");
}

pub const attaching: Purpose = .{ .verb = "attach this thread" };
const closed = "the node is closed";

/// What this thread knows of its node; blank while it is attached to none.
const Attached = struct {
    handle: u32 = 0,
    slot: u32 = 0,
    next_call: u32 = 1,
    /// Releases and unlocks that have no answer yet.
    posts: u32 = 0,
    /// One of them was refused, and no call has said so.
    refused: ?u32 = null,
    memory: u64 = 0,
    size: u64 = 0,
    page_size: u32 = 0,
    /// How long it looks at a word before it asks, in microseconds.
    spin_us: u32 = 0,
    /// How often it has blocked at the desk by its engine.
    blocked: u32 = 0,
    /// Its own link to the desk.
    link: links.Link = .{},
};
threadlocal var attached: Attached = .{};

/// Attaches this thread to the node of a region, or with 0 to the only one of the process.
pub fn attach(wanted: u32, purpose: Purpose) Error!void {
    try refuseChild(purpose);
    const handle = if (wanted == 0) try onlyNode(purpose) else wanted;
    if (attached.handle == handle) return;
    if (attached.handle != 0) detach();
    const inside = try Inside.of(handle, purpose);
    defer inside.end();
    try inside.check(purpose);
    const slot = try inside.claim(purpose);
    const next = call_ring.load(inside.word(inside.node.next_call_at + 4 * slot));
    var region: abi.RegionInfo = .{};
    inside.lease.region.describe(&region);
    attached = .{
        .handle = handle,
        .slot = slot,
        .next_call = if (next == 0) 1 else next,
        .memory = region.window_address,
        .size = region.size,
        .page_size = region.page_size,
        .spin_us = inside.node.spin_max_us,
    };
    // Any value but null: its destructor runs when the thread ends.
    _ = pthread_setspecific(thread_key, &attached);
}

/// Gives the slot of this thread back: its mutexes are abandoned.
pub fn detach() void {
    if (attached.handle == 0 or fork_mark.isChild()) return;
    const inside = Inside.of(attached.handle, attaching) catch return forgetNode();
    defer inside.end();
    inside.drain();
    if (inside.check(attaching)) |_| {
        // From here on only the engine reads what comes for this thread, by its link too.
        inside.push(.{ .kind = @backingInt(Call.detach) }, "", .{ .verb = "detach" }) catch {};
        attached = .{};
    } else |_| inside.leave();
}

/// The node is closed, and its memory with it.
fn forgetNode() void {
    links.close(&attached.link);
    attached = .{};
}

/// This thread's node, for what native code asks of it; attaches the thread if need be.
pub const Facts = struct { node: Node, peers: u32, memory: u64, size: u64, page_size: u32 };

pub fn facts() Error!Facts {
    const inside = try enter(.{ .verb = "describe the node" });
    defer inside.end();
    return .{
        .node = inside.node.*,
        .peers = call_ring.load(inside.word(inside.node.peer_count_at)),
        .memory = attached.memory,
        .size = attached.size,
        .page_size = attached.page_size,
    };
}

/// How long this thread looks at a word before it asks, in microseconds.
pub fn spinUs() *u32 {
    return &attached.spin_us;
}

// The end of a thread.

extern "c" fn pthread_key_create(key: *c_uint, destructor: ?*const fn (*anyopaque) callconv(.c) void) c_int;
extern "c" fn pthread_setspecific(key: c_uint, value: ?*const anyopaque) c_int;

var thread_key: c_uint = 0;
var key_made: std.atomic.Value(bool) = .init(false);

/// From here on a thread that ends detaches. Whether that could be seen to.
fn watchThreads() bool {
    _ = std.c.pthread_mutex_lock(&table_lock);
    defer _ = std.c.pthread_mutex_unlock(&table_lock);
    if (key_made.load(.acquire)) return true;
    if (pthread_key_create(&thread_key, threadEnds) != 0) return false;
    key_made.store(true, .release);
    return true;
}

fn threadEnds(_: *anyopaque) callconv(.c) void {
    detach();
}

// Calls.

/// A call's stay inside of the shared memory of a node.
pub const Inside = struct {
    lease: registry.Lease,
    base: u64,
    node: *const Node,

    fn of(handle: u32, purpose: Purpose) Error!Inside {
        const lease = registry.enter(handle) catch return refuseClosed(handle, purpose);
        const published = find(handle) orelse {
            lease.end();
            return refuse(.not_joined, purpose, "that is no handle of a node of this process");
        };
        return .{ .lease = lease, .base = published.base, .node = &published.node };
    }

    pub fn end(inside: Inside) void {
        inside.lease.end();
    }

    pub fn word(inside: Inside, at: u32) *u32 {
        return @ptrFromInt(inside.base + at);
    }

    fn rings(inside: Inside) struct { calls: Ring, answers: Ring } {
        const each = @sizeOf(call_ring.Words) + inside.node.ring_bytes;
        const first = inside.base + inside.node.rings_at + @as(u64, attached.slot) * 2 * each;
        return .{ .calls = .at(first, inside.node.ring_bytes), .answers = .at(first + each, inside.node.ring_bytes) };
    }

    pub fn linkWords(inside: Inside) *links.Words {
        return @ptrFromInt(inside.base + inside.node.links_at + @as(u64, attached.slot) * @sizeOf(links.Words));
    }

    pub fn linkSeal(inside: Inside) *SealedLink {
        return @ptrFromInt(inside.base + inside.node.seals_at + @as(u64, attached.slot) * inside.node.seal_bytes);
    }

    /// Notes the request by which this thread may be granted a permit over its own link, so that
    /// the permit is given back if the thread ends before it has read the answer.
    pub fn notePermit(inside: Inside, ticket: u32, key: u64) void {
        const words = inside.linkWords();
        @atomicStore(u64, &words.key, key, .seq_cst);
        call_ring.store(&words.ticket, ticket);
    }

    /// This thread's own link, if it has one, and has asked for nothing by its engine since.
    pub fn ownLink(inside: Inside, purpose: Purpose) ?*links.Link {
        inside.drain();
        if (attached.posts > 0) return null;
        return links.usable(inside, &attached.link, purpose);
    }

    /// Blocks until all is answered that this thread has sent by its own link.
    pub fn settle(inside: Inside, purpose: Purpose) Error!void {
        return links.settle(inside, &attached.link, purpose);
    }

    /// This thread has blocked at the desk by its engine: if it often does, it is given a link.
    pub fn blockedByEngine(inside: Inside, purpose: Purpose) void {
        attached.blocked +|= 1;
        if (attached.blocked != inside.node.link_after) return;
        inside.tell(.{ .kind = @backingInt(Call.open_link) }, purpose) catch {};
    }

    /// The node closes, or cannot go on: the engine may not act on this thread's end any more.
    fn leave(inside: Inside) void {
        const lent = @atomicRmw(u32, &inside.linkWords().descriptor, .Xchg, 0, .seq_cst);
        if (lent != 0) thread_link.close(@intCast(lent));
        attached = .{};
    }

    /// Whether a word of the region is quiet, by `runtime/ring/word_marks.ts`. What this thread has
    /// written before, other threads see that begin to wait there after the word has ceased to be.
    pub fn isQuiet(inside: Inside, number: u64) bool {
        const slots = inside.node.quiet_slots;
        const digits = number +% (number >> 8) +% (number >> 16) +% (number >> 24) +% (number >> 32);
        const slot: u32 = @intCast(digits % slots);
        const seen = @atomicRmw(u32, inside.word(inside.node.quiet_at + 4 * slot), .Or, 0, .seq_cst);
        return seen & quiet_mark != 0 and seen & mark_number == number / slots;
    }

    /// The byte of the region that is at an address, in whichever window.
    pub fn byteAt(inside: Inside, address: u64) ?u64 {
        const region = inside.lease.region;
        region.acquire();
        defer region.release();
        const window = region.windows.slots[region.windows.findAddress(address) orelse return null];
        return window.region_byte + (address - window.address);
    }

    /// Takes a slot; where all are taken, waits a while for the engine to find one of a thread that
    /// has ended.
    fn claim(inside: Inside, purpose: Purpose) Error!u32 {
        const node = inside.node;
        const give_up_at = process.boottimeMs() + @as(f64, @floatFromInt(node.slot_wait_ms));
        while (true) {
            const released = call_ring.load(inside.word(node.released_at));
            if (inside.takeSlot()) |slot| return slot;
            try inside.check(purpose);
            if (process.boottimeMs() >= give_up_at) {
                return refuse(.limit_exceeded, purpose, "too many threads use the node; let one of them detach or end first");
            }
            call_ring.store(inside.word(node.wanted_at), 1);
            inside.kick();
            // The engine wakes those that wait in JavaScript, so this thread looks by itself.
            call_ring.sleep(inside.word(node.released_at), released, node.slot_look_ms * std.time.us_per_ms);
        }
    }

    fn takeSlot(inside: Inside) ?u32 {
        const node = inside.node;
        const me: u64 = @bitCast(threads.current());
        for (0..node.slots) |index| {
            const slot: u32 = @intCast(index);
            const holder: *u64 = @ptrFromInt(inside.base + node.threads_at + 8 * slot);
            if (@cmpxchgStrong(u64, holder, 0, me, .seq_cst, .seq_cst) != null) continue;
            // All lower slots were taken at this moment, each by a thread that raises the count as
            // this one does.
            _ = @atomicRmw(u32, inside.word(node.count_at), .Max, slot + 1, .seq_cst);
            return slot;
        }
        return null;
    }

    /// Refuses calls of a node that closes, or cannot go on.
    pub fn check(inside: Inside, purpose: Purpose) Error!void {
        const node = inside.node;
        if (inside.failureText()) |json| return tellFailure(json, purpose);
        const words = [_]u32{ node.closing_at, node.ended_at };
        for (words) |at| {
            if (call_ring.load(inside.word(at)) != 0) return refuse(.node_closed, purpose, closed);
        }
        if (inside.lease.isClosing()) return refuse(.node_closed, purpose, closed);
    }

    /// Why the node cannot go on, as `{"code":"…","message":"…","errno":…}`; null where it can, or
    /// where another thread has yet to write the whole text.
    fn failureText(inside: Inside) ?[]const u8 {
        const length = call_ring.load(inside.word(inside.node.failure_at));
        if (length == 0 or length == failure_begun) return null;
        const first: [*]const u8 = @ptrFromInt(inside.base + inside.node.failure_text_at);
        return first[0..length];
    }

    fn tellFailure(json: []const u8, purpose: Purpose) Error {
        var name: [64]u8 = undefined;
        var message: [1024]u8 = undefined;
        const code = failures.codeOf(failures.fromJson(behind(json, "\"code\":\""), &name));
        return refuse(code, purpose, failures.fromJson(behind(json, "\"message\":\""), &message));
    }

    /// Wakes the engine if it sleeps; to be done after each call that was written.
    fn kick(inside: Inside) void {
        const asleep = inside.word(inside.node.asleep_at);
        if (@atomicRmw(u32, asleep, .Xchg, 0, .seq_cst) == 1) wait.kick(inside.lease.region);
    }

    fn push(inside: Inside, header: Header, payload: []const u8, purpose: Purpose) Error!void {
        const calls = inside.rings().calls;
        const give_up_at = process.boottimeMs() + @as(f64, @floatFromInt(inside.node.call_max_ms));
        while (true) {
            const read = call_ring.load(&calls.words.read);
            if (calls.push(header, payload)) break;
            const left_ms = give_up_at - process.boottimeMs();
            if (left_ms <= 0) return refuse(.engine_failed, purpose, "the engine is silent");
            calls.awaitRoom(read, microseconds(left_ms));
        }
        inside.kick();
    }

    /// Takes the answers to posts that are there.
    fn drain(inside: Inside) void {
        while (inside.rings().answers.pop(&.{})) |header| took(header);
    }

    /// Makes a call; answers its number.
    pub fn begin(inside: Inside, header: Header, payload: []const u8, purpose: Purpose) Error!u32 {
        inside.drain();
        try inside.check(purpose);
        try throwRefusal(purpose);
        const id = newCall(inside.node.call_max);
        var numbered = header;
        numbered.call = id;
        try inside.push(numbered, payload, purpose);
        return id;
    }

    /// Makes a call whose answer nobody waits for.
    pub fn post(inside: Inside, header: Header, purpose: Purpose) Error!void {
        inside.drain();
        try inside.check(purpose);
        const give_up_at = process.boottimeMs() + @as(f64, @floatFromInt(inside.node.desk_silence_ms));
        while (attached.posts >= inside.node.posts_max) {
            if (!try inside.look(give_up_at, purpose)) {
                return refuse(.engine_failed, purpose, "the directory node does not answer");
            }
            inside.drain();
        }
        var numbered = header;
        numbered.call = newCall(inside.node.call_max);
        attached.posts += 1;
        try inside.push(numbered, "", purpose);
    }

    /// Makes a call that has no answer.
    pub fn tell(inside: Inside, header: Header, purpose: Purpose) Error!void {
        try inside.push(header, "", purpose);
    }

    /// Waits for the next answer to a call; null when the time is over. An error that the engine
    /// answers is one.
    pub fn next(inside: Inside, id: u32, until_ms: f64, payload: []u8, purpose: Purpose) Error!?Header {
        while (true) {
            if (inside.rings().answers.pop(payload)) |header| {
                if (header.call != id) {
                    took(header);
                    continue;
                }
                if (header.kind != @backingInt(Answer.@"error")) return header;
                return failed(payload[0..header.length], purpose);
            }
            if (!try inside.look(until_ms, purpose)) return null;
        }
    }

    /// Sleeps until there may be an answer; false when the time is over.
    fn look(inside: Inside, until_ms: f64, purpose: Purpose) Error!bool {
        const answers = inside.rings().answers;
        // Read before the ring is, so that answers from before the engine's end are not lost. A
        // node that closes still answers, until its engine has ended.
        const has_ended = call_ring.load(inside.word(inside.node.ended_at)) != 0 or
            inside.lease.isClosing() or inside.failureText() != null;
        if (!answers.isEmpty()) return true;
        if (has_ended) try inside.check(purpose);
        const left_ms = until_ms - process.boottimeMs();
        if (left_ms <= 0) return false;
        const most_ms: f64 = @floatFromInt(inside.node.ended_look_ms);
        answers.awaitRecord(microseconds(@min(left_ms, most_ms)));
        return true;
    }

    /// Gives a call up. It is answered all the same: by `cancelled`, or by an earlier answer.
    pub fn cancel(inside: Inside, id: u32, purpose: Purpose) Error!void {
        try inside.push(.{ .kind = @backingInt(Call.cancel), .id = id }, "", purpose);
    }

    /// Makes a call, and blocks until it is answered, or given up after the time.
    pub fn ask(inside: Inside, header: Header, sent: []const u8, timeout_ms: i64, payload: []u8, purpose: Purpose) Error!Header {
        const id = try inside.begin(header, sent, purpose);
        const answered = try inside.next(id, deadline(timeout_ms), payload, purpose) orelse late: {
            try inside.cancel(id, purpose);
            const silence: i64 = inside.node.desk_silence_ms;
            break :late try inside.next(id, deadline(silence), payload, purpose) orelse
                return refuse(.engine_failed, purpose, "the directory node does not answer");
        };
        if (answered.kind == @backingInt(Answer.cancelled)) return failures.timedOut(purpose);
        return answered;
    }
};

/// Lets a call of this thread into the shared memory of its node; attaches the thread if need be.
pub fn enter(purpose: Purpose) Error!Inside {
    try refuseChild(purpose);
    if (attached.handle == 0) try attach(0, purpose);
    return Inside.of(attached.handle, purpose) catch |failure| {
        // The next call may find another node.
        forgetNode();
        return failure;
    };
}

/// When a wait that begins now is over, in milliseconds of `boottimeMs`; below zero means never.
pub fn deadline(timeout_ms: i64) f64 {
    if (timeout_ms < 0) return std.math.inf(f64);
    return process.boottimeMs() + @as(f64, @floatFromInt(timeout_ms));
}

fn microseconds(ms: f64) u64 {
    return @intFromFloat(@ceil(ms * std.time.us_per_ms));
}

fn newCall(call_max: u32) u32 {
    const id = attached.next_call;
    attached.next_call = if (id == call_max) 1 else id + 1;
    return id;
}

/// Tells the caller that an earlier release or unlock was refused, for which no call waited. To be
/// done before the call does anything itself, so that the caller may make the same call again.
pub fn throwRefusal(purpose: Purpose) Error!void {
    const code = attached.refused orelse return;
    attached.refused = null;
    return refused(code, purpose);
}

/// The desk has answered a release or an unlock, and no call waits for that.
pub fn noteRefusal(code: u32) void {
    if (code != @backingInt(links.Status.done)) attached.refused = code;
}

/// An answer that no call waits for.
fn took(header: Header) void {
    // What was only told has no number, and is answered at most by the reason why nothing goes on.
    if (header.call == 0) return;
    attached.posts -|= 1;
    if (header.kind == @backingInt(Answer.refused)) attached.refused = header.code;
}

/// What the desk has said of a release or an unlock that it has refused.
fn refused(code: u32, purpose: Purpose) Error {
    return if (code == @backingInt(links.Status.overflow))
        refuse(.limit_exceeded, purpose, "an earlier release was refused, since a semaphore would have more than 2^31 - 1 permits; this call has done nothing, so make it again")
    else
        refuse(.invalid, purpose, "an earlier release or unlock was refused; this call has done nothing, so make it again");
}

/// The engine has answered with an error: a map of its code, message and operation.
fn failed(payload: []const u8, purpose: Purpose) Error {
    var reader: msgpack.Reader = .{ .bytes = payload };
    var name: []const u8 = "";
    var message: []const u8 = "the engine does not say why";
    var names_operation = false;
    for (0..reader.mapEntries() orelse 0) |_| {
        const key = reader.textNext() orelse break;
        const value = reader.next() orelse break;
        if (value == .text and std.mem.eql(u8, key, "code")) name = value.text;
        if (value == .text and std.mem.eql(u8, key, "message")) message = value.text;
        if (value == .text and std.mem.eql(u8, key, "operation")) names_operation = true;
    }
    const code = failures.codeOf(name);
    // One that names no operation is about the node.
    return if (names_operation) failures.refuseAs(code, message) else refuse(code, purpose, message);
}

fn behind(text: []const u8, mark: []const u8) []const u8 {
    const at = std.mem.indexOf(u8, text, mark) orelse return "";
    return text[at + mark.len ..];
}
