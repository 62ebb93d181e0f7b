//! Two programs take turns on one word, and both look for their turn without a pause: the page is
//! handed over by userfaultfd and TCP, whole and writable, with no other coherence. On each side
//! one thread is the program, and the thread that calls serves it: asleep in one poll, as an engine
//! should be.

const std = @import("std");
const linux = std.os.linux;
const wire = @import("wire.zig");
const toucher = @import("toucher.zig");
const Window = @import("window.zig").Window;
const check = wire.check;

/// The longest that a page which has come is kept for the program, in nanoseconds.
const hold_max_ns = 10 * std.time.ns_per_ms;
/// How often it is looked whether the program has run since then, in nanoseconds.
const hold_look_ns = 20 * std.time.ns_per_us;

/// What one side says to the other, in one byte.
const Word = enum(u8) {
    /// Give me the page.
    ask = 1,
    /// Its bytes follow.
    page = 2,
    /// My program has ended.
    over = 3,
    _,
};

/// What both sides play.
pub const Game = struct {
    /// Whose turn it is when the word is even: 0 for the side that has the page first, else 1.
    parity: u32,
    /// How long to play, in milliseconds. The side with parity 0 ends it for both.
    ms: u32,
    /// Gets what each turn of this side took, in nanoseconds: half of the time since its last one.
    samples: []u64,
};

/// Plays until both programs have ended; answers how many samples there are.
pub fn play(connection: wire.Connection, window: Window, game: Game) !usize {
    try window.drop(page, 1);
    @memset(window.bytes(page, 1), 0);
    const over = try check("make an eventfd", linux.eventfd(0, linux.EFD.CLOEXEC));
    defer _ = linux.close(@intCast(over));
    var program: Program = .{ .window = window, .game = game, .over = @intCast(over) };
    const thread = try std.Thread.spawn(.{}, Program.run, .{&program});
    try window.setWaiting(.spinning);
    var server: Server = .{
        .connection = connection,
        .window = window,
        .program = &program,
        .owned = game.parity == 0,
    };
    try server.serve();
    try window.setWaiting(.blocking);
    thread.join();
    return program.taken;
}

const page = 0;
/// What the word is once there are no more turns.
const ended = std.math.maxInt(u64);

const Program = struct {
    window: Window,
    game: Game,
    /// An eventfd: the program has ended.
    over: i32,
    /// How often the page has come, and what that was when the program last looked at the word.
    arrivals: std.atomic.Value(u32) = .init(0),
    seen: std.atomic.Value(u32) = .init(0),
    taken: usize = 0,

    fn run(program: *Program) void {
        const game = program.game;
        const word = &program.window.words(page)[0];
        const until = toucher.now() + @as(u64, game.ms) * std.time.ns_per_ms;
        var last: u64 = 0;
        while (true) {
            const value = word.*;
            program.seen.store(program.arrivals.load(.monotonic), .monotonic);
            if (value == ended) break;
            if (value % 2 != game.parity) continue;
            const now = toucher.now();
            if (game.parity == 0 and now >= until) {
                word.* = ended;
                break;
            }
            if (last > 0 and program.taken < game.samples.len) {
                game.samples[program.taken] = (now - last) / 2;
                program.taken += 1;
            }
            last = now;
            word.* = value + 1;
        }
        toucher.signal(program.over) catch @panic("lost its eventfd");
    }
};

const Server = struct {
    connection: wire.Connection,
    window: Window,
    program: *Program,
    /// Whether the page is here, is asked for, and is wanted there.
    owned: bool,
    asked: bool = false,
    wanted: bool = false,
    /// Whether the program stands in a fault.
    faulted: bool = false,
    /// Which of the programs have ended.
    mine_over: bool = false,
    other_over: bool = false,
    /// When the page came.
    came: u64 = 0,

    fn serve(server: *Server) !void {
        while (!server.mine_over or !server.other_over) {
            try server.sleep();
            if (try server.window.takeFault() != null) server.faulted = true;
            if (server.faulted) try server.askOrInstall();
            if (server.wanted and server.owned and server.mayGive()) try server.give();
        }
    }

    /// Sleeps until something happens, and takes what has come.
    fn sleep(server: *Server) !void {
        const holds = server.wanted and server.owned;
        var look: linux.timespec = .{ .sec = 0, .nsec = hold_look_ns };
        var descriptors = [_]linux.pollfd{
            .{ .fd = server.window.uffd, .events = linux.POLL.IN, .revents = 0 },
            .{ .fd = server.connection.fd, .events = linux.POLL.IN, .revents = 0 },
            .{
                .fd = if (server.mine_over) -1 else server.program.over,
                .events = linux.POLL.IN,
                .revents = 0,
            },
        };
        const result = linux.ppoll(&descriptors, descriptors.len, if (holds) &look else null, null);
        if (linux.errno(result) == .INTR) return;
        _ = try check("wait", result);
        if (descriptors[2].revents != 0) {
            server.mine_over = true;
            try server.say(.over);
        }
        if (descriptors[1].revents != 0) try server.hear();
    }

    fn say(server: *Server, word: Word) !void {
        try server.connection.send(&.{@backingInt(word)});
    }

    fn hear(server: *Server) !void {
        var word: [1]u8 = undefined;
        try server.connection.receive(&word);
        switch (@as(Word, @fromBackingInt(word[0]))) {
            .ask => server.wanted = true,
            .page => {
                try server.connection.receive(server.window.bytes(page, 1));
                server.owned = true;
                server.asked = false;
                server.faulted = false;
                server.came = toucher.now();
                _ = server.program.arrivals.fetchAdd(1, .monotonic);
                try server.window.install(page, 1, true);
            },
            .over => server.other_over = true,
            _ => return error.BadWord,
        }
    }

    fn askOrInstall(server: *Server) !void {
        if (server.owned) {
            server.faulted = false;
            try server.window.install(page, 1, true);
        } else if (!server.asked) {
            server.asked = true;
            try server.say(.ask);
        }
    }

    /// Whether the program has had the page for an access.
    fn mayGive(server: *Server) bool {
        const arrivals = server.program.arrivals.load(.monotonic);
        return server.mine_over or server.program.seen.load(.monotonic) == arrivals or
            toucher.now() - server.came > hold_max_ns;
    }

    fn give(server: *Server) !void {
        server.wanted = false;
        server.owned = false;
        try server.window.drop(page, 1);
        // One call for both costs less than the copy.
        var message: [1 + wire.page_bytes]u8 = undefined;
        message[0] = @backingInt(Word.page);
        @memcpy(message[1..], server.window.bytes(page, 1));
        try server.connection.send(&message);
    }
};
