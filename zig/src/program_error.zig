//! Why a call of native code failed: a code that it answers, and text for people, which the thread
//! keeps until its next failure. `include/tdsm.h` has the codes.

const std = @import("std");

/// What the calls of `tdsm.h` answer. Append-only: a number never changes its meaning. Below zero
/// are failures.
pub const Code = enum(c_int) {
    ok = 0,
    last = 1,
    abandoned = 2,
    changed = 3,
    timed_out = -1,
    unavailable = -2,
    invalid = -3,
    not_joined = -4,
    node_closed = -5,
    node_failed = -6,
    peer_lost = -7,
    directory_lost = -8,
    page_lost = -9,
    memory_exhausted = -10,
    out_of_memory = -11,
    name_conflict = -12,
    not_allocated = -13,
    limit_exceeded = -14,
    engine_failed = -15,
    failed = -16,

    /// What the call answers for it.
    pub fn answer(code: Code) c_int {
        return @backingInt(code);
    }

    /// In words, of any number.
    pub fn text(number: c_int) [*:0]const u8 {
        const code = std.enums.fromInt(Code, number) orelse return "a code that this version of tDSM does not have";
        return switch (code) {
            .ok => "success",
            .last => "success: this thread was the last to arrive",
            .abandoned => "success: locked, and the last holder is gone without unlocking",
            .changed => "success: the word has another value than expected",
            .timed_out => "the time is over",
            .unavailable => "there is no permit now, or another thread holds the mutex",
            .invalid => "an argument cannot be used",
            .not_joined => "this process has no node, or has several where one is needed",
            .node_closed => "the node is closed",
            .node_failed => "a node has failed, and the cluster ends with it",
            .peer_lost => "a node that takes part is gone",
            .directory_lost => "the directory node is gone",
            .page_lost => "a page was only on a node that is gone",
            .memory_exhausted => "no node has memory left for pages",
            .out_of_memory => "the region has no room",
            .name_conflict => "the name stands for something of another type, length or home",
            .not_allocated => "that is no allocation, or is free already",
            .limit_exceeded => "a bound of the runtime is reached",
            .engine_failed => "the engine of the node has failed, or is silent",
            .failed => "the node cannot go on",
        };
    }
};

/// The codes of errors of the runtime, by their names in `runtime/errors.ts`.
const names = [_]struct { []const u8, Code }{
    .{ "InvalidOption", .invalid },
    .{ "InvalidArgument", .invalid },
    .{ "TimedOut", .timed_out },
    .{ "NodeClosed", .node_closed },
    .{ "NodeFailed", .node_failed },
    .{ "PeerLost", .peer_lost },
    .{ "DirectoryLost", .directory_lost },
    .{ "PageLost", .page_lost },
    .{ "MemoryExhausted", .memory_exhausted },
    .{ "OutOfMemory", .out_of_memory },
    .{ "NameConflict", .name_conflict },
    .{ "NotAllocated", .not_allocated },
    .{ "LimitExceeded", .limit_exceeded },
    .{ "EngineFailed", .engine_failed },
};

/// The code of an error of the runtime; `failed` for one that native code has no code for.
pub fn codeOf(name: []const u8) Code {
    for (names) |pair| if (std.mem.eql(u8, pair[0], name)) return pair[1];
    return .failed;
}

/// The one error inside; `lastAnswer` and `lastText` say more.
pub const Error = error{Refused};

const text_max = 1024;
threadlocal var last: Code = .ok;
threadlocal var length: usize = 0;
threadlocal var buffer: [text_max:0]u8 = @splat(0);

/// What a call was for: a verb, and what it is about.
pub const Purpose = struct {
    verb: []const u8,
    /// A name, in quotation marks in the text.
    name: ?[]const u8 = null,
    /// Or a number.
    number: ?u64 = null,

    /// In words, as much as there is room for.
    pub fn write(purpose: Purpose, out: []u8) []const u8 {
        const text = if (purpose.name) |name|
            std.fmt.bufPrint(out, "{s} \"{s}\"", .{ purpose.verb, name })
        else if (purpose.number) |number|
            std.fmt.bufPrint(out, "{s} {d}", .{ purpose.verb, number })
        else
            std.fmt.bufPrint(out, "{s}", .{purpose.verb});
        return text catch purpose.verb;
    }
};

