//! Semaphores, mutexes, barriers and waits for words, for native code: the requests of
//! `runtime/protocol/sync/`, and what their answers mean.

const std = @import("std");
const linux = std.os.linux;
const failures = @import("program_error.zig");
const links = @import("program_link.zig");
const look = @import("look.zig");
const process = @import("process.zig");
const program = @import("program.zig");
const call_ring = @import("call_ring.zig");
const Answer = program.Answer;
const Code = failures.Code;
const Demand = links.Demand;
const Error = failures.Error;
const Header = call_ring.Header;
const Inside = program.Inside;
const Operation = links.Operation;
const Purpose = failures.Purpose;
const refuse = failures.refuse;
const Status = links.Status;

pub const permits_max = std.math.maxInt(i32);
pub const parties_max = 65536;

fn headerOf(demand: Demand) Header {
    return .{
        .kind = @backingInt(program.Call.sync),
        .code = @backingInt(demand.operation),
        .count = demand.count,
        .id = demand.lock,
        .key = demand.key,
    };
}

fn statusOf(answered: Header) ?Status {
    return std.enums.fromInt(Status, answered.code);
}

/// Asks, and blocks until the answer is there: by this thread's own link or by its engine. The
/// thread asks one way only once all is answered that it has asked for the other way.
fn ask(demand: Demand, timeout_ms: i64, purpose: Purpose) Error!Header {
    try checkTime(timeout_ms, purpose);
    const inside = try program.enter(purpose);
    defer inside.end();
    try inside.check(purpose);
    try program.throwRefusal(purpose);
    const for_engine = mayBeGathered(demand, inside);
    if (if (for_engine) null else inside.ownLink(purpose)) |link| {
        if (links.hasRoom(link, demand)) {
            const answered = try links.ask(inside, link, demand, timeout_ms, purpose);
            if (statusOf(answered) == .cancelled) return failures.timedOut(purpose);
            try tellEngine(inside, answered, purpose);
            return answered;
        }
    }
    try inside.settle(purpose);
    var payload: [1024]u8 = undefined;
    const answered = try inside.ask(headerOf(demand), demand.name, timeout_ms, &payload, purpose);
    if (!for_engine) inside.blockedByEngine(purpose);
    return answered;
}

/// Whether engines may gather what is asked for, by a tree, so that the desk is not to be asked.
fn mayBeGathered(demand: Demand, inside: Inside) bool {
    const few = inside.node.tree_nodes;
    if (demand.operation != .arrive or demand.count <= few) return false;
    return call_ring.load(inside.word(inside.node.peer_count_at)) + 1 > few;
}

/// What is left of a time that is over is below zero, and must not be a wait for ever.
fn checkTime(timeout_ms: i64, purpose: Purpose) Error!void {
    if (timeout_ms < -1) return refuse(.invalid, purpose, "the time-out must be TDSM_FOREVER, 0 or more milliseconds");
}

/// The engine tells the launcher that a node is gone before this thread acts on that, and logs that
/// a mutex was abandoned.
fn tellEngine(inside: Inside, answered: Header, purpose: Purpose) Error!void {
    const status = statusOf(answered);
    if (status != .peer_lost and status != .abandoned) return;
    var words: [512]u8 = undefined;
    var payload: [1024]u8 = undefined;
    const header: Header = .{
        .kind = @backingInt(program.Call.link_told),
        .code = answered.code,
        .count = answered.count,
    };
    _ = try inside.ask(header, purpose.write(&words), -1, &payload, purpose);
}

/// Asks for what no call waits for. A release tells of an earlier request that was refused, and is
/// not made then. An unlock is made in any case and tells of none, since few callers look at what
/// an unlock answers.
fn post(demand: Demand, purpose: Purpose) Error!void {
    const inside = try program.enter(purpose);
    defer inside.end();
    try inside.check(purpose);
    const of_engine = demand.operation == .unlock and !links.isOfLink(demand.lock);
    const link = if (of_engine) null else inside.ownLink(purpose);
    if (link == null) try inside.settle(purpose);
    if (demand.operation != .unlock) try program.throwRefusal(purpose);
    if (link) |own| return links.post(inside, own, demand, purpose);
    return inside.post(headerOf(demand), purpose);
}

