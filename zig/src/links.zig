//! One sleep for all that the engine's thread waits for, and the bytes of its links.
//!
//! Deno listens, connects and carries the handshake. Then bytes go by the descriptor beneath its
//! connection, which stays open and unread, and is closed by Deno at the end. The engine's thread
//! sleeps in one epoll of faults, kicks, signals, links, and the epoll of the event loop that Deno
//! runs on this very thread, so that nothing which the event loop has to do waits for the sleep to
//! end.
//!
//! Nothing here blocks but `wait`, allocates, or decides anything. `sealed_link.zig` seals before
//! `send`, and opens behind `receive`.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const clock = @import("clock.zig");
const look = @import("look.zig");
const realtime = @import("realtime.zig");
const schedstat = @import("schedstat.zig");
const starvation = @import("starvation.zig");
const status = @import("status.zig");
const Region = @import("region.zig").Region;

/// What a link waits for.
pub const Interest = packed struct(u32) {
    /// Bytes, or the other side's end.
    bytes: bool = false,
    /// Room for bytes to send.
    room: bool = false,
    _: u30 = 0,
};

/// What happened to a link.
pub const Ready = abi.LinkReady;

/// The region that this thread serves; a slot that stays, whether the region is closed or not.
threadlocal var served: ?*Region = null;

/// What an event is about, in its upper half; the lower half is a descriptor.
const Source = enum(u32) { link, faults, kick, loop, signals };

/// Opens an epoll, and makes this thread's timers exact, as a sleep of 30 us must not take 80, and
/// its turns on a core short.
pub fn open() status.Error!i32 {
    const epoll = try status.check(linux.epoll_create1(linux.EPOLL.CLOEXEC));
    realtime.takeShortTurns();
    _ = linux.prctl(@backingInt(linux.PR.SET_TIMERSLACK), 1, 0, 0, 0);
    return @intCast(epoll);
}

pub fn close(epoll: i32) void {
    _ = linux.close(epoll);
}

/// From here on `wait` tells of the region's faults and kicks, and counts its turns there. Ends
/// with the region.
pub fn watchRegion(epoll: i32, region: *Region) status.Error!void {
    served = region;
    try control(epoll, linux.EPOLL.CTL_ADD, region.uffd, .faults, linux.EPOLL.IN);
    try control(epoll, linux.EPOLL.CTL_ADD, region.event, .kick, linux.EPOLL.IN);
}

/// From here on faults are of no interest: another thread takes them.
pub fn leaveFaults(epoll: i32, region: *const Region) status.Error!void {
    // Where the program has closed that descriptor, the epoll has let go of it.
    control(epoll, linux.EPOLL.CTL_DEL, region.uffd, .faults, 0) catch |failure| switch (status.lastErrno()) {
        @backingInt(linux.E.BADF), @backingInt(linux.E.NOENT) => {},
        else => return failure,
    };
}

/// From here on `wait` tells when the event loop whose epoll this is has something to do, and of
/// each connection that comes to its listener: the event loop may have taken note of one without
/// having acted upon it.
pub fn watchLoop(epoll: i32, loop: i32, listener: i32) status.Error!void {
    try control(epoll, linux.EPOLL.CTL_ADD, loop, .loop, linux.EPOLL.IN);
    try control(epoll, linux.EPOLL.CTL_ADD, listener, .loop, linux.EPOLL.IN | linux.EPOLL.ET);
}

/// From here on `wait` tells of each write to the eventfd of `signals.zig`.
pub fn watchSignals(epoll: i32, event: i32) status.Error!void {
    return control(epoll, linux.EPOLL.CTL_ADD, event, .signals, linux.EPOLL.IN | linux.EPOLL.ET);
}

/// Adds a link, of which nothing is told yet.
pub fn add(epoll: i32, fd: i32) status.Error!void {
    return control(epoll, linux.EPOLL.CTL_ADD, fd, .link, eventsOf(.{}));
}

/// Says what a link waits for.
pub fn watch(epoll: i32, fd: i32, interest: Interest) status.Error!void {
    return control(epoll, linux.EPOLL.CTL_MOD, fd, .link, eventsOf(interest));
}

