//! The link that a thread of native code has for itself to the desk of the directory node: requests
//! about semaphores, barriers and mutexes, and their answers, past the engine. It is what
//! `runtime/ring/thread_link.ts` is for a thread of JavaScript, and its frames are those of
//! `runtime/wire/sync_frames.ts`.

const std = @import("std");
const linux = std.os.linux;
const call_ring = @import("call_ring.zig");
const crc32c = @import("crc32c.zig");
const failures = @import("program_error.zig");
const program = @import("program.zig");
const process = @import("process.zig");
const SealedLink = @import("sealed_link.zig").SealedLink;
const thread_link = @import("thread_link.zig");
const Error = failures.Error;
const Header = call_ring.Header;
const Inside = program.Inside;
const Purpose = failures.Purpose;

/// The words about a thread's own link in the shared memory, as `runtime/ring/call_slots.ts` has
/// them.
pub const Words = extern struct {
    /// What the engine has lent; 0 where there is none.
    descriptor: u32 = 0,
    /// The node's number of the thread, from 1.
    thread: u32 = 0,
    /// The request that may be granted a permit; 0 where there is none.
    ticket: u32 = 0,
    sealed: u32 = 0,
    /// The semaphore of that permit.
    key: u64 = 0,
};

/// What a request is for, as `runtime/protocol/sync/messages.ts` numbers it.
pub const Operation = enum(u8) {
    acquire = 1,
    try_acquire = 2,
    release = 3,
    make_semaphore = 4,
    arrive = 5,
    lock = 6,
    try_lock = 7,
    unlock = 8,
    cancel = 9,
    futex_wait = 11,
    futex_notify = 13,
};

/// How a request ended, as `runtime/protocol/sync/messages.ts` numbers it.
pub const Status = enum(u8) {
    done = 1,
    made = 2,
    last = 3,
    abandoned = 4,
    unavailable = 5,
    cancelled = 6,
    overflow = 7,
    parties_mismatch = 8,
    not_holder = 9,
    limit_exceeded = 10,
    peer_lost = 11,
    registered = 12,
    notified = 13,
    quiet = 14,
};

/// A frame's header; a name follows.
pub const Frame = extern struct {
    length: u32 = frame_bytes,
    magic: u16 = 0x5344,
    version: u8 = 0,
    kind: u8 = request_kind,
    code: u8 = 0,
    reserved: [3]u8 = @splat(0),
    ticket: u32 = 0,
    count: u32 = 0,
    lock: u32 = 0,
    /// Eight bytes at an address that only four divides.
    key: [2]u32 = @splat(0),
    payload_checksum: u32 = 0,
    body_checksum: u32 = 0,
    header_checksum: u32 = 0,
};

const request_kind = 16;
const reply_kind = 17;
const frame_bytes = 44;
/// The most bytes of the name of a mutex or a barrier.
pub const name_max = 255;
/// The locks of one link that may be held at one time; a thread that holds more asks its engine.
const locks_max = 32;

comptime {
    std.debug.assert(@sizeOf(Words) == 24);
    std.debug.assert(@sizeOf(Frame) == frame_bytes);
}

