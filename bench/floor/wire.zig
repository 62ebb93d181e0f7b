//! What the two processes say to each other: headers of 32 bytes, and the bytes behind them.

const std = @import("std");
const linux = std.os.linux;

pub const page_bytes = 4096;
/// The most pages that an owner has, so the longest scan: 256 MiB.
pub const pages_max = 65536;
/// The most pages that one request asks for.
pub const run_max = 1024;
/// The largest request or answer of a ping-pong.
pub const ping_max = 1 << 20;

/// How a process waits for the other: asleep in its system calls, or asking again and again.
pub const Waiting = enum(u32) { blocking = 0, spinning = 1 };

pub const Kind = enum(u32) {
    /// Answer with the bytes of `count` pages from `first`.
    pages = 0,
    /// `first` bytes in all, this header included, have come; answer with `count` bytes.
    ping = 1,
    /// Wait as `count` says from here on, and say so with a header.
    wait = 2,
    /// Play at a word for `count` milliseconds; `flag.zig` has what both say meanwhile.
    flag = 3,
    _,
};

pub const Header = extern struct {
    kind: Kind,
    count: u32,
    first: u64,
    padding: [16]u8 = @splat(0),

    comptime {
        std.debug.assert(@sizeOf(Header) == 32);
    }
};

/// What the first two words of a page hold, so that a wrong page is noticed.
pub fn mark(page: u64) u64 {
    return page *% 0x9e37_79b9_7f4a_7c15 +% 1;
}

pub const Failure = error{ SystemCallFailed, Ended };

/// The value of a system call; a failure is said on stderr with the name of what was tried.
pub fn check(what: []const u8, result: usize) Failure!usize {
    const errno = linux.errno(result);
    if (errno == .SUCCESS) return result;
    std.debug.print("floor: cannot {s}: {t}\n", .{ what, errno });
    return error.SystemCallFailed;
}

/// A connection. Both processes switch how they wait at the same point of the stream.
pub const Connection = struct {
    fd: i32,
    waiting: Waiting = .blocking,

    pub fn init(fd: i32) Failure!Connection {
        const one: i32 = 1;
        const option = std.mem.asBytes(&one);
        _ = try check("set TCP_NODELAY", linux.setsockopt(fd, linux.IPPROTO.TCP, linux.TCP.NODELAY, option, option.len));
        return .{ .fd = fd };
    }

    pub fn send(connection: Connection, bytes: []const u8) Failure!void {
        const flags: u32 = switch (connection.waiting) {
            .blocking => linux.MSG.NOSIGNAL,
            .spinning => linux.MSG.NOSIGNAL | linux.MSG.DONTWAIT,
        };
        var sent: usize = 0;
        while (sent < bytes.len) {
            const rest = bytes[sent..];
            const result = linux.sendto(connection.fd, rest.ptr, rest.len, flags, null, 0);
            switch (linux.errno(result)) {
                .SUCCESS => sent += result,
                .AGAIN, .INTR => {},
                .PIPE, .CONNRESET => return error.Ended,
                else => _ = try check("send", result),
            }
        }
    }

    pub fn receive(connection: Connection, bytes: []u8) Failure!void {
        const flags: u32 = switch (connection.waiting) {
            .blocking => linux.MSG.WAITALL,
            .spinning => linux.MSG.DONTWAIT,
        };
        var there: usize = 0;
        while (there < bytes.len) {
            const rest = bytes[there..];
            const result = linux.recvfrom(connection.fd, rest.ptr, rest.len, flags, null, null);
            switch (linux.errno(result)) {
                .SUCCESS => if (result == 0) return error.Ended else {
                    there += result;
                },
                .AGAIN, .INTR => {},
                .CONNRESET => return error.Ended,
                else => _ = try check("receive", result),
            }
        }
    }

    pub fn receiveHeader(connection: Connection) Failure!Header {
        var header: Header = undefined;
        try connection.receive(std.mem.asBytes(&header));
        return header;
    }

    pub fn sendHeader(connection: Connection, header: Header) Failure!void {
        try connection.send(std.mem.asBytes(&header));
    }
};

/// An IPv4 address and port, as system calls take them.
pub fn socketAddress(host: []const u8, port: []const u8) !linux.sockaddr.in {
    const address = try std.Io.net.Ip4Address.parse(host, try std.fmt.parseInt(u16, port, 10));
    return .{
        .port = std.mem.nativeToBig(u16, address.port),
        .addr = @bitCast(address.bytes),
    };
}

pub fn openSocket() Failure!i32 {
    const flags = linux.SOCK.STREAM | linux.SOCK.CLOEXEC;
    return @intCast(try check("make a socket", linux.socket(linux.AF.INET, flags, linux.IPPROTO.TCP)));
}