/// Nothing more is told of a link.
pub fn remove(epoll: i32, fd: i32) status.Error!void {
    return control(epoll, linux.EPOLL.CTL_DEL, fd, .link, 0);
}

/// The event loop is told nothing more of a connection. It would be woken by each byte that it is
/// not to read, and it takes no notice that its descriptor is gone when it closes the connection.
pub fn detach(loop: i32, fd: i32) void {
    _ = linux.epoll_ctl(loop, linux.EPOLL.CTL_DEL, fd, null);
}

fn eventsOf(interest: Interest) u32 {
    var events: u32 = 0;
    if (interest.bytes) events |= linux.EPOLL.IN;
    if (interest.room) events |= linux.EPOLL.OUT;
    // The end of a connection is always told; once, if nobody reads it.
    return if (interest.bytes) events else events | linux.EPOLL.ET;
}

fn control(epoll: i32, operation: u32, fd: i32, source: Source, events: u32) status.Error!void {
    const descriptor: u64 = @as(u32, @bitCast(fd));
    var event: linux.epoll_event = .{
        .events = events,
        .data = .{ .u64 = @as(u64, @backingInt(source)) << 32 | descriptor },
    };
    _ = try status.check(linux.epoll_ctl(epoll, operation, fd, &event));
}

/// The most events that one `wait` tells; others are told by the next.
pub const ready_max = 64;

/// How long the calling thread has looked in `wait`, in nanoseconds.
threadlocal var looked_ns: u64 = 0;

/// How the calling thread has spent its time since it began.
pub fn times() abi.ThreadTimes {
    const counts = schedstat.ofThisThread();
    return .{
        .looked_ns = looked_ns,
        .ran_ns = clock.nowNs(.THREAD_CPUTIME_ID),
        .waited_ns = if (counts) |known| known.waited_ns else 0,
    };
}

/// Sleeps until something happens, at most for `timeout_us`, or without end if that is negative.
/// For the first `look_us` of that it looks again and again, unless more threads go on wanting a
/// core than there are cores: see `look.zig`. Answers how many links are in `out`, and bits of
/// `abi.ready_*`.
pub fn wait(epoll: i32, out: []Ready, timeout_us: i32, look_us: u31) status.Error!i32 {
    if (served) |region| region.turns.store(region.turns.load(.monotonic) +% 1, .monotonic);
    var events: [ready_max]linux.epoll_event = undefined;
    const some = events[0..@min(events.len, out.len)];
    var count: usize = 0;
    var bits: i32 = 0;
    var left_us = timeout_us;
    if (look_us > 0 and timeout_us != 0) {
        const begun = clock.nowNs(.MONOTONIC);
        const given_ns = look.given_ns;
        const most_us = if (timeout_us < 0) look_us else @min(look_us, @as(u31, @intCast(timeout_us)));
        const Glance = struct {
            epoll: i32,
            events: []linux.epoll_event,

            pub fn take(glance: @This()) status.Error!usize {
                return sleep(glance.epoll, glance.events, 0);
            }
        };
        switch (try look.untilNews(Glance{ .epoll = epoll, .events = some }, begun, most_us)) {
            .seen => |seen| {
                count = seen;
                bits |= abi.ready_seen;
            },
            .taken => bits |= abi.ready_taken,
            .over => bits |= abi.ready_over,
        }
        const passed_ns = clock.nowNs(.MONOTONIC) - begun;
        looked_ns += passed_ns -| (look.given_ns - given_ns);
        if (timeout_us >= 0) left_us = @intCast(@as(u64, @intCast(timeout_us)) -| passed_ns / std.time.ns_per_us);
    }
    if (count == 0) {
        count = try sleep(epoll, some, left_us);
        if (left_us != 0) starvation.slept();
    }
    var links: i32 = 0;
    for (events[0..count]) |event| {
        const fd: i32 = @bitCast(@as(u32, @truncate(event.data.u64)));
        switch (@as(Source, @fromBackingInt(@as(u32, @intCast(event.data.u64 >> 32))))) {
            .link => {
                out[@intCast(links)] = .{ .fd = fd, .bits = bitsOf(event.events) };
                links += 1;
            },
            .faults => bits |= abi.ready_faults,
            .kick => {
                bits |= abi.ready_kicked;
                drain(fd);
            },
            .loop => bits |= abi.ready_loop,
            .signals => bits |= abi.ready_signals,
        }
    }
    return links | bits;
}

