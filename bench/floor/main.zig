//! What a remote page costs at least on this machine: two processes, userfaultfd and TCP, with no
//! coherence and no TypeScript. `floor.ts` builds this and talks to it.
//!
//!     floor owner ADDRESS PORT    has pages; says its port as JSON
//!     floor requester ADDRESS PORT    fetches them; takes commands on stdin, see command.zig

const std = @import("std");
const owner = @import("owner.zig");
const requester = @import("requester.zig");

pub fn main(init: std.process.Init.Minimal) !u8 {
    var words = init.args.iterate();
    _ = words.skip();
    const role = words.next() orelse return usage();
    const host = words.next() orelse return usage();
    const port = words.next() orelse return usage();
    if (words.next() != null) return usage();
    if (std.mem.eql(u8, role, "owner")) {
        try owner.run(host, port);
    } else if (std.mem.eql(u8, role, "requester")) {
        try requester.run(host, port);
    } else return usage();
    return 0;
}

fn usage() u8 {
    std.debug.print("usage: floor owner|requester ADDRESS PORT\n", .{});
    return 2;
}
