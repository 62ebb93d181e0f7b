//! The part of userfaultfd(2) that the library uses: kernel structures, ioctl numbers and one
//! function an operation, each of which says what every errno means for it.

const std = @import("std");
const linux = std.os.linux;
const status = @import("status.zig");
const Error = status.Error;

const Feature = struct {
    pub const pagefault_flag_wp: u64 = 1 << 0;
    pub const missing_shmem: u64 = 1 << 5;
    pub const thread_id: u64 = 1 << 8;
    pub const minor_shmem: u64 = 1 << 10;
    pub const wp_hugetlbfs_shmem: u64 = 1 << 12;
};

/// Without these the coherence protocol cannot work at all.
pub const features_needed: u64 = Feature.pagefault_flag_wp | Feature.missing_shmem |
    Feature.minor_shmem | Feature.wp_hugetlbfs_shmem;
/// Used where the kernel has them.
pub const features_wanted: u64 = Feature.thread_id;

const api_version: u64 = 0xaa;
const ioctl_type: u8 = 0xaa;
/// Numbers of the ioctls, which are also the bits by which UFFDIO_REGISTER says what it offers.
const Number = struct {
    const register = 0x00;
    const unregister = 0x01;
    const wake = 0x02;
    const write_protect = 0x06;
    const @"continue" = 0x07;
    const api = 0x3f;
};
const ranges_needed: u64 = (1 << Number.wake) | (1 << Number.write_protect) | (1 << Number.@"continue");

const Api = extern struct { api: u64, features: u64, ioctls: u64 };
const Range = extern struct { start: u64, length: u64 };
const Register = extern struct { range: Range, mode: u64, ioctls: u64 };
const WriteProtect = extern struct { range: Range, mode: u64 };
const Continue = extern struct { range: Range, mode: u64, done: i64 };

/// What read(2) answers, for the one kind of event that is asked for.
pub const Message = extern struct {
    event: u8,
    reserved: [7]u8,
    flags: u64,
    address: u64,
    thread: u32,
    padding: u32,

    pub const event_pagefault: u8 = 0x12;
};

comptime {
    std.debug.assert(@sizeOf(Api) == 24);
    std.debug.assert(@sizeOf(Register) == 32);
    std.debug.assert(@sizeOf(WriteProtect) == 24);
    std.debug.assert(@sizeOf(Continue) == 32);
    std.debug.assert(@sizeOf(Message) == 32);
    std.debug.assert(@offsetOf(Message, "flags") == 8);
    std.debug.assert(@offsetOf(Message, "address") == 16);
    std.debug.assert(@offsetOf(Message, "thread") == 24);
}

const ioctl_new = linux.IOCTL.IO(ioctl_type, 0x00); // On /dev/userfaultfd, not on a userfaultfd.
const ioctl_api = linux.IOCTL.IOWR(ioctl_type, Number.api, Api);
const ioctl_register = linux.IOCTL.IOWR(ioctl_type, Number.register, Register);
const ioctl_unregister = linux.IOCTL.IOR(ioctl_type, Number.unregister, Range);
const ioctl_wake = linux.IOCTL.IOR(ioctl_type, Number.wake, Range);
const ioctl_write_protect = linux.IOCTL.IOWR(ioctl_type, Number.write_protect, WriteProtect);
const ioctl_continue = linux.IOCTL.IOWR(ioctl_type, Number.@"continue", Continue);

/// O_CLOEXEC | O_NONBLOCK, as the creating calls want them.
const creation_flags: u32 = @bitCast(linux.O{ .CLOEXEC = true, .NONBLOCK = true });
const user_mode_only_flag: u32 = 1;

pub const Descriptor = struct {
    fd: i32,
    user_mode_only: bool = false,
    from_device: bool = false,
};

/// Makes a userfaultfd by the way that grants most: the device, the system call, and only then
/// one that serves faults of user code alone.
pub fn create(require_kernel_faults: bool) Error!Descriptor {
    if (try createFromDevice()) |fd| return .{ .fd = fd, .from_device = true };
    const result = linux.syscall1(.userfaultfd, creation_flags);
    const denied = switch (linux.errno(result)) {
        .SUCCESS => return .{ .fd = @intCast(result) },
        // vm.unprivileged_userfaultfd is 0, or a seccomp filter forbids the call.
        .PERM => linux.E.PERM,
        else => |errno| return status.fromErrno(errno),
    };
    if (require_kernel_faults) return status.fromErrno(denied);
    const limited = linux.syscall1(.userfaultfd, creation_flags | user_mode_only_flag);
    return switch (linux.errno(limited)) {
        .SUCCESS => .{ .fd = @intCast(limited), .user_mode_only = true },
        // Older than 5.11: the flag is unknown, so the first answer is the one to report.
        .INVAL => status.fromErrno(denied),
        else => |errno| status.fromErrno(errno),
    };
}

fn createFromDevice() Error!?i32 {
    const opened = linux.openat(linux.AT.FDCWD, "/dev/userfaultfd", .{ .ACCMODE = .RDWR, .CLOEXEC = true }, 0);
    const device: i32 = switch (linux.errno(opened)) {
        .SUCCESS => @intCast(opened),
        .MFILE, .NFILE => |errno| return status.fromErrno(errno),
        // Not there (before 6.1), or not open to this user: the system call may still be.
        else => return null,
    };
    defer _ = linux.close(device);
    const made = linux.ioctl(device, ioctl_new, creation_flags);
    return switch (linux.errno(made)) {
        .SUCCESS => @intCast(made),
        .MFILE, .NFILE => |errno| status.fromErrno(errno),
        else => null,
    };
}