/// How many events came; 0 after the time or a signal.
fn sleep(epoll: i32, events: []linux.epoll_event, timeout_us: i32) status.Error!usize {
    const timeout: linux.timespec = .{
        .sec = @divFloor(@max(timeout_us, 0), std.time.us_per_s),
        .nsec = @mod(@max(timeout_us, 0), std.time.us_per_s) * @as(isize, std.time.ns_per_us),
    };
    const result = linux.syscall6(
        .epoll_pwait2,
        @as(u32, @bitCast(epoll)),
        @intFromPtr(events.ptr),
        events.len,
        if (timeout_us < 0) 0 else @intFromPtr(&timeout),
        0,
        0,
    );
    return switch (linux.errno(result)) {
        .SUCCESS => result,
        // A signal handler ran; the caller looks around and waits again.
        .INTR => 0,
        else => |errno| status.fromErrno(errno),
    };
}

fn bitsOf(events: u32) u32 {
    // An error, or the end of both directions, is found by reading and by sending alike.
    const over = events & (linux.EPOLL.ERR | linux.EPOLL.HUP) != 0;
    var bits: u32 = 0;
    if (over or events & linux.EPOLL.IN != 0) bits |= abi.link_bytes;
    if (over or events & linux.EPOLL.OUT != 0) bits |= abi.link_room;
    return bits;
}

fn drain(event: i32) void {
    var count: u64 = undefined;
    // EAGAIN: another thread was quicker.
    _ = linux.read(event, std.mem.asBytes(&count), @sizeOf(u64));
}

/// Takes bytes that have arrived: into `first`, and what is beyond into `second`. Answers how many,
/// 0 at the other side's end, or the negated errno; EAGAIN where there are none.
pub fn receive(fd: i32, first: []u8, second: []u8) i32 {
    var vectors = [_]std.posix.iovec{
        .{ .base = first.ptr, .len = first.len },
        .{ .base = second.ptr, .len = second.len },
    };
    var message: linux.msghdr = .{
        .name = null,
        .namelen = 0,
        .iov = &vectors,
        .iovlen = if (second.len == 0) 1 else 2,
        .control = null,
        .controllen = 0,
        .flags = 0,
    };
    while (true) {
        const result = linux.recvmsg(fd, &message, linux.MSG.DONTWAIT);
        if (linux.errno(result) != .INTR) return answer(result);
    }
}

/// The most pieces of one `send`.
pub const pieces_max = 64;

/// Sends pieces of memory, one behind the other, as far as the kernel has room. Answers how many
/// bytes it took, or the negated errno; EAGAIN where it had room for none.
pub fn send(fd: i32, pieces: []const std.posix.iovec_const, more: bool) i32 {
    const message: linux.msghdr_const = .{
        .name = null,
        .namelen = 0,
        .iov = pieces.ptr,
        .iovlen = pieces.len,
        .control = null,
        .controllen = 0,
        .flags = 0,
    };
    const behind: u32 = if (more) linux.MSG.MORE else 0;
    const flags: u32 = linux.MSG.DONTWAIT | linux.MSG.NOSIGNAL | behind;
    while (true) {
        const result = linux.sendmsg(fd, &message, flags);
        if (linux.errno(result) != .INTR) return answer(result);
    }
}

fn answer(result: usize) i32 {
    return switch (linux.errno(result)) {
        .SUCCESS => @intCast(@min(result, std.math.maxInt(i32))),
        else => |errno| -@as(i32, @backingInt(errno)),
    };
}