/// What an answer stands for that is not what was hoped for.
fn unexpected(answered: Header, purpose: Purpose) Error {
    const status = statusOf(answered) orelse return refuse(.engine_failed, purpose, "an answer of an unknown status");
    return switch (status) {
        .overflow => refuse(.limit_exceeded, purpose, "it would have more than 2^31 - 1 permits"),
        .parties_mismatch => refuse(.invalid, purpose, "another thread counts another number of parties"),
        .limit_exceeded => refuse(.limit_exceeded, purpose, "too many semaphores, barriers and mutexes are in use, or too many requests wait"),
        .peer_lost => peerLost(answered.count, purpose),
        else => refuse(.engine_failed, purpose, "an unexpected status"),
    };
}

fn peerLost(node: u32, purpose: Purpose) Error {
    var text: [128]u8 = undefined;
    return refuse(.peer_lost, purpose, std.fmt.bufPrint(
        &text,
        "node {d} takes part in it and is gone; use another number of parties or another name",
        .{node},
    ) catch unreachable);
}

/// The bytes of a name that other nodes can use.
fn nameOf(name: ?[*:0]const u8, purpose: Purpose) Error![]const u8 {
    const text = std.mem.span(name orelse return refuse(.invalid, purpose, "its name is null"));
    if (text.len >= 1 and text.len <= links.name_max and std.unicode.utf8ValidateSlice(text)) return text;
    return refuse(.invalid, .{ .verb = purpose.verb }, "its name must have 1 to 255 bytes of UTF-8");
}

// Semaphores.

pub fn acquire(key: u64, timeout_ms: i64) Error!Code {
    const purpose: Purpose = .{ .verb = "acquire semaphore", .number = key };
    const answered = try ask(.{ .operation = .acquire, .key = key }, timeout_ms, purpose);
    return if (statusOf(answered) == .done) .ok else unexpected(answered, purpose);
}

pub fn tryAcquire(key: u64) Error!Code {
    const purpose: Purpose = .{ .verb = "acquire semaphore", .number = key };
    const answered = try ask(.{ .operation = .try_acquire, .key = key }, -1, purpose);
    return switch (statusOf(answered) orelse .cancelled) {
        .done => .ok,
        .unavailable => refuse(.unavailable, purpose, "there is no permit now"),
        else => unexpected(answered, purpose),
    };
}

pub fn release(key: u64, count: u32) Error!Code {
    const purpose: Purpose = .{ .verb = "release semaphore", .number = key };
    if (count < 1 or count > permits_max) return refuse(.invalid, purpose, "the count must be from 1 to 2^31 - 1");
    try post(.{ .operation = .release, .key = key, .count = count }, purpose);
    return .ok;
}

pub fn makeSemaphore(count: u32) Error!u64 {
    const purpose: Purpose = .{ .verb = "make a semaphore" };
    if (count > permits_max) return refuse(.invalid, purpose, "the count must be from 0 to 2^31 - 1");
    const answered = try ask(.{ .operation = .make_semaphore, .count = count }, -1, purpose);
    return if (statusOf(answered) == .made) answered.key else unexpected(answered, purpose);
}

// Mutexes.

/// A lock as native code keeps it; blank once it is unlocked.
pub const Lock = extern struct {
    /// The number of the request that locked it.
    ticket: u32 = 0,
    reserved: u32 = 0,
};

fn locked(answered: Header, lock: *Lock, purpose: Purpose) Error!Code {
    const status = statusOf(answered) orelse .cancelled;
    switch (status) {
        .done, .abandoned => {
            lock.* = .{ .ticket = answered.id };
            return if (status == .done) .ok else .abandoned;
        },
        .unavailable => return refuse(.unavailable, purpose, "another thread holds it"),
        else => return unexpected(answered, purpose),
    }
}

pub fn lockMutex(name: ?[*:0]const u8, timeout_ms: i64, out: ?*Lock) Error!Code {
    return lockBy(.lock, name, timeout_ms, out);
}