/// The features that the kernel has. Spends `fd`: the handshake can be made only once.
pub fn supportedFeatures(fd: i32) Error!u64 {
    var api: Api = .{ .api = api_version, .features = 0, .ioctls = 0 };
    return switch (linux.errno(linux.ioctl(fd, ioctl_api, @intFromPtr(&api)))) {
        .SUCCESS => api.features,
        // The kernel speaks another version of the interface.
        .INVAL => |errno| status.refuse(error.KernelUnsupported, errno),
        else => |errno| status.fromErrno(errno),
    };
}

/// Switches `features` on; `fd` serves faults from here on.
pub fn enable(fd: i32, features: u64) Error!void {
    var api: Api = .{ .api = api_version, .features = features, .ioctls = 0 };
    return switch (linux.errno(linux.ioctl(fd, ioctl_api, @intFromPtr(&api)))) {
        .SUCCESS => {},
        // A feature is unknown to the kernel.
        .INVAL => |errno| status.refuse(error.KernelUnsupported, errno),
        else => |errno| status.fromErrno(errno),
    };
}

/// Faults in the range are reported from here on: absent pages, pages that only this window
/// lacks, and writes to protected ones.
pub fn register(fd: i32, start: u64, length: u64) Error!void {
    const missing_wp_minor: u64 = 1 | 2 | 4;
    var request: Register = .{
        .range = .{ .start = start, .length = length },
        .mode = missing_wp_minor,
        .ioctls = 0,
    };
    switch (linux.errno(linux.ioctl(fd, ioctl_register, @intFromPtr(&request)))) {
        .SUCCESS => {},
        // Write protection or minor faults of shared memory are unknown (before 5.19).
        .INVAL => |errno| return status.refuse(error.KernelUnsupported, errno),
        // Another userfaultfd has the range already.
        .BUSY => |errno| return status.refuse(error.BadArgument, errno),
        else => |errno| return status.fromErrno(errno),
    }
    if (request.ioctls & ranges_needed != ranges_needed) {
        _ = unregister(fd, start, length) catch {};
        return status.refuse(error.KernelUnsupported, .OPNOTSUPP);
    }
}

/// Ends reporting and lets every thread that waits in the range run into what is there then.
pub fn unregister(fd: i32, start: u64, length: u64) Error!void {
    var range: Range = .{ .start = start, .length = length };
    return switch (linux.errno(linux.ioctl(fd, ioctl_unregister, @intFromPtr(&range)))) {
        .SUCCESS => {},
        // The program unmapped the range, or mapped something else there.
        .INVAL, .NOENT => |errno| status.refuse(error.WindowGone, errno),
        else => |errno| status.fromErrno(errno),
    };
}

/// What one UFFDIO_CONTINUE came to.
pub const Filled = union(enum) {
    /// This many bytes from the start, perhaps not all, now have entries; their waiters run.
    bytes: u64,
    /// The first page of the range has an entry already.
    exists,
    /// The memory file has no page there.
    hole,
    /// The address space is being changed; try again.
    busy,
    /// No one registered mapping covers the range; several may.
    not_covered,
};

/// Maps pages that the memory file has, and wakes the threads that wait for them.
pub fn mapContinue(fd: i32, start: u64, length: u64, write_protected: bool) Error!Filled {
    const mode_write_protect: u64 = 2;
    var argument: Continue = .{
        .range = .{ .start = start, .length = length },
        .mode = if (write_protected) mode_write_protect else 0,
        .done = 0,
    };
    return switch (linux.errno(linux.ioctl(fd, ioctl_continue, @intFromPtr(&argument)))) {
        .SUCCESS => .{ .bytes = length },
        // Interrupted part way (`done` > 0), or before it began.
        .AGAIN => if (argument.done > 0) .{ .bytes = @intCast(argument.done) } else .busy,
        .EXIST => .exists,
        .FAULT => .hole,
        // A mode bit, or the ioctl, is unknown to the kernel.
        .INVAL, .NOTTY => |errno| status.refuse(error.KernelUnsupported, errno),
        .NOENT => .not_covered,
        // No page table could be allocated.
        .NOMEM => |errno| status.refuse(error.MemoryExhausted, errno),
        // SRCH: the process is ending.
        else => |errno| status.fromErrno(errno),
    };
}

/// What write protection is to become. Taking it off wakes the threads that wait.
pub const Protection = enum(u64) { off = 0, on = 1 };

/// What one UFFDIO_WRITEPROTECT came to.
pub const Protected = enum {
    done,
    /// The address space is being changed; try again.
    busy,
    /// A mapping in the range is not registered; or, before Linux 6.4, there are several.
    not_covered,
};

pub fn writeProtect(fd: i32, start: u64, length: u64, protection: Protection) Error!Protected {
    var argument: WriteProtect = .{
        .range = .{ .start = start, .length = length },
        .mode = @backingInt(protection),
    };
    return switch (linux.errno(linux.ioctl(fd, ioctl_write_protect, @intFromPtr(&argument)))) {
        .SUCCESS => .done,
        .AGAIN => .busy,
        .NOENT => .not_covered,
        // No page table could be allocated for an absent page's marker.
        .NOMEM => |errno| status.refuse(error.MemoryExhausted, errno),
        else => |errno| status.fromErrno(errno),
    };
}

/// Lets every thread that waits in the range try its access again.
pub fn wake(fd: i32, start: u64, length: u64) Error!void {
    var range: Range = .{ .start = start, .length = length };
    _ = try status.check(linux.ioctl(fd, ioctl_wake, @intFromPtr(&range)));
}
