//! What libtdsm.so exports for native code of programs: `include/tdsm.h` says what each call does.
//! A call answers a code of `program_error.zig`, below zero where it failed.

const std = @import("std");
const abi = @import("abi.zig");
const call_ring = @import("call_ring.zig");
const failures = @import("program_error.zig");
const memory = @import("program_memory.zig");
const program = @import("program.zig");
const links = @import("program_link.zig");
const sync = @import("program_sync.zig");
const Code = failures.Code;

/// What `runtime/` and this side of the shared memory must agree on, as JSON.
pub const manifest: [:0]const u8 = made: {
    @setEvalBranchQuota(200_000);
    break :made "{\"structs\":{" ++ abi.structJson("tdsm_program_node", program.Node) ++
        "," ++ abi.structJson("tdsm_call_ring", call_ring.Words) ++
        "," ++ abi.structJson("tdsm_call_record", call_ring.Header) ++
        "," ++ abi.structJson("tdsm_call_link", links.Words) ++
        "," ++ abi.structJson("tdsm_sync_frame", links.Frame) ++
        "},\"calls\":" ++ abi.enumJson(program.Call) ++
        ",\"answers\":" ++ abi.enumJson(program.Answer) ++
        ",\"operations\":" ++ abi.enumJson(links.Operation) ++
        ",\"statuses\":" ++ abi.enumJson(links.Status) ++
        ",\"codes\":" ++ abi.enumJson(Code) ++
        ",\"elements\":" ++ abi.enumJson(memory.Element) ++
        ",\"limits\":{" ++ limit("sync_name_max", links.name_max) ++
        "," ++ limit("allocation_name_max", memory.name_max) ++
        "," ++ limit("parties_max", sync.parties_max) ++
        "," ++ limit("permits_max", sync.permits_max) ++
        "," ++ limit("runs_max", memory.runs_max) ++ "}}";
};

fn limit(comptime name: []const u8, comptime value: u32) []const u8 {
    return std.fmt.comptimePrint("\"{s}\":{d}", .{ name, value });
}

fn answer(result: failures.Error!Code) c_int {
    return (result catch return failures.lastAnswer()).answer();
}

fn nothing(result: failures.Error!void) c_int {
    result catch return failures.lastAnswer();
    return Code.ok.answer();
}

pub export fn tdsm_strerror(code: c_int) [*:0]const u8 {
    return Code.text(code);
}

pub export fn tdsm_last_error() [*:0]const u8 {
    return failures.lastText();
}

pub export fn tdsm_thread_attach(node: u32) c_int {
    return nothing(program.attach(node, program.attaching));
}

pub export fn tdsm_thread_detach() void {
    program.detach();
}

pub export fn tdsm_node_id() i64 {
    const known = program.facts() catch return failures.lastAnswer();
    return known.node.id;
}

pub export fn tdsm_node_rank() i64 {
    const known = program.facts() catch return failures.lastAnswer();
    return if (known.node.rank == program.rank_none) Code.unavailable.answer() else known.node.rank;
}

pub export fn tdsm_node_count() i64 {
    const known = program.facts() catch return failures.lastAnswer();
    return known.node.node_count;
}

pub export fn tdsm_nodes_here() i64 {
    const known = program.facts() catch return failures.lastAnswer();
    return @as(i64, known.peers) + 1;
}

pub export fn tdsm_memory() ?*anyopaque {
    const known = program.facts() catch return null;
    return @ptrFromInt(known.memory);
}

pub export fn tdsm_memory_size() i64 {
    const known = program.facts() catch return failures.lastAnswer();
    return @intCast(known.size);
}

pub export fn tdsm_page_size() i64 {
    const known = program.facts() catch return failures.lastAnswer();
    return known.page_size;
}

pub export fn tdsm_offset_of(address: ?*const anyopaque) i64 {
    const offset = memory.offsetOf(@intFromPtr(address)) catch return failures.lastAnswer();
    return @intCast(offset);
}

pub export fn tdsm_at(offset: u64) ?*anyopaque {
    return @ptrFromInt(memory.at(offset) catch return null);
}

pub export fn tdsm_alloc(element: c_int, count: u64, options: ?*const memory.Options, out: ?*?*anyopaque) c_int {
    const place = out orelse return answer(failures.refuse(.invalid, .{ .verb = "allocate" }, "there is no place for the address"));
    place.* = null;
    const given: memory.Options = if (options) |asked| asked.* else .{};
    const address = memory.allocate(element, count, given) catch return failures.lastAnswer();
    place.* = @ptrFromInt(address);
    return Code.ok.answer();
}

pub export fn tdsm_free(address: ?*const anyopaque, bytes: u64) c_int {
    return nothing(memory.free(@intFromPtr(address), bytes));
}

pub export fn tdsm_sem_acquire(key: u64, timeout_ms: i64) c_int {
    return answer(sync.acquire(key, timeout_ms));
}

pub export fn tdsm_sem_try_acquire(key: u64) c_int {
    return answer(sync.tryAcquire(key));
}

pub export fn tdsm_sem_release(key: u64, count: u32) c_int {
    return answer(sync.release(key, count));
}

pub export fn tdsm_sem_make(count: u32, out: ?*u64) c_int {
    const place = out orelse return answer(failures.refuse(.invalid, .{ .verb = "make a semaphore" }, "there is no place for its key"));
    place.* = sync.makeSemaphore(count) catch return failures.lastAnswer();
    return Code.ok.answer();
}

pub export fn tdsm_mutex_lock(name: ?[*:0]const u8, timeout_ms: i64, out: ?*sync.Lock) c_int {
    return answer(sync.lockMutex(name, timeout_ms, out));
}

pub export fn tdsm_mutex_try_lock(name: ?[*:0]const u8, out: ?*sync.Lock) c_int {
    return answer(sync.tryLock(name, out));
}

pub export fn tdsm_mutex_unlock(lock: ?*sync.Lock) c_int {
    return answer(sync.unlock(lock));
}

pub export fn tdsm_barrier_wait(name: ?[*:0]const u8, parties: u32, timeout_ms: i64) c_int {
    return answer(sync.arrive(name, parties, timeout_ms));
}

pub export fn tdsm_futex_wait(word: ?*const anyopaque, expected: u32, timeout_ms: i64) c_int {
    return answer(sync.waitFor(u32, word, expected, timeout_ms));
}

pub export fn tdsm_futex_wait64(word: ?*const anyopaque, expected: u64, timeout_ms: i64) c_int {
    return answer(sync.waitFor(u64, word, expected, timeout_ms));
}

pub export fn tdsm_futex_notify(word: ?*const anyopaque, count: u32) i64 {
    return sync.notify(word, count) catch return failures.lastAnswer();
}
