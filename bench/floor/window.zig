//! The requester's memory: a memory file mapped twice, as the runtime's region is. Threads touch
//! the window, which userfaultfd watches; bytes arrive in the alias, which never faults to user
//! space.

const std = @import("std");
const linux = std.os.linux;
const userfaultfd = @import("userfaultfd");
const wire = @import("wire.zig");
const check = wire.check;

/// What the memory file holds of the pages when a round begins.
pub const Memory = enum {
    /// Nothing: the requester never had them.
    new,
    /// Old bytes: it had them, and lost them.
    kept,
};

/// The page behind the last; a thread touches it to say that its round is over.
pub const end_page = wire.pages_max;
const page_count = wire.pages_max + 1;
/// MADV_POPULATE_WRITE, which the standard library does not name.
const populate_write = 23;
const length = page_count * wire.page_bytes;

pub const Window = struct {
    file: i32,
    uffd: i32,
    address: u64,
    alias: [*]u8,

    pub fn open() !Window {
        const file: i32 = @intCast(try check("make a memory file", linux.memfd_create("floor", linux.MFD.CLOEXEC)));
        _ = try check("size the memory file", linux.ftruncate(file, length));
        const address = try map(file);
        const descriptor = try userfaultfd.create(false);
        try userfaultfd.enable(descriptor.fd, userfaultfd.features_needed);
        try userfaultfd.register(descriptor.fd, address, length);
        return .{ .file = file, .uffd = descriptor.fd, .address = address, .alias = @ptrFromInt(try map(file)) };
    }

    fn map(file: i32) !u64 {
        const access: linux.PROT = .{ .READ = true, .WRITE = true };
        const address = try check("map memory", linux.mmap(null, length, access, .{ .TYPE = .SHARED, .NORESERVE = true }, file, 0));
        // A kernel without huge pages refuses the advice, and needs none.
        _ = linux.madvise(@ptrFromInt(address), length, linux.MADV.NOHUGEPAGE);
        return address;
    }

    /// Takes all pages away, so that each faults again.
    pub fn clear(window: Window, memory: Memory) !void {
        try window.drop(0, page_count);
        switch (memory) {
            .new => {
                const mode = linux.FALLOC.FL_PUNCH_HOLE | linux.FALLOC.FL_KEEP_SIZE;
                _ = try check("empty the memory file", linux.fallocate(window.file, mode, 0, length));
            },
            .kept => _ = try check("fill the memory file", linux.madvise(window.alias, length, populate_write)),
        }
    }

    /// Takes some pages away; what they hold stays.
    pub fn drop(window: Window, first: u32, count: u32) !void {
        const start = window.address + @as(u64, first) * wire.page_bytes;
        const bytes_of = @as(usize, count) * wire.page_bytes;
        const result = linux.madvise(@ptrFromInt(start), bytes_of, linux.MADV.DONTNEED);
        _ = try check("drop pages", result);
    }

    /// How reads of faults wait.
    pub fn setWaiting(window: Window, waiting: wire.Waiting) !void {
        const flags: linux.O = .{ .ACCMODE = .RDWR, .NONBLOCK = waiting == .spinning };
        _ = try check("set O_NONBLOCK", linux.fcntl(window.uffd, linux.F.SETFL, @as(u32, @bitCast(flags))));
    }

    /// The page of the next fault.
    pub fn nextFault(window: Window) !u32 {
        while (true) return try window.takeFault() orelse continue;
    }

    /// The page of a fault; nothing if there is none and reads do not block.
    pub fn takeFault(window: Window) !?u32 {
        var message: userfaultfd.Message = undefined;
        const result = linux.read(window.uffd, std.mem.asBytes(&message), @sizeOf(userfaultfd.Message));
        switch (linux.errno(result)) {
            .SUCCESS => {},
            .AGAIN, .INTR => return null,
            else => _ = try check("read a fault", result),
        }
        if (message.event != userfaultfd.Message.event_pagefault) return null;
        return @intCast((message.address - window.address) / wire.page_bytes);
    }

    pub fn bytes(window: Window, first: u32, count: u32) []u8 {
        return window.alias[@as(usize, first) * wire.page_bytes ..][0 .. @as(usize, count) * wire.page_bytes];
    }

    /// The first two words of a page, as threads touch them.
    pub fn words(window: Window, page: u32) *volatile [2]u64 {
        return @ptrFromInt(window.address + @as(u64, page) * wire.page_bytes);
    }

    /// Shows pages that the memory file has, and wakes the threads that wait for them.
    pub fn install(window: Window, first: u32, count: u32, writable: bool) !void {
        var start = window.address + @as(u64, first) * wire.page_bytes;
        const end = start + @as(u64, count) * wire.page_bytes;
        while (start < end) {
            switch (try userfaultfd.mapContinue(window.uffd, start, end - start, !writable)) {
                .bytes => |done| start += done,
                .busy => {},
                .exists, .hole, .not_covered => return error.UnexpectedPageState,
            }
        }
    }
};
