//! What an requester can be told, a line each:
//!
//!     miss blocking|spinning COUNT new|kept
//!     silence COUNT MILLISECONDS
//!     scan blocking|spinning RUN_PAGES PAGES read|write new|kept
//!     ping blocking|spinning REQUEST_BYTES ANSWER_BYTES COUNT
//!     flag MILLISECONDS
//!     fresh PAGES

const std = @import("std");
const linux = std.os.linux;
const wire = @import("wire.zig");
const toucher = @import("toucher.zig");
const Memory = @import("window.zig").Memory;

/// Pages between two misses, so that they look like no sequence to anything.
const stride = 3;

/// Pages are touched and fetched.
pub const Touch = struct {
    waiting: wire.Waiting,
    job: toucher.Job,
    /// Pages a request.
    run: u32 = 1,
    memory: Memory = .new,
    /// What each access took is wanted, not what all did.
    each: bool = true,
};

/// A header goes out, and bytes come back.
pub const Ping = struct { waiting: wire.Waiting, request_bytes: u32, answer_bytes: u32, count: u32 };

/// Programs on both sides take turns at a word for so long.
pub const Flag = struct { ms: u32 };

/// Pages of plain memory that was never used are written, one word each.
pub const Fresh = struct { pages: u32 };

pub const Command = union(enum) { touch: Touch, ping: Ping, flag: Flag, fresh: Fresh };

pub fn parse(line: []const u8) !Command {
    var words: Words = .{ .words = std.mem.tokenizeScalar(u8, line, ' ') };
    const command = try parseKind(&words);
    if (words.words.next() != null) return error.TooManyWords;
    return command;
}

fn parseKind(words: *Words) !Command {
    switch (try words.choice(enum { miss, silence, scan, ping, flag, fresh })) {
        .miss => return .{ .touch = .{
            .waiting = try words.choice(wire.Waiting),
            .job = .{ .count = try words.number(1, wire.pages_max / stride), .stride = stride },
            .memory = try words.choice(Memory),
        } },
        .silence => return .{ .touch = .{ .waiting = .blocking, .job = .{
            .count = try words.number(1, wire.pages_max / stride),
            .stride = stride,
            .silence_ms = try words.number(1, 60 * std.time.ms_per_s),
        } } },
        .scan => {
            const waiting = try words.choice(wire.Waiting);
            const run = try words.number(1, wire.run_max);
            const pages = try words.number(1, wire.pages_max);
            const write = try words.choice(enum { read, write }) == .write;
            return .{ .touch = .{
                .waiting = waiting,
                .job = .{ .count = pages, .stride = 1, .write = write },
                .run = run,
                .memory = try words.choice(Memory),
                .each = false,
            } };
        },
        .ping => return .{ .ping = .{
            .waiting = try words.choice(wire.Waiting),
            .request_bytes = try words.number(@sizeOf(wire.Header), wire.ping_max),
            .answer_bytes = try words.number(1, wire.ping_max),
            .count = try words.number(1, toucher.samples_max),
        } },
        .flag => return .{ .flag = .{ .ms = try words.number(1, 60 * std.time.ms_per_s) } },
        .fresh => return .{ .fresh = .{ .pages = try words.number(1, wire.pages_max) } },
    }
}

const Words = struct {
    words: std.mem.TokenIterator(u8, .scalar),

    fn choice(words: *Words, comptime Choice: type) !Choice {
        const word = words.words.next() orelse return error.WordMissing;
        return std.meta.stringToEnum(Choice, word) orelse error.UnknownWord;
    }

    fn number(words: *Words, least: u32, most: u32) !u32 {
        const word = words.words.next() orelse return error.WordMissing;
        const value = try std.fmt.parseInt(u32, word, 10);
        return if (value < least or value > most) error.OutOfRange else value;
    }
};

/// The lines of stdin.
pub const Lines = struct {
    buffer: [256]u8 = undefined,
    /// What of the buffer is read, and what of that was given out.
    filled: usize = 0,
    used: usize = 0,

    /// Nothing at the end. Valid until the next call.
    pub fn next(lines: *Lines) !?[]const u8 {
        while (true) {
            const rest = lines.buffer[lines.used..lines.filled];
            if (std.mem.findScalar(u8, rest, '\n')) |end| {
                lines.used += end + 1;
                return rest[0..end];
            }
            std.mem.copyForwards(u8, &lines.buffer, rest);
            lines.filled = rest.len;
            lines.used = 0;
            if (lines.filled == lines.buffer.len) return error.LineTooLong;
            const space = lines.buffer[lines.filled..];
            const taken = try wire.check("read stdin", linux.read(0, space.ptr, space.len));
            if (taken == 0) return null;
            lines.filled += taken;
        }
    }
};