pub fn tryLock(name: ?[*:0]const u8, out: ?*Lock) Error!Code {
    return lockBy(.try_lock, name, -1, out);
}

fn lockBy(operation: Operation, name: ?[*:0]const u8, timeout_ms: i64, out: ?*Lock) Error!Code {
    var purpose: Purpose = .{ .verb = "lock mutex" };
    const lock = out orelse return refuse(.invalid, purpose, "there is no place for the lock");
    const text = try nameOf(name, purpose);
    purpose.name = text;
    const answered = try ask(.{ .operation = operation, .name = text }, timeout_ms, purpose);
    return locked(answered, lock, purpose);
}

pub fn unlock(held: ?*Lock) Error!Code {
    const purpose: Purpose = .{ .verb = "unlock a mutex" };
    const lock = held orelse return refuse(.invalid, purpose, "the lock is null");
    if (lock.ticket == 0) return refuse(.invalid, purpose, "this lock holds none");
    const ticket = lock.ticket;
    lock.* = .{};
    try post(.{ .operation = .unlock, .lock = ticket }, purpose);
    return .ok;
}

// Barriers.

pub fn arrive(name: ?[*:0]const u8, parties: u32, timeout_ms: i64) Error!Code {
    var purpose: Purpose = .{ .verb = "wait at barrier" };
    if (parties < 1 or parties > parties_max) return refuse(.invalid, purpose, "the number of parties must be from 1 to 65536");
    const text = try nameOf(name, purpose);
    purpose.name = text;
    const answered = try ask(.{ .operation = .arrive, .name = text, .count = parties }, timeout_ms, purpose);
    return switch (statusOf(answered) orelse .cancelled) {
        .done => .ok,
        .last => .last,
        else => unexpected(answered, purpose),
    };
}

// Waits for words, with the steps of `runtime/protocol/sync/futex_wait.ts`.

/// Waits until a word is notified, unless it has another value than `expected`.
pub fn waitFor(comptime Word: type, address: ?*const anyopaque, expected: Word, timeout_ms: i64) Error!Code {
    const purpose: Purpose = .{ .verb = "wait for a word" };
    try checkTime(timeout_ms, purpose);
    const place = address orelse return refuse(.invalid, purpose, "its address is null");
    const byte = try byteOf(@intFromPtr(place), @sizeOf(Word), purpose);
    const word: *const Word = @ptrCast(@alignCast(place));
    const begun_ms = process.boottimeMs();
    const until_ms = program.deadline(timeout_ms);
    if (!try spin(Word, word, expected, until_ms)) return .changed;
    if (timeout_ms == 0) return failures.timedOut(purpose);
    var wait: OpenWait = try .open(byte, purpose);
    const is_unchanged = load(Word, word) == expected;
    if (is_unchanged) try wait.stay() else try wait.giveUp();
    const end = try wait.finish(if (is_unchanged) until_ms else null);
    const is_late = end == .cancelled and is_unchanged;
    learnToLook(if (is_late) std.math.inf(f64) else process.boottimeMs() - begun_ms);
    if (is_late) return failures.timedOut(purpose);
    return if (end == .done) .ok else .changed;
}

