//! The region's allocator, for native code.

const std = @import("std");
const call_ring = @import("call_ring.zig");
const failures = @import("program_error.zig");
const msgpack = @import("msgpack.zig");
const program = @import("program.zig");
const Error = failures.Error;
const Header = call_ring.Header;
const Purpose = failures.Purpose;
const refuse = failures.refuse;

/// The kinds of elements: what of JavaScript's typed arrays has the same.
pub const Element = enum(c_int) {
    u8 = 0,
    i8 = 1,
    u16 = 2,
    i16 = 3,
    u32 = 4,
    i32 = 5,
    u64 = 6,
    i64 = 7,
    f32 = 8,
    f64 = 9,

    /// Its name, and its bytes.
    fn array(element: Element) struct { []const u8, u64 } {
        return switch (element) {
            .u8 => .{ "Uint8Array", 1 },
            .i8 => .{ "Int8Array", 1 },
            .u16 => .{ "Uint16Array", 2 },
            .i16 => .{ "Int16Array", 2 },
            .u32 => .{ "Uint32Array", 4 },
            .i32 => .{ "Int32Array", 4 },
            .u64 => .{ "BigUint64Array", 8 },
            .i64 => .{ "BigInt64Array", 8 },
            .f32 => .{ "Float32Array", 4 },
            .f64 => .{ "Float64Array", 8 },
        };
    }
};

/// `Options.home`: chunk by chunk all nodes in turn.
pub const home_spread = std.math.maxInt(u32);

/// How to allocate; zeros are the defaults.
pub const Options = extern struct {
    name: ?[*:0]const u8 = null,
    /// What the offset in the region is a multiple of: a power of two.
    alignment: u64 = 0,
    /// The id of a node, or `home_spread`.
    home: u32 = 0,
    is_packed: u32 = 0,
};

pub const name_max = 255;
/// The pages of it that are to be zeroed, at most: `REUSED_RUNS_MAX` of `runtime/limits.ts`.
pub const runs_max = 64;
const Run = struct { first: u64, count: u64 };

/// Allocates cells, all zero; answers where they are.
pub fn allocate(number: c_int, count: u64, options: Options) Error!u64 {
    const purpose: Purpose = .{ .verb = "allocate" };
    const element = std.enums.fromInt(Element, number) orelse
        return refuse(.invalid, purpose, "there is no such kind of elements");
    var cells: Cells = try .ask(element, count, options, purpose);
    const known = try program.facts();
    const bytes = count * element.array()[1];
    // Outside of every lease, since this may fault. Cells that were in use before still hold old
    // values.
    const end = known.memory + cells.offset + bytes;
    @memset(slice(end - cells.dirty_bytes, cells.dirty_bytes), 0);
    for (cells.runs[0..cells.run_count]) |run| {
        @memset(slice(known.memory + run.first * known.page_size, run.count * known.page_size), 0);
    }
    // Until then the engine frees the cells if this thread ends. Others have the cells of a name
    // that are zero.
    if (options.name == null or cells.dirty_bytes > 0) {
        const inside = try program.enter(purpose);
        defer inside.end();
        try inside.tell(.{ .kind = @backingInt(program.Call.taken), .key = cells.offset }, purpose);
    }
    return known.memory + cells.offset;
}

fn slice(address: u64, length: u64) []u8 {
    const first: [*]u8 = @ptrFromInt(address);
    return first[0..length];
}

