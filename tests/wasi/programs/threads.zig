//! A wasi-threads program without any library, so that Zig alone builds it. The first argument says
//! what it does.

/// A buffer of a list, as WASI has them.
const Buffer = extern struct { address: [*]const u8, length: usize };

/// What `poll_oneoff` waits for: a clock, or a descriptor.
const Subscription = extern struct {
    userdata: u64,
    kind: u8,
    clock_or_fd: u32 align(8) = 0,
    timeout: u64 = 0,
    precision: u64 = 0,
    flags: u16 = 0,
};

/// What `poll_oneoff` has found.
const Event = extern struct {
    userdata: u64,
    errno: u16,
    kind: u8,
    bytes: u64 align(8),
    flags: u16,
};

extern "wasi" fn @"thread-spawn"(thread: *Thread) i32;

const wasi = struct {
    extern "wasi_snapshot_preview1" fn args_sizes_get(count: *usize, bytes: *usize) u16;
    extern "wasi_snapshot_preview1" fn args_get(list: [*][*:0]u8, bytes: [*]u8) u16;
    extern "wasi_snapshot_preview1" fn fd_write(fd: i32, list: [*]const Buffer, count: usize, written: *usize) u16;
    extern "wasi_snapshot_preview1" fn fd_read(fd: i32, list: [*]const Buffer, count: usize, read: *usize) u16;
    extern "wasi_snapshot_preview1" fn clock_time_get(clock: i32, precision: u64, time: *u64) u16;
    extern "wasi_snapshot_preview1" fn poll_oneoff(wanted: [*]const Subscription, due: [*]Event, count: usize, found: *usize) u16;
    extern "wasi_snapshot_preview1" fn random_get(bytes: [*]u8, length: usize) u16;
    extern "wasi_snapshot_preview1" fn proc_exit(code: u32) noreturn;
};

const place = struct {
    extern "tdsm_threads" fn node() i32;
    extern "tdsm_threads" fn nodes() i32;
    extern "tdsm_threads" fn spawn_on(node: i32) i32;
};

const STACK_BYTES = 16 * 1024;
const THREADS_MAX = 128;
const ROUNDS = 200;

/// A thread: its stack, what it does, and whether it has ended.
const Thread = extern struct {
    stack: [STACK_BYTES]u8 align(16) = undefined,
    work: *const fn (thread: *Thread) callconv(.c) void = undefined,
    index: u32 = 0,
    node: i32 = 0,
    ended: u32 = 0,
};

var threads: [THREADS_MAX]Thread = @splat(.{});
var lock: u32 = 0;
var counter: u32 = 0;
var arguments: [8][*:0]u8 = undefined;
var argument_bytes: [256]u8 = undefined;

inline fn setStackPointer(address: usize) void {
    asm volatile (
        \\ local.get %[address]
        \\ global.set __stack_pointer
        :
        : [address] "r" (address),
    );
}

inline fn wait(word: *u32, expected: u32) void {
    _ = asm volatile (
        \\ local.get %[word]
        \\ local.get %[expected]
        \\ i64.const -1
        \\ memory.atomic.wait32 0
        \\ local.set %[end]
        : [end] "=r" (-> u32),
        : [word] "r" (word),
          [expected] "r" (expected),
    );
}

inline fn notify(word: *u32, count: u32) void {
    _ = asm volatile (
        \\ local.get %[word]
        \\ local.get %[count]
        \\ memory.atomic.notify 0
        \\ local.set %[woken]
        : [woken] "=r" (-> u32),
        : [word] "r" (word),
          [count] "r" (count),
    );
}

/// Takes the lock: 0 is free, 1 is taken, 2 is taken and waited for.
fn acquire() void {
    if (@cmpxchgStrong(u32, &lock, 0, 1, .seq_cst, .seq_cst) == null) return;
    while (@atomicRmw(u32, &lock, .Xchg, 2, .seq_cst) != 0) wait(&lock, 2);
}

fn release() void {
    if (@atomicRmw(u32, &lock, .Xchg, 0, .seq_cst) == 2) notify(&lock, 1);
}

fn print(text: []const u8) void {
    const list = [_]Buffer{.{ .address = text.ptr, .length = text.len }};
    var written: usize = 0;
    if (wasi.fd_write(1, &list, 1, &written) != 0 or written != text.len) @trap();
}

/// Prints a text, a number, and the end of the line.
fn printNumber(text: []const u8, number: u32) void {
    var line: [64]u8 = undefined;
    @memcpy(line[0..text.len], text);
    var digits: [10]u8 = undefined;
    var first: usize = digits.len;
    var rest = number;
    while (first == digits.len or rest > 0) {
        first -= 1;
        digits[first] = @intCast('0' + rest % 10);
        rest /= 10;
    }
    const count = digits.len - first;
    @memcpy(line[text.len..][0..count], digits[first..]);
    line[text.len + count] = '\n';
    print(line[0 .. text.len + count + 1]);
}

/// Starts a thread; returns its id, or a negative number.
fn start(index: u32, work: *const fn (thread: *Thread) callconv(.c) void) i32 {
    threads[index].index = index;
    threads[index].work = work;
    return @"thread-spawn"(&threads[index]);
}

fn join(index: u32) void {
    while (@atomicLoad(u32, &threads[index].ended, .seq_cst) == 0) wait(&threads[index].ended, 0);
}

export fn wasi_thread_start(_: i32, thread: *Thread) void {
    setStackPointer(@intFromPtr(&thread.stack) + STACK_BYTES);
    @call(.never_inline, execute, .{thread});
}

fn execute(thread: *Thread) void {
    thread.node = place.node();
    thread.work(thread);
    @atomicStore(u32, &thread.ended, 1, .seq_cst);
    notify(&thread.ended, 1);
}