/// Notes a failure of a call: "Cannot lock mutex "a": the node is closed".
pub fn refuse(why: Code, purpose: Purpose, reason: []const u8) Error {
    begin(why);
    put("Cannot ");
    putPurpose(purpose);
    put(": ");
    put(reason);
    return end();
}

/// Notes a failure that has its whole text already.
pub fn refuseAs(why: Code, text: []const u8) Error {
    begin(why);
    put(text);
    return end();
}

/// Notes that the time of a call is over.
pub fn timedOut(purpose: Purpose) Error {
    begin(.timed_out);
    put("Could not ");
    putPurpose(purpose);
    put(" in time");
    return end();
}

/// The code of this thread's last failure, as its call answers it.
pub fn lastAnswer() c_int {
    return last.answer();
}

/// Its text; empty before there was one.
pub fn lastText() [*:0]const u8 {
    return &buffer;
}

fn begin(why: Code) void {
    last = why;
    length = 0;
}

/// What has no room is cut off, at the end of a character.
fn put(text: []const u8) void {
    var wanted = @min(text.len, text_max - length);
    while (wanted < text.len and wanted > 0 and text[wanted] & 0xc0 == 0x80) wanted -= 1;
    @memcpy(buffer[length..][0..wanted], text[0..wanted]);
    length += wanted;
}

fn putPurpose(purpose: Purpose) void {
    var words: [512]u8 = undefined;
    put(purpose.write(&words));
}

fn end() Error {
    buffer[length] = 0;
    return error.Refused;
}

/// Undoes the escapes of a text in JSON, from behind its first quotation mark to the last one.
pub fn fromJson(json: []const u8, out: []u8) []const u8 {
    var read: usize = 0;
    var written: usize = 0;
    while (read < json.len and json[read] != '"' and written + 4 <= out.len) {
        if (json[read] != '\\' or read + 1 >= json.len) {
            out[written] = json[read];
            read += 1;
            written += 1;
            continue;
        }
        const escape = json[read + 1];
        read += 2;
        const character: u21 = switch (escape) {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => 8,
            'f' => 12,
            'u' => unicode: {
                const digits = json[read..@min(read + 4, json.len)];
                read += digits.len;
                break :unicode std.fmt.parseInt(u16, digits, 16) catch std.unicode.replacement_character;
            },
            else => escape,
        };
        written += std.unicode.utf8Encode(character, out[written..]) catch 0;
    }
    return out[0..written];
}

test "program error: each code has a text, and each name of the runtime its code" {
    for (std.enums.values(Code)) |each| {
        try std.testing.expect(std.mem.len(Code.text(each.answer())) > 0);
    }
    try std.testing.expectEqualStrings("a code that this version of tDSM does not have", std.mem.span(Code.text(-99)));
    try std.testing.expectEqual(Code.peer_lost, codeOf("PeerLost"));
    try std.testing.expectEqual(Code.failed, codeOf("FrameCorrupted"));
}

test "program error: the text of the last failure, cut off where it is too long" {
    try std.testing.expectEqual(error.Refused, refuse(.node_closed, .{ .verb = "lock mutex", .name = "a" }, "the node is closed"));
    try std.testing.expectEqual(-5, lastAnswer());
    try std.testing.expectEqualStrings("Cannot lock mutex \"a\": the node is closed", std.mem.span(lastText()));
    _ = timedOut(.{ .verb = "acquire semaphore", .number = 7 }) catch {};
    try std.testing.expectEqualStrings("Could not acquire semaphore 7 in time", std.mem.span(lastText()));
    // The second byte of the last character has no room.
    const filled: [text_max - 1]u8 = @splat('x');
    _ = refuseAs(.failed, &(filled ++ "ä".*)) catch {};
    try std.testing.expectEqualStrings(&filled, std.mem.span(lastText()));
}

test "program error: the escapes of JSON are undone" {
    var out: [64]u8 = undefined;
    try std.testing.expectEqualStrings("a \"b\" \\ \n ä", fromJson("a \\\"b\\\" \\\\ \\n \\u00e4\",\"errno\":1", &out));
    try std.testing.expectEqualStrings("", fromJson("\"", &out));
    try std.testing.expectEqualStrings("abcd", fromJson("abcdefgh", out[0..7]));
}
