//! The loop of Jacobi's method as native code: each cell becomes the mean of its neighbours.

/// Computes the rows from `first` up to `end` of a plate with `cells` cells a side.
export fn relax(
    noalias from: [*]const f64,
    noalias to: [*]f64,
    cells: usize,
    first: usize,
    end: usize,
) void {
    for (first..end) |row| {
        for (row * cells + 1..(row + 1) * cells - 1) |cell| {
            const beside = from[cell - 1] + from[cell + 1];
            to[cell] = 0.25 * (from[cell - cells] + from[cell + cells] + beside);
        }
    }
}
