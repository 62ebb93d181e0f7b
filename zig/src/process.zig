//! Services of the process itself: its environment, its clock, and an exit that nothing can delay
//! for ever.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const clock = @import("clock.zig");

extern "c" fn setenv(name: [*:0]const u8, value: [*:0]const u8, overwrite: c_int) c_int;

/// Sets an environment variable of the process; false if the name is empty or has a `=`.
pub fn setEnvironment(name: [*:0]const u8, value: [*:0]const u8) bool {
    return setenv(name, value, 1) == 0;
}

const DlInfo = extern struct {
    file_name: ?[*:0]const u8,
    base: ?*const anyopaque,
    symbol_name: ?[*:0]const u8,
    symbol: ?*const anyopaque,
};
extern "c" fn dladdr(address: *const anyopaque, info: *DlInfo) c_int;

var are_symbols_offered: std.atomic.Value(bool) = .init(false);

/// Lets libraries that this process opens from here on find the functions of this one, as if they
/// were linked with it: it was opened for its opener alone.
pub fn offerSymbols() void {
    if (are_symbols_offered.swap(true, .monotonic)) return;
    var info: DlInfo = undefined;
    if (dladdr(&offerSymbols, &info) == 0) return;
    // Refers to this library under the name by which it was opened; it is never closed anyway.
    _ = std.c.dlopen(info.file_name orelse return, .{ .NOW = true, .NOLOAD = true, .GLOBAL = true });
}

/// Milliseconds since the machine started, suspended or not.
pub fn boottimeMs() f64 {
    return @as(f64, @floatFromInt(clock.nowNs(.BOOTTIME))) / std.time.ns_per_ms;
}

const Farewell = struct {
    message: []const u8,
    written: std.atomic.Value(u32) = .init(0),
};

/// Writes `message` to stderr and ends the process, whatever the other threads do.
///
/// A thread may hold the lock of stderr's pipe while it faults on a page that will never come:
/// then a write from here would wait for ever. So another thread writes, and `timeout_ms` is the
/// longest that the end waits for it. Of several threads the first one ends the process.
pub fn die(message: []const u8, exit_status: i32, timeout_ms: u32) noreturn {
    if (dying.swap(true, .monotonic)) awaitEnd();
    // Lives on this stack, which stays until the process ends.
    var farewell: Farewell = .{ .message = message };
    var thread: std.c.pthread_t = undefined;
    if (message.len > 0 and std.c.pthread_create(&thread, null, writeFarewell, &farewell) == .SUCCESS) {
        awaitChange(&farewell.written, 0, timeout_ms);
    }
    linux.exit_group(exit_status);
}

/// Waits until a word has another value than `value`, `timeout_ms` at most.
pub fn awaitChange(word: *std.atomic.Value(u32), value: u32, timeout_ms: u32) void {
    const end_ms = boottimeMs() + @as(f64, @floatFromInt(timeout_ms));
    // A signal, or chance, may end a wait before its time.
    while (word.load(.acquire) == value) {
        const left_ms = end_ms - boottimeMs();
        if (left_ms <= 0) return;
        const left: linux.timespec = .{
            .sec = @intFromFloat(@divFloor(left_ms, std.time.ms_per_s)),
            .nsec = @intFromFloat(@mod(left_ms, std.time.ms_per_s) * std.time.ns_per_ms),
        };
        _ = linux.futex_4arg(&word.raw, .{ .cmd = .WAIT, .private = true }, value, &left);
    }
}

/// Writes `message` to stderr, by a thread that is not waited for: nobody may read that pipe, or a
/// thread may hold its lock. Left out where a message of before is not written yet.
pub fn tell(message: []const u8) void {
    if (told.written.swap(0, .acquire) == 0) return;
    @memcpy(told_bytes[0..message.len], message);
    told.message = told_bytes[0..message.len];
    var thread: std.c.pthread_t = undefined;
    if (std.c.pthread_create(&thread, null, writeFarewell, &told) != .SUCCESS) {
        return told.written.store(1, .release);
    }
    _ = std.c.pthread_detach(thread);
}

var told: Farewell = .{ .message = "", .written = .init(1) };
var told_bytes: [abi.fence_message_max]u8 = undefined;

var dying: std.atomic.Value(bool) = .init(false);

/// Waits for the end of the process, which another thread brings about.
pub fn awaitEnd() noreturn {
    while (true) _ = linux.pause();
}

fn writeFarewell(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    const farewell: *Farewell = @ptrCast(@alignCast(context.?));
    var rest = farewell.message;
    while (rest.len > 0) {
        const result = linux.write(linux.STDERR_FILENO, rest.ptr, rest.len);
        switch (linux.errno(result)) {
            .SUCCESS => rest = rest[result..],
            .INTR => {},
            // A pipe that is full and does not block: wait for its reader.
            .AGAIN => {
                var full = [_]linux.pollfd{.{ .fd = linux.STDERR_FILENO, .events = linux.POLL.OUT, .revents = 0 }};
                _ = linux.poll(&full, full.len, -1);
            },
            // No reader is left: there is nothing left to try.
            else => break,
        }
    }
    farewell.written.store(1, .release);
    _ = linux.futex_3arg(&farewell.written.raw, .{ .cmd = .WAKE, .private = true }, 1);
    return null;
}
