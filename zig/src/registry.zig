//! Handles. A handle is a slot of a fixed table and the slot's generation, so that a call on a
//! closed region is an error and not a crash, and `close` can wait until no call is inside.

const std = @import("std");
const linux = std.os.linux;
const abi = @import("abi.zig");
const status = @import("status.zig");
const Region = @import("region.zig").Region;
const wait = @import("wait.zig");

const slot_bits = 8;
const generation_max: u32 = (1 << (32 - slot_bits)) - 1;
comptime {
    std.debug.assert(abi.regions_max <= 1 << slot_bits);
}

/// State of a slot: free, being opened or closed, or open with so many calls inside.
const free: u32 = 0;
const busy: u32 = 1 << 30;
const is_open: u32 = 1 << 31;
const users_mask: u32 = busy - 1;

const Slot = struct {
    state: std.atomic.Value(u32) = .init(free),
    /// Changes only while the slot is busy and empty, so a call that is inside may read it.
    generation: u32 = 1,
    region: Region = .{},

    fn leave(slot: *Slot) void {
        const before = slot.state.fetchSub(1, .release);
        if (before & is_open == 0 and before & users_mask == 1) futexWake(&slot.state);
    }
};

var slots: [abi.regions_max]Slot = @splat(.{});

/// A call's stay inside a region.
pub const Lease = struct {
    region: *Region,
    slot: *Slot,

    pub fn end(lease: Lease) void {
        lease.slot.leave();
    }

    /// A thread has begun to close the region.
    pub fn isClosing(lease: Lease) bool {
        return lease.slot.state.load(.seq_cst) & is_open == 0;
    }
};

/// Opens a region and gives it a handle.
pub fn open(options: abi.OpenOptions, info: *abi.RegionInfo) status.Error!void {
    info.* = .{ .failed_step = .region_table };
    const index = for (&slots, 0..) |*slot, index| {
        if (slot.state.cmpxchgStrong(free, busy, .acquire, .monotonic) == null) break index;
    } else return status.reject(error.LimitExceeded);
    const slot = &slots[index];
    errdefer slot.state.store(free, .release);
    try slot.region.open(options, info);
    info.handle = slot.generation << slot_bits | @as(u32, @intCast(index));
    slot.state.store(is_open, .release);
}

/// Lets a call into the region of `handle`; it must `end` the lease.
pub fn enter(handle: u32) status.Error!Lease {
    const index = handle & ((1 << slot_bits) - 1);
    if (index >= slots.len) return status.reject(error.BadHandle);
    const slot = &slots[index];
    var state = slot.state.load(.acquire);
    while (true) {
        if (state & is_open == 0) return status.reject(error.BadHandle);
        state = slot.state.cmpxchgWeak(state, state + 1, .acquire, .acquire) orelse break;
    }
    if (slot.generation == handle >> slot_bits) return .{ .region = &slot.region, .slot = slot };
    slot.leave();
    return status.reject(error.BadHandle);
}

/// Closes the region of `handle` once every other call has left it; ends all waits first.
pub fn close(handle: u32) status.Error!void {
    const lease = try enter(handle);
    const slot = lease.slot;
    var state = slot.state.load(.seq_cst);
    while (true) {
        if (state & is_open == 0) { // Another thread closes it already.
            lease.end();
            return status.reject(error.BadHandle);
        }
        const closing = (state & users_mask) - 1 | busy;
        state = slot.state.cmpxchgWeak(state, closing, .seq_cst, .seq_cst) orelse break;
    }
    wait.kick(lease.region);
    while (true) {
        const left = slot.state.load(.acquire);
        if (left & users_mask == 0) break;
        futexWait(&slot.state, left);
    }
    slot.region.close();
    // Its windows, and what watches them, stay for as long as the process.
    if (slot.region.fence.raised) return;
    slot.generation = if (slot.generation == generation_max) 1 else slot.generation + 1;
    slot.state.store(free, .release);
}

fn futexWait(word: *std.atomic.Value(u32), expected: u32) void {
    _ = linux.futex_4arg(&word.raw, .{ .cmd = .WAIT, .private = true }, expected, null);
}

fn futexWake(word: *std.atomic.Value(u32)) void {
    _ = linux.futex_3arg(&word.raw, .{ .cmd = .WAKE, .private = true }, 1);
}