/// A wait that the desk knows of. The word is looked at outside of every lease.
const OpenWait = struct {
    purpose: Purpose,
    call: u32,
    ticket: u32,

    fn open(byte: u64, purpose: Purpose) Error!OpenWait {
        const inside = try program.enter(purpose);
        defer inside.end();
        const call = try inside.begin(headerOf(.{ .operation = .futex_wait, .key = byte }), "", purpose);
        var payload: [1024]u8 = undefined;
        const answered = try inside.next(call, silence(inside), &payload, purpose) orelse {
            // Or the desk would have a wait whose thread never looks, and every notify there waits.
            try inside.cancel(call, purpose);
            return silent(purpose);
        };
        if (statusOf(answered) != .registered) return unexpected(answered, purpose);
        return .{ .purpose = purpose, .call = call, .ticket = answered.id };
    }

    fn stay(wait: OpenWait) Error!void {
        const inside = try program.enter(wait.purpose);
        defer inside.end();
        return inside.tell(.{ .kind = @backingInt(program.Call.futex_stay), .id = wait.ticket }, wait.purpose);
    }

    fn giveUp(wait: OpenWait) Error!void {
        const inside = try program.enter(wait.purpose);
        defer inside.end();
        return inside.cancel(wait.call, wait.purpose);
    }

    /// Waits for the end, which comes soon where there is no time: the wait was given up.
    fn finish(wait: OpenWait, until_ms: ?f64) Error!enum { done, cancelled } {
        const inside = try program.enter(wait.purpose);
        defer inside.end();
        var payload: [1024]u8 = undefined;
        const answered = found: {
            if (until_ms) |until| {
                if (try inside.next(wait.call, until, &payload, wait.purpose)) |answered| break :found answered;
                try inside.cancel(wait.call, wait.purpose);
            }
            break :found try inside.next(wait.call, silence(inside), &payload, wait.purpose) orelse return silent(wait.purpose);
        };
        if (answered.kind == @backingInt(Answer.cancelled)) return .cancelled;
        return if (statusOf(answered) == .done) .done else unexpected(answered, wait.purpose);
    }
};

fn silence(inside: Inside) f64 {
    return program.deadline(inside.node.desk_silence_ms);
}

fn silent(purpose: Purpose) Error {
    return refuse(.engine_failed, purpose, "the directory node does not answer");
}

/// Looks at a word for a while; false once the word has changed.
fn spin(comptime Word: type, word: *const Word, expected: Word, until_ms: f64) Error!bool {
    if (load(Word, word) != expected) return false;
    const bounds = (try program.facts()).node;
    const looked_ms = @as(f64, @floatFromInt(program.spinUs().*)) / std.time.us_per_ms;
    const end_ms = @min(process.boottimeMs() + looked_ms, until_ms);
    while (true) {
        // The thread that is to change the word may be one that waits for this core.
        _ = linux.sched_yield();
        for (0..bounds.spin_looks) |_| {
            if (load(Word, word) == expected) continue;
            learnToLook(0);
            return false;
        }
        if (process.boottimeMs() >= end_ms) return true;
    }
}

/// A wait took so long.
fn learnToLook(took_ms: f64) void {
    const bounds = (program.facts() catch return).node;
    const spin_us = program.spinUs();
    spin_us.* = look.learned(spin_us.*, took_ms * std.time.us_per_ms, bounds.spin_min_us, bounds.spin_max_us);
}

fn load(comptime Word: type, word: *const Word) Word {
    return @atomicLoad(Word, word, .seq_cst);
}

/// The byte of the region at which a word begins.
fn byteOf(address: u64, size: u64, purpose: Purpose) Error!u64 {
    if (address % size != 0) return refuse(.invalid, purpose, "its address is no multiple of its size");
    const inside = try program.enter(purpose);
    defer inside.end();
    return inside.byteAt(address) orelse refuse(.invalid, purpose, "it is not in the region");
}

/// Wakes threads that wait for a word; answers how many.
pub fn notify(address: ?*const anyopaque, count: u32) Error!u32 {
    const purpose: Purpose = .{ .verb = "notify a word" };
    const word = address orelse return refuse(.invalid, purpose, "its address is null");
    const byte = try byteOf(@intFromPtr(word), word_bytes, purpose);
    if (count == 0) return 0;
    const inside = try program.enter(purpose);
    defer inside.end();
    if (inside.isQuiet(byte / word_bytes)) return 0;
    var payload: [1024]u8 = undefined;
    const demand: Demand = .{ .operation = .futex_notify, .key = byte, .count = @min(count, permits_max) };
    const answered = try inside.ask(headerOf(demand), "", -1, &payload, purpose);
    return switch (statusOf(answered) orelse .cancelled) {
        .notified, .quiet => answered.count,
        else => unexpected(answered, purpose),
    };
}

/// The bytes of the smallest word that a thread can wait for.
const word_bytes = 4;