fn countRounds(_: *Thread) callconv(.c) void {
    for (0..ROUNDS) |_| {
        acquire();
        counter += 1;
        release();
    }
}

fn exit(_: *Thread) callconv(.c) void {
    wasi.proc_exit(7);
}

fn fall(_: *Thread) callconv(.c) void {
    @trap();
}

fn stay(_: *Thread) callconv(.c) void {
    var never: u32 = 0;
    while (true) wait(&never, 0);
}

fn spin(_: *Thread) callconv(.c) void {
    while (@atomicLoad(u32, &lock, .seq_cst) == 0) {}
}

fn nothing(_: *Thread) callconv(.c) void {}

fn is(text: [*:0]const u8, wanted: []const u8) bool {
    for (wanted, 0..) |letter, index| if (text[index] != letter) return false;
    return text[wanted.len] == 0;
}

/// Threads of all nodes count in turns, each where it was placed.
fn countTogether() void {
    const wanted = 6;
    for (0..wanted) |index| _ = start(@intCast(index), countRounds);
    for (0..wanted) |index| join(@intCast(index));
    for (threads[0..wanted]) |thread| printNumber("node ", @intCast(thread.node));
    printNumber("counted ", counter);
}

/// A thread names the nodes of those that it starts.
fn choose() void {
    const nodes = place.nodes();
    printNumber("nodes ", @intCast(nodes));
    for (0..2) |index| {
        if (place.spawn_on(nodes) != 0) @trap();
        _ = start(@intCast(index), nothing);
        join(@intCast(index));
        printNumber("node ", @intCast(threads[index].node));
    }
    if (place.spawn_on(nodes + 1) == 0) @trap();
}

/// Starts threads that stay, until there is no room.
fn fill() void {
    var made: u32 = 0;
    while (made < THREADS_MAX and start(made, stay) > 0) made += 1;
    printNumber("made ", made);
}

/// One thread after the other: the room of each must be there for the next.
fn repeat() void {
    for (0..100) |index| {
        if (start(@intCast(index % THREADS_MAX), nothing) < 0) @trap();
        join(@intCast(index % THREADS_MAX));
    }
    print("repeated\n");
}

/// Prints what stands on standard input.
fn echo() void {
    var bytes: [64]u8 = undefined;
    while (true) {
        const list = [_]Buffer{.{ .address = &bytes, .length = bytes.len }};
        var read: usize = 0;
        if (wasi.fd_read(0, &list, 1, &read) != 0) @trap();
        if (read == 0) return;
        print(bytes[0..read]);
    }
}

/// The first of two clocks ends a wait; a descriptor ends it at once.
fn checkPoll() void {
    const clock = 1;
    var begun: u64 = 0;
    if (wasi.clock_time_get(clock, 1, &begun) != 0) @trap();
    const ms = 1_000_000;
    const wanted = [_]Subscription{
        .{ .userdata = 5, .kind = 0, .clock_or_fd = clock, .timeout = 60_000 * ms },
        .{ .userdata = 6, .kind = 0, .clock_or_fd = clock, .timeout = begun + 20 * ms, .flags = 1 },
        .{ .userdata = 7, .kind = 1 },
    };
    var due: [3]Event = undefined;
    var found: usize = 0;
    if (wasi.poll_oneoff(&wanted, &due, 2, &found) != 0 or found != 1) @trap();
    if (due[0].userdata != 6 or due[0].errno != 0 or due[0].kind != 0) @trap();
    var ended: u64 = 0;
    if (wasi.clock_time_get(clock, 1, &ended) != 0 or ended < begun + 20 * ms) @trap();
    if (wasi.poll_oneoff(&wanted, &due, 3, &found) != 0 or found != 1) @trap();
    if (due[0].userdata != 7 or due[0].kind != 1) @trap();
    if (wasi.poll_oneoff(&wanted, &due, 0, &found) == 0) @trap();
}

/// Clocks go on, bytes are random, and addresses out of the memory are refused.
fn check() void {
    var times: [2]u64 = .{ 0, 0 };
    for (&times) |*time| if (wasi.clock_time_get(1, 1, time) != 0) @trap();
    if (times[0] == 0 or times[1] < times[0]) @trap();
    var bytes: [2]u64 = .{ 0, 0 };
    if (wasi.random_get(@ptrCast(&bytes), 16) != 0 or bytes[0] == bytes[1]) @trap();
    const fault = 21;
    const outside: [*]u8 = @ptrFromInt(0xffff_fff0);
    if (wasi.random_get(outside, 16) != fault) @trap();
    const list = [_]Buffer{.{ .address = outside, .length = 16 }};
    var written: usize = 0;
    if (wasi.fd_write(1, &list, 1, &written) != fault) @trap();
    checkPoll();
    print("checked\n");
}

export fn _start() void {
    var argc: usize = 0;
    var length: usize = 0;
    if (wasi.args_sizes_get(&argc, &length) != 0 or length > argument_bytes.len) @trap();
    if (wasi.args_get(&arguments, &argument_bytes) != 0 or argc < 2) @trap();
    const what = arguments[1];
    if (is(what, "count")) return countTogether();
    if (is(what, "choose")) return choose();
    if (is(what, "fill")) return fill();
    if (is(what, "repeat")) return repeat();
    if (is(what, "echo")) return echo();
    if (is(what, "check")) return check();
    if (is(what, "stay")) {
        _ = start(0, spin);
        print("started\n");
    } else {
        // The thread ends the program, in which this one may have no time left to print.
        print("starts\n");
        _ = start(0, if (is(what, "exit")) exit else if (is(what, "trap")) fall else @trap());
    }
    join(0);
}
