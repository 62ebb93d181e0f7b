//! The process that wants pages: a thread of it touches them, its main thread fetches them. It
//! takes commands as lines on stdin, answers each with a line of JSON, and ends with stdin.

const std = @import("std");
const linux = std.os.linux;
const wire = @import("wire.zig");
const window_file = @import("window.zig");
const toucher_file = @import("toucher.zig");
const command_file = @import("command.zig");
const Command = command_file.Command;
const Toucher = toucher_file.Toucher;
const flag = @import("flag.zig");
const check = wire.check;

/// Connects to an owner, and obeys.
pub fn run(host: []const u8, port: []const u8) !void {
    const socket = try wire.openSocket();
    const address = try wire.socketAddress(host, port);
    _ = try check("connect", linux.connect(socket, &address, @sizeOf(linux.sockaddr.in)));
    const window: window_file.Window = try .open();
    // On a virtual machine, memory that was never used costs the host a fault, which is no floor's.
    try window.clear(.kept);
    try toucher.start(window);
    var requester: Requester = .{ .connection = try .init(socket), .window = window };
    var lines: command_file.Lines = .{};
    while (try lines.next()) |line| {
        const command = command_file.parse(line) catch |failure| {
            std.debug.print("floor: cannot do \"{s}\": {t}\n", .{ line, failure });
            return failure;
        };
        try requester.obey(command);
    }
}

var toucher: Toucher = undefined;
/// Where pings and their answers are.
var ping_bytes: [wire.ping_max]u8 align(8) = undefined;

const Requester = struct {
    connection: wire.Connection,
    window: window_file.Window,

    fn obey(requester: *Requester, command: Command) !void {
        switch (command) {
            .touch => |round| {
                try requester.window.clear(round.memory);
                try requester.wait(round.waiting);
                try requester.fetch(round);
                try requester.wait(.blocking);
                if (toucher.wrong > 0) return error.WrongBytes;
                if (round.each) return print(toucher.samples[0..round.job.count]);
                try printScan(@as(u64, round.job.count) * wire.page_bytes, toucher.total);
            },
            .ping => |round| {
                try requester.wait(round.waiting);
                try requester.ping(round);
                try requester.wait(.blocking);
                try print(toucher.samples[0..round.count]);
            },
            .flag => |round| {
                try requester.connection.sendHeader(.{ .kind = .flag, .count = round.ms, .first = 0 });
                const taken = try flag.play(requester.connection, requester.window, .{
                    .parity = 0,
                    .ms = round.ms,
                    .samples = &toucher.samples,
                });
                try print(toucher.samples[0..taken]);
            },
            .fresh => |round| try printScan(@as(u64, round.pages) * wire.page_bytes, try fresh(round.pages)),
        }
    }

    /// From here on both processes wait as told; when this answers, the owner does.
    fn wait(requester: *Requester, waiting: wire.Waiting) !void {
        if (requester.connection.waiting == waiting) return;
        try requester.connection.sendHeader(.{ .kind = .wait, .count = @backingInt(waiting), .first = 0 });
        _ = try requester.connection.receiveHeader();
        requester.connection.waiting = waiting;
        try requester.window.setWaiting(waiting);
    }

    /// Serves what the thread faults on, until it is through.
    fn fetch(requester: *Requester, round: command_file.Touch) !void {
        const window = requester.window;
        const behind = round.job.count * round.job.stride;
        try toucher.touch(round.job);
        while (true) {
            const page = try window.nextFault();
            if (page == window_file.end_page) break;
            const count = @min(round.run, behind - page);
            try requester.connection.sendHeader(.{ .kind = .pages, .count = count, .first = page });
            try requester.connection.receive(window.bytes(page, count));
            try window.install(page, count, round.job.write);
        }
        window.bytes(window_file.end_page, 1)[0] = 0;
        try window.install(window_file.end_page, 1, false);
        try toucher.join();
    }

    fn ping(requester: *Requester, round: command_file.Ping) !void {
        const header: wire.Header = .{ .kind = .ping, .count = round.answer_bytes, .first = round.request_bytes };
        for (toucher.samples[0..round.count]) |*sample| {
            const begin = toucher_file.now();
            ping_bytes[0..@sizeOf(wire.Header)].* = std.mem.toBytes(header);
            try requester.connection.send(ping_bytes[0..round.request_bytes]);
            try requester.connection.receive(ping_bytes[0..round.answer_bytes]);
            sample.* = toucher_file.now() - begin;
        }
    }
};

/// Writes a word of each page of a memory file of its own; how long that took, in nanoseconds.
fn fresh(pages: u32) !u64 {
    const bytes = @as(usize, pages) * wire.page_bytes;
    const file: i32 = @intCast(try check("make a memory file", linux.memfd_create("fresh", linux.MFD.CLOEXEC)));
    defer _ = linux.close(file);
    _ = try check("size a memory file", linux.ftruncate(file, @intCast(bytes)));
    const start = try check("map a memory file", linux.mmap(null, bytes, .{ .READ = true, .WRITE = true }, .{ .TYPE = .SHARED }, file, 0));
    defer _ = linux.munmap(@ptrFromInt(start), bytes);
    const memory: [*]volatile u32 = @ptrFromInt(start);
    const begin = toucher_file.now();
    for (0..pages) |page| memory[page * wire.page_bytes / @sizeOf(u32)] = 1;
    return toucher_file.now() - begin;
}

/// A sample has up to 20 digits and a comma.
var text: [toucher_file.samples_max * 21 + 64]u8 = undefined;

fn print(samples: []const u64) !void {
    var writer: std.Io.Writer = .fixed(&text);
    try writer.writeAll("{\"samplesNs\":[");
    for (samples, 0..) |sample, index| {
        if (index > 0) try writer.writeByte(',');
        try writer.print("{d}", .{sample});
    }
    try writer.writeAll("]}\n");
    try writeOut(writer.buffered());
}

fn printScan(bytes: u64, ns: u64) !void {
    try writeOut(try std.fmt.bufPrint(&text, "{{\"bytes\":{d},\"ns\":{d}}}\n", .{ bytes, ns }));
}

fn writeOut(bytes: []const u8) !void {
    var written: usize = 0;
    while (written < bytes.len) {
        written += try check("write", linux.write(1, bytes[written..].ptr, bytes.len - written));
    }
}