/// What a thread knows of its link.
pub const Link = struct {
    fd: i32 = -1,
    seal: thread_link.Seal = null,
    /// The thread's tickets begin with this one.
    first: u32 = 0,
    next: u32 = 0,
    /// How many bytes end a wait.
    expected: u32 = 0,
    /// Requests that have no answer yet, and that no call waits for.
    unanswered: u32 = 0,
    has_ended: bool = false,
    /// The tickets of the locks that are held, which name them; 0 where a place is free.
    locks: [locks_max]u32 = @splat(0),
    answers: [65 * frame_bytes]u8 = undefined,
    read: usize = 0,
    end: usize = 0,

    fn freeLock(link: *Link) ?*u32 {
        return for (&link.locks) |*held| {
            if (held.* == 0) break held;
        } else null;
    }

    fn newTicket(link: *Link, tickets: u32) u32 {
        while (true) {
            const ticket = link.first + link.next;
            link.next = (link.next + 1) % tickets;
            if (std.mem.indexOfScalar(u32, &link.locks, ticket) == null) return ticket;
        }
    }

    /// Takes an answer; null where none came in that time, or the link has ended.
    fn receive(link: *Link, timeout_us: u64, wanted: u32) ?Frame {
        if (link.has_ended) return null;
        if (link.end - link.read < frame_bytes and !link.fill(timeout_us, wanted)) return null;
        var frame: Frame = undefined;
        @memcpy(std.mem.asBytes(&frame), link.answers[link.read..][0..frame_bytes]);
        link.read += frame_bytes;
        const sum = crc32c.checksum(std.mem.asBytes(&frame)[0..@offsetOf(Frame, "header_checksum")], 0);
        if (frame.kind == reply_kind and frame.length == frame_bytes and frame.header_checksum == sum) return frame;
        link.has_ended = true;
        return null;
    }

    /// Takes what has arrived; false where that is not all of an answer.
    fn fill(link: *Link, timeout_us: u64, wanted: u32) bool {
        // A part of one may be left of the last time.
        std.mem.copyForwards(u8, &link.answers, link.answers[link.read..link.end]);
        link.end -= link.read;
        link.read = 0;
        const whole = @min(wanted * frame_bytes, link.answers.len);
        const room = link.answers[link.end..@max(whole, link.end + 1)];
        if (link.seal == null and room.len != link.expected) {
            link.expected = @intCast(room.len);
            thread_link.expect(link.fd, link.expected) catch {
                link.has_ended = true;
                return false;
            };
        }
        const count = thread_link.receive(link.fd, link.seal, room, @intCast(@min(timeout_us, std.math.maxInt(u32))));
        const again = -@as(i32, @backingInt(linux.E.AGAIN));
        if (count <= 0) {
            if (count != again) link.has_ended = true;
            return false;
        }
        link.end += @intCast(count);
        return link.end >= frame_bytes;
    }
};

/// A request as the desk gets it.
pub const Demand = struct {
    operation: Operation,
    count: u32 = 0,
    key: u64 = 0,
    lock: u32 = 0,
    name: []const u8 = "",

    /// Whether it may be granted a permit.
    fn takesPermit(demand: Demand) bool {
        return demand.operation == .acquire or demand.operation == .try_acquire;
    }

    /// Whether it may be granted a lock.
    fn takesLock(demand: Demand) bool {
        return demand.operation == .lock or demand.operation == .try_lock;
    }
};

/// Whether a lock was taken by a thread's own link, and not by the node's.
pub fn isOfLink(lock: u32) bool {
    return lock > std.math.maxInt(i32);
}

/// The link of this thread, if it has one that can be used now.
pub fn usable(inside: Inside, link: *Link, purpose: Purpose) ?*Link {
    if (link.fd < 0) {
        const words = inside.linkWords();
        const descriptor = call_ring.load(&words.descriptor);
        if (descriptor == 0) return null;
        link.* = .{
            .fd = @intCast(descriptor),
            .first = inside.node.link_first + (call_ring.load(&words.thread) - 1) * inside.node.link_tickets,
            .seal = if (call_ring.load(&words.sealed) == 1) inside.linkSeal() else null,
        };
    }
    if (!link.has_ended) return link;
    // The engine is told once; then this thread asks by it.
    if (link.unanswered != ended_told) {
        link.unanswered = ended_told;
        inside.tell(.{ .kind = @backingInt(program.Call.link_ended) }, purpose) catch {};
    }
    return null;
}

/// In `unanswered` of a link that has ended: the engine knows.
const ended_told = std.math.maxInt(u32);

/// Sends a request; answers its ticket.
fn send(inside: Inside, link: *Link, demand: Demand) u32 {
    const ticket = link.newTicket(inside.node.link_tickets);
    if (demand.takesPermit()) inside.notePermit(ticket, demand.key);
    if (demand.lock != 0) for (&link.locks) |*held| {
        if (held.* == demand.lock) held.* = 0;
    };
    sendFrame(inside, link, ticket, demand);
    return ticket;
}

fn sendFrame(inside: Inside, link: *Link, ticket: u32, demand: Demand) void {
    var bytes: [frame_bytes + name_max]u8 = undefined;
    var frame: Frame = .{
        .length = @intCast(frame_bytes + demand.name.len),
        .version = @intCast(inside.node.protocol_version),
        .code = @backingInt(demand.operation),
        .ticket = ticket,
        .count = demand.count,
        .lock = demand.lock,
        .key = .{ @truncate(demand.key), @truncate(demand.key >> 32) },
        .body_checksum = crc32c.checksum(demand.name, 0),
    };
    const headed = std.mem.asBytes(&frame)[0..@offsetOf(Frame, "header_checksum")];
    frame.header_checksum = crc32c.checksum(headed, 0);
    @memcpy(bytes[0..frame_bytes], std.mem.asBytes(&frame));
    @memcpy(bytes[frame_bytes..][0..demand.name.len], demand.name);
    var rest: []const u8 = bytes[0 .. frame_bytes + demand.name.len];
    const look_us: u32 = inside.node.ended_look_ms * std.time.us_per_ms;
    while (!link.has_ended and (rest.len > 0 or unsent(link) > 0)) {
        const sent = thread_link.send(link.fd, link.seal, rest, look_us);
        if (sent < 0) link.has_ended = true else rest = rest[@intCast(sent)..];
    }
}

