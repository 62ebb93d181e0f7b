//! Reading faults: kernel messages in, records in logical pages out.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const status = @import("status.zig");
const userfaultfd = @import("userfaultfd.zig");
const Region = @import("region.zig").Region;

/// Kernel messages taken by one read(2).
const batch = 64;

/// Fills `out` with faults that wait to be served, without blocking; answers how many.
/// The caller holds the region's lock.
pub fn read(region: *Region, out: []abi.Fault) status.Error!u32 {
    // They are for the thread that ends the process over them.
    if (region.fence.raised) return 0;
    var messages: [batch]userfaultfd.Message = undefined;
    var count: u32 = 0;
    while (count < out.len) {
        const wanted: usize = @min(batch, out.len - count);
        const result = linux.read(region.uffd, @ptrCast(&messages), wanted * @sizeOf(userfaultfd.Message));
        const taken = switch (linux.errno(result)) {
            .SUCCESS => result / @sizeOf(userfaultfd.Message),
            // No fault waits, or a signal came first; the next call sees what is left.
            .AGAIN, .INTR => break,
            else => |errno| return status.fromErrno(errno),
        };
        // The program has closed the descriptor, and something else has its number now.
        if (result == 0 or result % @sizeOf(userfaultfd.Message) != 0) return status.fromErrno(.BADF);
        for (messages[0..taken]) |message| {
            if (message.event != userfaultfd.Message.event_pagefault) continue;
            // A window that is gone by now took its waiters with it.
            const slot = region.windows.findAddress(message.address) orelse continue;
            const shown = region.windows.slots[slot];
            const page: u32 = @intCast((message.address - shown.address + shown.region_byte) / region.page_size);
            region.waiters.note(message.thread, page);
            out[count] = .{
                .page = page,
                .flags = @intCast(message.flags & fault_flags),
                .thread = message.thread,
                .window = slot,
            };
            count += 1;
        }
        if (taken < wanted) break;
    }
    return count;
}

/// The record's flags are the kernel's.
const fault_flags: u64 = abi.fault_write | abi.fault_write_protect | abi.fault_minor;
comptime {
    std.debug.assert(abi.fault_write == 1 << 0); // UFFD_PAGEFAULT_FLAG_WRITE
    std.debug.assert(abi.fault_write_protect == 1 << 1); // UFFD_PAGEFAULT_FLAG_WP
    std.debug.assert(abi.fault_minor == 1 << 2); // UFFD_PAGEFAULT_FLAG_MINOR
}
