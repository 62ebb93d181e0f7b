//! A loop in WebAssembly, in a memory that it imports.

/// Adds up doubles.
export fn sum(cells: [*]const f64, length: u32) f64 {
    var total: f64 = 0;
    for (cells[0..length]) |cell| total += cell;
    return total;
}