fn unsent(link: *const Link) u32 {
    return if (link.seal) |seal| seal.out_end - seal.out_start else 0;
}

/// Sends a request whose answer nobody waits for.
pub fn post(inside: Inside, link: *Link, demand: Demand, purpose: Purpose) Error!void {
    while (link.unanswered >= inside.node.link_unanswered_max) try settleOne(inside, link, purpose);
    if (link.has_ended) return ended(inside, purpose);
    _ = send(inside, link, demand);
    link.unanswered += 1;
}

/// Blocks until all is answered that was sent and that no call waits for.
pub fn settle(inside: Inside, link: *Link, purpose: Purpose) Error!void {
    while (link.fd >= 0 and !link.has_ended and link.unanswered > 0) try settleOne(inside, link, purpose);
}

fn settleOne(inside: Inside, link: *Link, purpose: Purpose) Error!void {
    try inside.check(purpose);
    if (link.receive(inside.node.ended_look_ms * std.time.us_per_ms, 1)) |frame| took(link, frame);
    if (link.has_ended) return ended(inside, purpose);
}

fn took(link: *Link, frame: Frame) void {
    link.unanswered -|= 1;
    program.noteRefusal(frame.code);
}

/// Sends a request, and blocks until it is answered, or given up after the time. The answer is what
/// the engine would have written; `cancelled` where it was given up.
pub fn ask(inside: Inside, link: *Link, demand: Demand, timeout_ms: i64, purpose: Purpose) Error!Header {
    const ticket = send(inside, link, demand);
    var give_up_ms = program.deadline(timeout_ms);
    var is_cancelled = false;
    const look_ms: f64 = @floatFromInt(inside.node.ended_look_ms);
    while (true) {
        const left_ms = give_up_ms - process.boottimeMs();
        const wait_us: u64 = @intFromFloat(@max(0, @min(left_ms, look_ms)) * std.time.us_per_ms);
        if (link.receive(wait_us, link.unanswered + 1)) |frame| {
            if (frame.ticket == ticket) return answered(inside, link, demand, frame);
            took(link, frame);
            continue;
        }
        if (link.has_ended) return ended(inside, purpose);
        try inside.check(purpose);
        if (left_ms > 0) continue;
        if (is_cancelled) return failures.refuse(.engine_failed, purpose, "the directory node does not answer");
        // From here an answer comes in any case: the real one, or that it was cancelled.
        sendFrame(inside, link, ticket, .{ .operation = .cancel });
        is_cancelled = true;
        give_up_ms = program.deadline(inside.node.desk_silence_ms);
    }
}

fn answered(inside: Inside, link: *Link, demand: Demand, frame: Frame) Header {
    if (demand.takesPermit()) inside.notePermit(0, 0);
    const is_granted = frame.code == @backingInt(Status.done) or frame.code == @backingInt(Status.abandoned);
    if (demand.takesLock() and is_granted) {
        // There was a place before the lock was asked for.
        if (link.freeLock()) |place| place.* = frame.ticket;
    }
    return .{
        .kind = @backingInt(program.Answer.value),
        .code = frame.code,
        .count = frame.count,
        .id = frame.ticket,
        .key = @as(u64, frame.key[1]) << 32 | frame.key[0],
    };
}

/// Whether a request may go by a link: one for a lock only where the lock has a place.
pub fn hasRoom(link: *Link, demand: Demand) bool {
    return !demand.takesLock() or link.freeLock() != null;
}

/// The link has ended: the engine knows why, or will.
fn ended(inside: Inside, purpose: Purpose) Error {
    var payload: [1024]u8 = undefined;
    const header: Header = .{ .kind = @backingInt(program.Call.link_ended) };
    _ = inside.ask(header, "", -1, &payload, purpose) catch |failure| return failure;
    return failures.refuse(.engine_failed, purpose, "the engine has no reason for the end of a link");
}

/// Gives the descriptor up, which the engine does not: the node is closed, or cannot go on.
pub fn close(link: *Link) void {
    if (link.fd >= 0) thread_link.close(link.fd);
    link.* = .{};
}