/// What the allocator has answered.
const Cells = struct {
    offset: u64 = 0,
    dirty_bytes: u64 = 0,
    runs: [runs_max]Run = undefined,
    run_count: u32 = 0,

    fn ask(element: Element, count: u64, options: Options, purpose: Purpose) Error!Cells {
        var buffer: [512]u8 = undefined;
        const request = try written(&buffer, element, count, options, purpose);
        const inside = try program.enter(purpose);
        defer inside.end();
        var payload: [4096]u8 = undefined;
        const header: Header = .{ .kind = @backingInt(program.Call.allocate) };
        const answered = try inside.ask(header, request, -1, &payload, purpose);
        var cells: Cells = .{};
        if (cells.read(payload[0..answered.length])) return cells;
        return refuse(.engine_failed, purpose, "an answer that cannot be read");
    }

    /// Whether the answer could be read.
    fn read(cells: *Cells, payload: []const u8) bool {
        var reader: msgpack.Reader = .{ .bytes = payload };
        for (0..reader.mapEntries() orelse return false) |_| {
            const key = reader.textNext() orelse return false;
            const value = reader.next() orelse return false;
            switch (value) {
                .number => |number| {
                    if (std.mem.eql(u8, key, "offset")) cells.offset = number;
                    if (std.mem.eql(u8, key, "dirtyBytes")) cells.dirty_bytes = number;
                },
                .list => |entries| if (!cells.readRuns(&reader, entries)) return false,
                else => {},
            }
        }
        return true;
    }

    /// Each is a map of `first` and `count`.
    fn readRuns(cells: *Cells, reader: *msgpack.Reader, entries: u32) bool {
        if (entries > runs_max) return false;
        for (cells.runs[0..entries]) |*run| {
            for (0..reader.mapEntries() orelse return false) |_| {
                const key = reader.textNext() orelse return false;
                const number = reader.numberNext() orelse return false;
                if (std.mem.eql(u8, key, "first")) run.first = number;
                if (std.mem.eql(u8, key, "count")) run.count = number;
            }
        }
        cells.run_count = entries;
        return true;
    }
};

/// Writes the request, once all of it is known to be one.
fn written(buffer: []u8, element: Element, count: u64, options: Options, purpose: Purpose) Error![]const u8 {
    const type_name, const element_bytes = element.array();
    const size = (try program.facts()).size;
    if (count == 0 or count > size / element_bytes) return refuse(.invalid, purpose, "the length must be at least 1, and fit into the region");
    const alignment = options.alignment;
    if (alignment != 0 and (!std.math.isPowerOfTwo(alignment) or alignment > size)) {
        return refuse(.invalid, purpose, "the alignment must be a power of two, and no larger than the region");
    }
    if (options.home != 0 and options.is_packed != 0) return refuse(.invalid, purpose, "what is packed cannot have a home");
    const name: ?[]const u8 = if (options.name) |text| std.mem.span(text) else null;
    if (name) |text| {
        if (text.len < 1 or text.len > name_max or !std.unicode.utf8ValidateSlice(text)) {
            return refuse(.invalid, purpose, "a name must have 1 to 255 bytes of UTF-8");
        }
    }
    var writer: msgpack.Writer = .{ .bytes = buffer };
    writer.map(3 + @as(u4, @intFromBool(name != null)) + @intFromBool(alignment != 0) + @intFromBool(options.home != 0));
    writer.text("type");
    writer.text(type_name);
    writer.text("length");
    writer.number(count);
    writer.text("packed");
    writer.boolean(options.is_packed != 0);
    if (name) |text| {
        writer.text("name");
        writer.text(text);
    }
    if (alignment != 0) {
        writer.text("align");
        writer.number(alignment);
    }
    if (options.home != 0) {
        writer.text("home");
        if (options.home == home_spread) writer.text("spread") else writer.number(options.home);
    }
    return writer.written();
}

/// Frees a whole allocation of so many bytes.
pub fn free(address: u64, bytes: u64) Error!void {
    const purpose: Purpose = .{ .verb = "free" };
    const inside = try program.enter(purpose);
    defer inside.end();
    const offset = inside.byteAt(address) orelse return refuse(.not_allocated, purpose, "it is not in the region");
    if (bytes == 0) return refuse(.not_allocated, purpose, "it is empty");
    var buffer: [64]u8 = undefined;
    var writer: msgpack.Writer = .{ .bytes = &buffer };
    writer.map(2);
    writer.text("offset");
    writer.number(offset);
    writer.text("bytes");
    writer.number(bytes);
    var payload: [1024]u8 = undefined;
    _ = try inside.ask(.{ .kind = @backingInt(program.Call.free) }, writer.written(), -1, &payload, purpose);
}

/// Where an address is in the region, in bytes.
pub fn offsetOf(address: u64) Error!u64 {
    const purpose: Purpose = .{ .verb = "tell the offset of an address" };
    const inside = try program.enter(purpose);
    defer inside.end();
    return inside.byteAt(address) orelse refuse(.invalid, purpose, "it is not in the region");
}

/// The address of a byte of the region.
pub fn at(offset: u64) Error!u64 {
    const known = try program.facts();
    if (offset < known.size) return known.memory + offset;
    return refuse(.invalid, .{ .verb = "tell the address of byte", .number = offset }, "the region ends before it");
}
