//! Root of the unit tests: names every file that has any.

comptime {
    _ = @import("abi.zig");
    _ = @import("call_ring.zig");
    _ = @import("crc32c.zig");
    _ = @import("msgpack.zig");
    _ = @import("program_error.zig");
    _ = @import("fork_mark.zig");
    _ = @import("cores.zig");
    _ = @import("status.zig");
    _ = @import("window.zig");
    _ = @import("section.zig");
    _ = @import("noise_test.zig");
    _ = @import("seal_test.zig");
    _ = @import("thread.zig");
    _ = @import("exit_test.zig");
    _ = @import("module_file_test.zig");
    _ = @import("realtime.zig");
    _ = @import("schedstat.zig");
    _ = @import("signals_test.zig");
    _ = @import("starvation.zig");
    _ = @import("modules_test.zig");
    _ = @import("open_test.zig");
    _ = @import("process_test.zig");
    _ = @import("pages_test.zig");
    _ = @import("memory_test.zig");
    _ = @import("mappings_test.zig");
    _ = @import("windows_test.zig");
    _ = @import("wait_test.zig");
    _ = @import("links_test.zig");
    _ = @import("sealed_link_test.zig");
    _ = @import("thread_link_test.zig");
    _ = @import("waiters_test.zig");
    _ = @import("race_test.zig");
    // The last, since a fenced region keeps its slot, and another test needs all of them.
    _ = @import("fence_test.zig");
}
