//! The process that has the pages: it answers requests on one connection, and ends with it.

const std = @import("std");
const linux = std.os.linux;
const wire = @import("wire.zig");
const flag = @import("flag.zig");
const Window = @import("window.zig").Window;
const check = wire.check;

/// Listens, says on stdout at which port, and serves the first connection until it ends.
pub fn run(host: []const u8, port: []const u8) !void {
    const memory = try makePages();
    const listener = try listen(host, port);
    var connection: wire.Connection = try .init(try accept(listener) orelse return);
    while (true) {
        serve(&connection, memory) catch |failure| switch (failure) {
            error.Ended => return,
            else => return failure,
        };
    }
}

fn serve(connection: *wire.Connection, memory: []const u8) !void {
    const header = try connection.receiveHeader();
    switch (header.kind) {
        .pages => {
            if (header.count > wire.run_max or header.first > wire.pages_max - header.count) return error.BadRequest;
            const bytes = memory[header.first * wire.page_bytes ..][0 .. header.count * wire.page_bytes];
            try connection.send(bytes);
        },
        .ping => {
            if (header.first < @sizeOf(wire.Header) or header.first > wire.ping_max) return error.BadRequest;
            if (header.count > wire.ping_max) return error.BadRequest;
            try connection.receive(rest[0 .. header.first - @sizeOf(wire.Header)]);
            try connection.send(memory[0..header.count]);
        },
        .wait => {
            connection.waiting = if (header.count == @backingInt(wire.Waiting.spinning)) .spinning else .blocking;
            try connection.sendHeader(header);
        },
        .flag => {
            if (header.count == 0) return error.BadRequest;
            if (window == null) window = try .open();
            const game: flag.Game = .{ .parity = 1, .ms = header.count, .samples = &.{} };
            _ = try flag.play(connection.*, window.?, game);
        },
        _ => return error.BadRequest,
    }
}

/// Where the word is that both sides play at; made when it is first played at.
var window: ?Window = null;

/// Where the bytes of a ping go.
var rest: [wire.ping_max]u8 = undefined;

/// Pages in small pages of memory, as a region's are, each with its mark.
fn makePages() ![]u8 {
    const length = wire.pages_max * wire.page_bytes;
    const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true };
    const address = try check("map memory", linux.mmap(null, length, .{ .READ = true, .WRITE = true }, flags, -1, 0));
    const memory = @as([*]u8, @ptrFromInt(address))[0..length];
    // A kernel without huge pages refuses the advice, and needs none.
    _ = linux.madvise(memory.ptr, length, linux.MADV.NOHUGEPAGE);
    const words: []u64 = @ptrCast(@alignCast(memory));
    const page_words = wire.page_bytes / @sizeOf(u64);
    for (0..wire.pages_max) |page| {
        words[page * page_words] = wire.mark(page);
        words[page * page_words + 1] = wire.mark(page);
    }
    return memory;
}

fn listen(host: []const u8, port: []const u8) !i32 {
    const socket = try wire.openSocket();
    var address = try wire.socketAddress(host, port);
    var size: linux.socklen_t = @sizeOf(linux.sockaddr.in);
    _ = try check("bind", linux.bind(socket, @ptrCast(&address), size));
    _ = try check("listen", linux.listen(socket, 1));
    _ = try check("read the port", linux.getsockname(socket, @ptrCast(&address), &size));
    var line: [32]u8 = undefined;
    const text = try std.fmt.bufPrint(&line, "{{\"port\":{d}}}\n", .{std.mem.bigToNative(u16, address.port)});
    _ = try check("write", linux.write(1, text.ptr, text.len));
    return socket;
}

/// Nothing if the process that started this one ended before any connection was made.
fn accept(listener: i32) !?i32 {
    var descriptors = [_]linux.pollfd{
        .{ .fd = listener, .events = linux.POLL.IN, .revents = 0 },
        .{ .fd = 0, .events = linux.POLL.IN, .revents = 0 },
    };
    while (true) {
        _ = try check("wait for a connection", linux.poll(&descriptors, descriptors.len, -1));
        if (descriptors[0].revents != 0) break;
        if (descriptors[1].revents != 0) return null;
    }
    return @intCast(try check("accept", linux.accept4(listener, null, null, linux.SOCK.CLOEXEC)));
}
