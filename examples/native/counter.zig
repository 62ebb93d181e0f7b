//! A module whose globals are the same cells on every node. From the root of the checkout:
//! zig build-lib -dynamic -OReleaseFast -fllvm -flld -T zig/rdma.ld \
//!   -femit-bin=libcounter.so examples/native/counter.zig

/// Several nodes write it, so every access is atomic, as it would be between threads.
export var counter: i32 linksection(".bss.rdma") = 0;

/// Filled by one node and read by all: 64 MiB of address space, memory only where it is touched.
var table: [1 << 23]f64 linksection(".bss.rdma") = @splat(0);

export fn bump() i32 {
    return @atomicRmw(i32, &counter, .Add, 1, .seq_cst) + 1;
}

export fn fill(step: f64) void {
    for (&table, 0..) |*cell, index| cell.* = @as(f64, @floatFromInt(index)) * step;
}

export fn look_up(index: i32) f64 {
    return table[@intCast(index)];
}

/// Memory that is handed in can be of the region too: where a page of it is missing, it is fetched.
export fn sum(numbers: [*]const f64, count: i32) f64 {
    var total: f64 = 0;
    for (numbers[0..@intCast(count)]) |number| total += number;
    return total;
}
