//! The bytes of a link whose two ends share a key: sealed on their way from where they lie to the
//! kernel, and opened on their way from the kernel to where they belong, one pass each.
//!
//! Each piece that is sent begins a record of its own, so that pages, which are pieces of their
//! own, can be opened straight to where they belong: what comes before them says where that is.

const std = @import("std");
const linux = std.os.linux;
const links = @import("links.zig");
const seal = @import("seal.zig");

/// The most bytes that a record carries that is made here; one that arrives may carry more. Longer
/// ones stay in no processor's nearest cache, and were slower.
const record_bytes = 32 << 10;
/// How much is received beyond a record that has begun: a page and its frame come in one go.
const ahead_bytes = 8 << 10;
/// Records that are longer are not opened behind others whose bytes are not looked at yet.
const apart_bytes = 16 << 10;

/// How a call that moves bytes answers an error of the kernel's.
pub fn errnoOf(errno: linux.E) i32 {
    return -@as(i32, @backingInt(errno));
}

/// What a record that was changed is told as.
pub const not_authentic: i32 = errnoOf(.BADMSG);
/// What an end inside of a record is told as.
pub const cut_off: i32 = errnoOf(.PROTO);

/// One end of a sealed link.
pub const SealedLink = extern struct {
    /// How bytes that are sent are sealed.
    sends: seal.State,
    /// How bytes that arrive are opened.
    receives: seal.State,
    /// What is sealed and not sent yet, in `out`.
    out_start: u32,
    out_end: u32,
    /// What has arrived and is not opened yet, in `in`.
    in_start: u32,
    in_end: u32,
    /// What was opened in `in`, and not handed over yet.
    plain_start: u32,
    plain_end: u32,
    /// What every further `receive` answers; 0 as long as all is well.
    failure: i32,
    /// Not 0 where `receive` has something to answer of which the kernel knows nothing.
    held: u32,
    out: [2 * (record_bytes + seal.overhead_bytes) + apart_bytes]u8,
    in: [seal.record_max_bytes + seal.overhead_bytes + ahead_bytes]u8,

    comptime {
        std.debug.assert(@offsetOf(SealedLink, "sends") == 0);
        std.debug.assert(@offsetOf(SealedLink, "receives") == 48);
        std.debug.assert(@offsetOf(SealedLink, "out_start") == 96);
        std.debug.assert(@offsetOf(SealedLink, "out_end") == 100);
        std.debug.assert(@offsetOf(SealedLink, "in_start") == 104);
        std.debug.assert(@offsetOf(SealedLink, "in_end") == 108);
        std.debug.assert(@offsetOf(SealedLink, "plain_start") == 112);
        std.debug.assert(@offsetOf(SealedLink, "plain_end") == 116);
        std.debug.assert(@offsetOf(SealedLink, "failure") == 120);
        std.debug.assert(@offsetOf(SealedLink, "held") == 124);
        std.debug.assert(@offsetOf(SealedLink, "out") == 128);
    }

    /// Whether a caller's memory can be a link: it may be anything.
    fn isSound(link: *const SealedLink) bool {
        return link.out_start <= link.out_end and link.out_end <= link.out.len and
            link.in_start <= link.in_end and link.in_end <= link.in.len and
            link.plain_start <= link.plain_end and link.plain_end <= link.in_start;
    }

    /// Seals pieces of memory, one behind the other, and sends them as far as the kernel has room.
    /// Answers how many bytes it took: they are sent, or sealed in `out` and sent first by the next
    /// call; or the negated errno. A page may change meanwhile: each byte is read once.
    pub fn send(link: *SealedLink, fd: i32, pieces: []const std.posix.iovec_const, more: bool) i32 {
        if (!link.isSound() or !link.sends.isSound()) return errnoOf(.INVAL);
        var taken: usize = 0;
        for (pieces) |piece| {
            var rest = piece.base[0..piece.len];
            while (rest.len > 0) {
                const part = rest[0..@min(rest.len, record_bytes)];
                if (link.out.len - link.out_end < part.len + seal.overhead_bytes) {
                    const failure = link.flush(fd, true);
                    if (failure != 0) return failure;
                    if (link.out_end > 0) return @intCast(taken);
                }
                const record = link.out[link.out_end..][0 .. part.len + seal.overhead_bytes];
                link.sends.sealRecord(part, record);
                link.out_end += @intCast(record.len);
                taken += part.len;
                rest = rest[part.len..];
            }
        }
        const failure = link.flush(fd, more);
        return if (failure != 0) failure else @intCast(taken);
    }

    /// Sends what is sealed. Answers 0, also where the kernel has no room for all of it, or the
    /// negated errno.
    fn flush(link: *SealedLink, fd: i32, more: bool) i32 {
        while (link.out_start < link.out_end) {
            const rest = link.out[link.out_start..link.out_end];
            const sent = links.send(fd, &.{.{ .base = rest.ptr, .len = rest.len }}, more);
            if (sent == errnoOf(.AGAIN)) return 0;
            if (sent < 0) return sent;
            link.out_start += @intCast(sent);
        }
        link.out_start = 0;
        link.out_end = 0;
        return 0;
    }

    /// Takes bytes that have arrived, opened: into `first`, and what is beyond into `second`.
    /// Answers as `links.receive` does. No byte of a record counts before all of the record is
    /// known to be as it was sealed; where a record is not, it answers so once the bytes before are
    /// taken.
    pub fn receive(link: *SealedLink, fd: i32, first: []u8, second: []u8) i32 {
        if (!link.isSound() or !link.receives.isSound()) return errnoOf(.INVAL);
        var room: Room = .{ .first = first, .second = second };
        link.open(&room);
        while (link.held == 0 and (room.filled == 0 or room.filled < first.len)) {
            const arrived = link.fill(fd);
            if (arrived == errnoOf(.AGAIN) and room.filled == 0) return arrived;
            if (arrived == errnoOf(.AGAIN)) break;
            if (arrived == 0 and !link.isCutOff()) break;
            if (arrived <= 0) {
                link.failure = if (arrived == 0) cut_off else arrived;
                link.held = 1;
                break;
            }
            link.open(&room);
        }
        return if (room.filled == 0) link.failure else @intCast(room.filled);
    }

    /// Whether the end of the bytes is inside of a record.
    fn isCutOff(link: *const SealedLink) bool {
        return link.in_start < link.in_end or link.receives.length != 0;
    }

    /// Takes from the kernel the rest of the record that has begun, and some of what is behind it.
    fn fill(link: *SealedLink, fd: i32) i32 {
        const there = link.in_end - link.in_start;
        const whole = link.receives.needed();
        const wanted = @max(whole - there + seal.header_bytes, ahead_bytes);
        if (link.in.len - link.in_end < wanted) {
            @memmove(link.in[0..there], link.in[link.in_start..link.in_end]);
            link.in_start = 0;
            link.in_end = there;
            link.plain_start = 0;
            link.plain_end = 0;
        }
        const arrived = links.receive(fd, link.in[link.in_end..][0..wanted], &.{});
        if (arrived > 0) link.in_end += @intCast(arrived);
        return arrived;
    }

    /// Opens the records that have arrived whole, as far as there is room. Says in `held` whether
    /// there is more to answer.
    fn open(link: *SealedLink, room: *Room) void {
        link.held = 1;
        if (link.failure != 0) return;
        while (true) {
            room.put(link, link.in[link.plain_start..link.plain_end]);
            if (link.plain_start < link.plain_end) return;
            const arrived = link.in[link.in_start..link.in_end];
            if (arrived.len < link.receives.needed()) break;
            if (link.receives.length == 0) {
                link.receives.openLength(arrived[0..seal.header_bytes]) catch return link.refuse();
                link.in_start += seal.header_bytes;
                continue;
            }
            const length = link.receives.length;
            const there = room.next();
            if (room.filled > 0 and (there.len < length or (length > apart_bytes and room.isSecond()))) return;
            const straight = there.len >= length;
            const into = if (straight) there[0..length] else arrived[0..length];
            link.receives.openBody(into, arrived[0 .. length + seal.tag_bytes]) catch return link.refuse();
            if (straight) room.filled += length else {
                link.plain_start = link.in_start;
                link.plain_end = link.in_start + length;
            }
            link.in_start += length + seal.tag_bytes;
        }
        if (link.in_start == link.in_end) {
            link.in_start = 0;
            link.in_end = 0;
            link.plain_start = 0;
            link.plain_end = 0;
        }
        link.held = 0;
    }

    fn refuse(link: *SealedLink) void {
        link.failure = not_authentic;
    }
};

/// Where bytes go that are received.
const Room = struct {
    first: []u8,
    second: []u8,
    /// How many bytes of both are there.
    filled: usize = 0,

    /// Where the next bytes go; nothing where there is no room.
    fn next(room: *const Room) []u8 {
        if (room.filled < room.first.len) return room.first[room.filled..];
        return room.second[room.filled - room.first.len ..];
    }

    fn isSecond(room: *const Room) bool {
        return room.filled >= room.first.len;
    }

    /// Takes as many bytes as there is room for, which lie in the link's own memory.
    fn put(room: *Room, link: *SealedLink, bytes: []const u8) void {
        var rest = bytes;
        while (rest.len > 0) {
            const into = room.next();
            const count = @min(into.len, rest.len);
            if (count == 0) return;
            @memcpy(into[0..count], rest[0..count]);
            room.filled += count;
            link.plain_start += @intCast(count);
            rest = rest[count..];
        }
    }
};
