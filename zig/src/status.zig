//! Status codes of the C ABI, the Zig errors they are made of, and the errno that explains them.
//! Inside the library a failure is a Zig error; `code` turns it into a number at the border.

const std = @import("std");
const linux = std.os.linux;

/// What a call answers when it fails, negated. Append-only: a number never changes its meaning.
pub const Status = enum(i32) {
    ok = 0,
    /// An argument is out of the range that the call documents.
    bad_argument = 1,
    /// The handle was never given out, or is closed.
    bad_handle = 2,
    /// The kernel refuses userfaultfd to this user.
    privilege_missing = 3,
    /// The kernel is too old, or was built without something that is needed.
    kernel_unsupported = 4,
    /// No memory, or no address space, is left.
    out_of_memory = 5,
    /// The process or the machine has no file descriptor left.
    too_many_files = 6,
    /// A system call failed in a way that has no code of its own; the errno says which.
    system_call_failed = 7,
    /// A fixed table of the library is full.
    limit_exceeded = 8,
    /// The memory of a window is no longer mapped, or no longer registered.
    window_gone = 9,
    /// A native module cannot share its variables; what the call fills says why.
    module_unusable = 10,
    /// A native module's variables show another region, or another part of it.
    module_in_use = 11,
    /// The machine, or what bounds this process, has no memory left for the region's pages.
    memory_exhausted = 12,
    /// The region is fenced: no page can be given to a window any more.
    fenced = 13,
    /// No file of this process may be as large as the region (RLIMIT_FSIZE).
    file_limited = 14,
    /// What arrived is not what the other end has sealed.
    not_authentic = 15,
};

/// The same failures inside the library.
pub const Error = error{
    BadArgument,
    BadHandle,
    PrivilegeMissing,
    KernelUnsupported,
    OutOfMemory,
    TooManyFiles,
    SystemCallFailed,
    LimitExceeded,
    WindowGone,
    ModuleUnusable,
    ModuleInUse,
    MemoryExhausted,
    Fenced,
    FileLimited,
    NotAuthentic,
};

/// The errno of the last failure on this thread; 0 where the failure was not the kernel's.
threadlocal var last_errno: i32 = 0;

pub fn lastErrno() i32 {
    return last_errno;
}

/// The number that crosses the ABI for `failure`.
pub fn code(failure: Error) i32 {
    const status: Status = switch (failure) {
        error.BadArgument => .bad_argument,
        error.BadHandle => .bad_handle,
        error.PrivilegeMissing => .privilege_missing,
        error.KernelUnsupported => .kernel_unsupported,
        error.OutOfMemory => .out_of_memory,
        error.TooManyFiles => .too_many_files,
        error.SystemCallFailed => .system_call_failed,
        error.LimitExceeded => .limit_exceeded,
        error.WindowGone => .window_gone,
        error.ModuleUnusable => .module_unusable,
        error.ModuleInUse => .module_in_use,
        error.MemoryExhausted => .memory_exhausted,
        error.Fenced => .fenced,
        error.FileLimited => .file_limited,
        error.NotAuthentic => .not_authentic,
    };
    return -@backingInt(status);
}

/// A failure of this library's own checks: no system call is to blame.
pub fn reject(failure: Error) Error {
    last_errno = 0;
    return failure;
}

/// A failure that the caller understood from the errno itself.
pub fn refuse(failure: Error, errno: linux.E) Error {
    last_errno = @backingInt(errno);
    return failure;
}

/// The failure that an errno means wherever it has no meaning special to one call.
pub fn fromErrno(errno: linux.E) Error {
    return refuse(switch (errno) {
        // The user may not, by rights or by a seccomp filter.
        .PERM => error.PrivilegeMissing,
        // A device or file is not open to the user.
        .ACCES => error.PrivilegeMissing,
        // The call does not exist in this kernel.
        .NOSYS => error.KernelUnsupported,
        // No memory, no address space, or RLIMIT_AS reached.
        .NOMEM => error.OutOfMemory,
        // The shared-memory file system is at its limit.
        .NOSPC => error.OutOfMemory,
        // RLIMIT_NOFILE reached.
        .MFILE => error.TooManyFiles,
        // The machine's table of open files is full.
        .NFILE => error.TooManyFiles,
        else => error.SystemCallFailed,
    }, errno);
}

/// The value of a raw system call that answers a number or an errno.
pub fn check(result: usize) Error!usize {
    return switch (linux.errno(result)) {
        .SUCCESS => result,
        else => |errno| fromErrno(errno),
    };
}

test "status: every error has a code of its own, and the codes never move" {
    const expected = [_]struct { Error, i32 }{
        .{ error.BadArgument, -1 },      .{ error.BadHandle, -2 },
        .{ error.PrivilegeMissing, -3 }, .{ error.KernelUnsupported, -4 },
        .{ error.OutOfMemory, -5 },      .{ error.TooManyFiles, -6 },
        .{ error.SystemCallFailed, -7 }, .{ error.LimitExceeded, -8 },
        .{ error.WindowGone, -9 },       .{ error.ModuleUnusable, -10 },
        .{ error.ModuleInUse, -11 },     .{ error.MemoryExhausted, -12 },
        .{ error.Fenced, -13 },          .{ error.FileLimited, -14 },
        .{ error.NotAuthentic, -15 },
    };
    for (expected) |pair| try std.testing.expectEqual(pair[1], code(pair[0]));
    try std.testing.expectEqual(expected.len + 1, std.meta.fieldNames(Status).len);
}

test "status: the errno of a failure is kept, and cleared by one that has none" {
    try std.testing.expectEqual(error.TooManyFiles, fromErrno(.MFILE));
    try std.testing.expectEqual(@as(i32, @backingInt(linux.E.MFILE)), lastErrno());
    try std.testing.expectEqual(error.BadArgument, reject(error.BadArgument));
    try std.testing.expectEqual(@as(i32, 0), lastErrno());
}