/// An address as IPv6 has it, where one of IPv4 is mapped, and a port.
const Endpoint = struct {
    address: [16]u8,
    port: u16,

    const mapped = [_]u8{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    fn parse(text: [*:0]const u8, port: u16) ?Endpoint {
        var of4: [4]u8 = undefined;
        if (inet_pton(linux.AF.INET, text, &of4) == 1) return .{ .address = mapped ++ of4, .port = port };
        var of6: [16]u8 = undefined;
        if (inet_pton(linux.AF.INET6, text, &of6) == 1) return .{ .address = of6, .port = port };
        return null;
    }

    fn of(fd: i32, side: enum { local, remote }) ?Endpoint {
        var storage: extern union { any: linux.sockaddr, in: linux.sockaddr.in, in6: linux.sockaddr.in6 } = undefined;
        var size: linux.socklen_t = @sizeOf(@TypeOf(storage));
        const result = switch (side) {
            .local => linux.getsockname(fd, &storage.any, &size),
            .remote => linux.getpeername(fd, &storage.any, &size),
        };
        if (linux.errno(result) != .SUCCESS) return null;
        switch (storage.any.family) {
            linux.AF.INET => return .{
                .address = mapped ++ @as([4]u8, @bitCast(storage.in.addr)),
                .port = std.mem.bigToNative(u16, storage.in.port),
            },
            linux.AF.INET6 => return .{
                .address = storage.in6.addr,
                .port = std.mem.bigToNative(u16, storage.in6.port),
            },
            else => return null,
        }
    }
};

extern "c" fn inet_pton(family: c_int, text: [*:0]const u8, out: *anyopaque) c_int;

/// Finds the descriptor beneath a connection, or, where `remote` is left out, beneath a listener.
pub fn find(
    local: [*:0]const u8,
    local_port: u16,
    remote: ?[*:0]const u8,
    remote_port: u16,
) ?i32 {
    const near = Endpoint.parse(local, local_port) orelse return null;
    const far = if (remote) |text| Endpoint.parse(text, remote_port) orelse return null else null;
    var fd: i32 = 0;
    while (fd < abi.descriptors_max) : (fd += 1) {
        const at = Endpoint.of(fd, .local) orelse continue;
        if (!std.meta.eql(at, near)) continue;
        const with = Endpoint.of(fd, .remote);
        if (far) |wanted| {
            if (with != null and std.meta.eql(with.?, wanted)) return fd;
        } else if (with == null) return fd;
    }
    return null;
}

/// Finds the epoll of the event loop that watches a descriptor.
pub fn findLoop(watched: i32) ?i32 {
    var fd: i32 = 0;
    while (fd < abi.descriptors_max) : (fd += 1) if (watches(fd, watched)) return fd;
    return null;
}

/// Whether a descriptor is that of an epoll, and the epoll watches another descriptor.
fn watches(epoll: i32, watched: i32) bool {
    var path: [64]u8 = undefined;
    var text: [64]u8 = undefined;
    const link = std.fmt.bufPrintSentinel(&path, "/proc/self/fd/{d}", .{epoll}, 0) catch unreachable;
    const length = linux.readlink(link, &text, text.len);
    if (linux.errno(length) != .SUCCESS) return false;
    if (!std.mem.eql(u8, text[0..length], "anon_inode:[eventpoll]")) return false;
    const about = std.fmt.bufPrintSentinel(&path, "/proc/self/fdinfo/{d}", .{epoll}, 0) catch unreachable;
    const opened = linux.open(about, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
    if (linux.errno(opened) != .SUCCESS) return false;
    const file: i32 = @intCast(opened);
    defer _ = linux.close(file);
    return lists(file, watched);
}

/// Whether a file about an epoll has a line `tfd: WATCHED …`. It is read in pieces: an event loop
/// may watch thousands of descriptors.
fn lists(file: i32, watched: i32) bool {
    var buffer: [4096]u8 = undefined;
    var kept: usize = 0;
    while (true) {
        const result = linux.read(file, buffer[kept..].ptr, buffer.len - kept);
        if (linux.errno(result) != .SUCCESS) return false;
        const end = kept + result;
        var start: usize = 0;
        while (std.mem.indexOfScalarPos(u8, buffer[0..end], start, '\n')) |line_end| : (start = line_end + 1) {
            if (isAbout(buffer[start..line_end], watched)) return true;
        }
        // A line is far shorter than the buffer.
        if (result == 0 or start == 0) return false;
        kept = end - start;
        std.mem.copyForwards(u8, &buffer, buffer[start..end]);
    }
}

fn isAbout(line: []const u8, watched: i32) bool {
    var words = std.mem.tokenizeScalar(u8, line, ' ');
    if (!std.mem.eql(u8, words.next() orelse return false, "tfd:")) return false;
    const fd = std.fmt.parseInt(i32, words.next() orelse return false, 10) catch return false;
    return fd == watched;
}
