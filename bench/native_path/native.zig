//! What the engines of the prototype call: pages as in the floor, and sockets that never block.
//! One memory a process. Every call answers a count, or a negative number: `none` when there is
//! nothing now, `ended` at the end of a connection, `failed` for what was said on stderr.

const std = @import("std");
const linux = std.os.linux;
const floor = @import("floor");
const wire = floor.wire;
const check = wire.check;

const none: i32 = -1;
const ended: i32 = -2;
const failed: i32 = -3;

var window: floor.window.Window = undefined;

/// Makes the memory; fills in the addresses of the window and of the alias.
export fn native_open(out: *[2]u64) i32 {
    window = floor.window.Window.open() catch return failed;
    window.setWaiting(.spinning) catch return failed;
    out.* = .{ window.address, @intFromPtr(window.alias) };
    return 0;
}

/// Ends the process, whatever its other threads wait for.
export fn native_exit(status: i32) noreturn {
    linux.exit_group(status);
}

/// Fills the memory file; with it new memory of a virtual machine is used once.
export fn native_fill() i32 {
    window.clear(.kept) catch return failed;
    return 0;
}

/// Takes all pages away from the window and out of the memory file.
export fn native_clear() i32 {
    window.clear(.new) catch return failed;
    return 0;
}

/// The page of a fault that waits.
export fn native_fault() i32 {
    const page = window.takeFault() catch return failed;
    return @intCast(page orelse return none);
}

/// Shows pages of the memory file in the window, write-protected.
export fn native_install(first: u32, count: u32) i32 {
    window.install(first, count, false) catch return failed;
    return 0;
}

/// Sleeps until there is a fault, or something to read from `fd` (not looked at if negative).
export fn native_wait(fd: i32) i32 {
    return sleep(fd, linux.POLL.IN);
}

/// Sleeps until there is a fault, or room to send to `fd`.
export fn native_wait_room(fd: i32) i32 {
    return sleep(fd, linux.POLL.OUT);
}

fn sleep(fd: i32, events: i16) i32 {
    var descriptors = [_]linux.pollfd{
        .{ .fd = window.uffd, .events = linux.POLL.IN, .revents = 0 },
        .{ .fd = fd, .events = events, .revents = 0 },
    };
    const result = linux.poll(&descriptors, descriptors.len, -1);
    return if (linux.errno(result) == .INTR) 0 else @intCast(check("wait", result) catch return failed);
}

/// The descriptor of a connection that Deno made, found by its two ports.
export fn native_find(local: u16, remote: u16) i32 {
    var fd: i32 = 0;
    while (fd < descriptors_max) : (fd += 1) {
        var address: linux.sockaddr.in = undefined;
        var size: linux.socklen_t = @sizeOf(linux.sockaddr.in);
        if (linux.errno(linux.getsockname(fd, @ptrCast(&address), &size)) != .SUCCESS) continue;
        if (address.family != linux.AF.INET or address.port != std.mem.nativeToBig(u16, local)) continue;
        size = @sizeOf(linux.sockaddr.in);
        if (linux.errno(linux.getpeername(fd, @ptrCast(&address), &size)) != .SUCCESS) continue;
        if (address.port == std.mem.nativeToBig(u16, remote)) return fd;
    }
    std.debug.print("native path: no socket from port {d} to {d}\n", .{ local, remote });
    return failed;
}

/// A process of the prototype has some dozens.
const descriptors_max = 1024;

export fn native_send(fd: i32, bytes: [*]const u8, length: u32) i32 {
    return sent(linux.sendto(fd, bytes, length, linux.MSG.NOSIGNAL | linux.MSG.DONTWAIT, null, 0));
}

export fn native_receive(fd: i32, bytes: [*]u8, length: u32) i32 {
    return received(linux.recvfrom(fd, bytes, length, linux.MSG.DONTWAIT, null, null));
}

/// Sends of pages what is behind the first `done` bytes of them.
export fn native_send_pages(fd: i32, first: u32, count: u32, done: u32) i32 {
    const bytes = window.bytes(first, count)[done..];
    return native_send(fd, bytes.ptr, @intCast(bytes.len));
}

/// Receives to the alias what is behind the first `done` bytes of these pages.
export fn native_receive_pages(fd: i32, first: u32, count: u32, done: u32) i32 {
    const bytes = window.bytes(first, count)[done..];
    return native_receive(fd, bytes.ptr, @intCast(bytes.len));
}

fn sent(result: usize) i32 {
    return switch (linux.errno(result)) {
        .SUCCESS => @intCast(result),
        .AGAIN, .INTR => none,
        .PIPE, .CONNRESET => ended,
        else => {
            _ = check("send", result) catch {};
            return failed;
        },
    };
}

fn received(result: usize) i32 {
    return switch (linux.errno(result)) {
        .SUCCESS => if (result == 0) ended else @intCast(result),
        .AGAIN, .INTR => none,
        .CONNRESET => ended,
        else => {
            _ = check("receive", result) catch {};
            return failed;
        },
    };
}
