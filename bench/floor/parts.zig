//! What other programs of the benchmark use of the floor.

pub const wire = @import("wire.zig");
pub const window = @import("window.zig");
