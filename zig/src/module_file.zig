//! Reads the `.rdma` section of a shared library from the library's file: its place, and the places
//! of its variables. No offset or length in the file is trusted before it is checked.

const std = @import("std");
const elf = std.elf;
const linux = std.os.linux;
const abi = @import("abi.zig");

/// The file cannot be understood, or cannot be read: `problem` of the reader says which.
pub const Error = error{ModuleUnusable};

/// The longest part of the loaded library that is compared with the file: its headers, build id
/// and first dynamic symbols.
const compared_bytes_max = 64 << 10;

const chunk_bytes = 4096;

pub const Section = struct {
    /// The address that the linker gave it; the loader adds the library's base.
    address: u64,
    size: u64,
    /// Its bytes are in the file, so they need not be zero.
    has_contents: bool,
    layout: Layout,
};

/// A fingerprint of names, places and sizes. It does not depend on the order of the symbols, so
/// nothing has to be sorted or kept.
pub const Layout = struct {
    sum: u64 = 0,
    variables: u32 = 0,

    pub fn add(layout: *Layout, offset: u64, size: u64, name_hash: u64) void {
        var hash = hash_start;
        for ([_]u64{ offset, size, name_hash }) |word| hash = hashWord(hash, word);
        // Sums of plain FNV values collide easily; this spreads each over all 64 bits.
        layout.sum +%= spread(hash);
        layout.variables += 1;
    }

    pub fn finish(layout: Layout, section_size: u64) u64 {
        var hash = hash_start;
        for ([_]u64{ section_size, layout.variables, layout.sum }) |word| hash = hashWord(hash, word);
        return spread(hash);
    }
};

pub const Reader = struct {
    fd: i32,
    /// What is wrong, once a call has failed.
    problem: abi.Problem = .none,
    errno: i32 = 0,
    /// With `variable_elsewhere`: its name.
    variable: @FieldType(abi.ModuleInfo, "variable") = @splat(0),

    pub fn open(reader: *Reader, path: [*:0]const u8) Error!void {
        const result = linux.open(path, .{ .ACCMODE = .RDONLY, .CLOEXEC = true }, 0);
        const errno = linux.errno(result);
        if (errno != .SUCCESS) return reader.failWith(.file_unreadable, errno);
        reader.fd = @intCast(result);
    }

    pub fn close(reader: *Reader) void {
        if (reader.fd >= 0) _ = linux.close(reader.fd);
        reader.fd = -1;
    }

    /// Finds the section and takes the fingerprint of its variables: all of them where the library
    /// has its full symbol table, else those that it exports.
    pub fn section(reader: *Reader) Error!Section {
        const header = try reader.readHeader();
        var found: ?struct { index: u16, header: elf.Elf64_Shdr } = null;
        var symbols: ?elf.Elf64_Shdr = null;
        const names = try reader.sectionHeader(header, header.e_shstrndx);
        for (0..header.e_shnum) |at| {
            const index: u16 = @intCast(at);
            const entry = try reader.sectionHeader(header, index);
            const kind: elf.SHT = @fromBackingInt(entry.sh_type);
            if (kind == .SYMTAB or (kind == .DYNSYM and symbols == null)) symbols = entry;
            if (try reader.isNamed(names, entry.sh_name, ".rdma")) found = .{ .index = index, .header = entry };
        }
        const none: elf.Elf64_Shdr = std.mem.zeroes(elf.Elf64_Shdr);
        var layout: Layout = .{};
        if (symbols) |table| {
            const strings = try reader.sectionHeader(header, std.math.cast(u16, table.sh_link) orelse
                return reader.fail(.not_elf));
            const index, const place = if (found) |rdma| .{ rdma.index, rdma.header } else .{ 0, none };
            try reader.addVariables(&layout, table, strings, index, place.sh_addr);
        }
        const rdma = found orelse return reader.fail(.section_missing);
        if (rdma.header.sh_size == 0) return reader.fail(.section_empty);
        return .{
            .address = rdma.header.sh_addr,
            .size = rdma.header.sh_size,
            .has_contents = rdma.header.sh_type != @backingInt(elf.SHT.NOBITS),
            .layout = layout,
        };
    }

    fn readHeader(reader: *Reader) Error!elf.Elf64_Ehdr {
        const header = try reader.read(elf.Elf64_Ehdr, 0);
        if (!std.mem.eql(u8, header.e_ident[0..4], elf.MAGIC)) return reader.fail(.not_elf);
        if (header.e_ident[elf.EI.CLASS] != elf.ELFCLASS64) return reader.fail(.not_elf);
        if (header.e_ident[elf.EI.DATA] != elf.ELFDATA2LSB) return reader.fail(.not_elf);
        if (header.e_phentsize != @sizeOf(elf.Elf64.Phdr)) return reader.fail(.not_elf);
        // None: they were stripped, or there are more than the field can count.
        if (header.e_shnum == 0 or header.e_shentsize != @sizeOf(elf.Elf64_Shdr)) return reader.fail(.not_elf);
        return header;
    }

    fn sectionHeader(reader: *Reader, header: elf.Elf64_Ehdr, index: u16) Error!elf.Elf64_Shdr {
        if (index >= header.e_shnum) return reader.fail(.not_elf);
        return reader.read(elf.Elf64_Shdr, header.e_shoff +| @as(u64, index) * @sizeOf(elf.Elf64_Shdr));
    }

    fn isNamed(reader: *Reader, names: elf.Elf64_Shdr, at: u32, comptime name: [:0]const u8) Error!bool {
        if (at +| (name.len + 1) > names.sh_size) return false;
        const bytes = try reader.read([name.len + 1]u8, names.sh_offset +| at);
        return std.mem.eql(u8, &bytes, name[0 .. name.len + 1]);
    }

    fn addVariables(
        reader: *Reader,
        layout: *Layout,
        table: elf.Elf64_Shdr,
        strings: elf.Elf64_Shdr,
        section_index: u16,
        section_address: u64,
    ) Error!void {
        const per_chunk = chunk_bytes / @sizeOf(elf.Elf64_Sym);
        var chunk: [per_chunk]elf.Elf64_Sym = undefined;
        var left = table.sh_size / @sizeOf(elf.Elf64_Sym);
        var at = table.sh_offset;
        while (left > 0) {
            const part = chunk[0..@min(left, per_chunk)];
            const bytes = std.mem.sliceAsBytes(part);
            try reader.readExactly(bytes, at);
            for (part) |symbol| {
                if (symbol.st_shndx == 0 or symbol.st_size == 0) continue;
                if (symbol.st_shndx != section_index) {
                    if (!isMarked(symbol)) continue;
                    try reader.copyName(strings, symbol.st_name);
                    return reader.fail(.variable_elsewhere);
                }
                const name_hash = try reader.hashName(strings, symbol.st_name);
                layout.add(symbol.st_value -% section_address, symbol.st_size, name_hash);
            }
            left -= part.len;
            at +|= bytes.len;
        }
    }

    /// Keeps the beginning of a name.
    fn copyName(reader: *Reader, strings: elf.Elf64_Shdr, start: u32) Error!void {
        const room = reader.variable.len - 1;
        if (start >= strings.sh_size) return reader.fail(.not_elf);
        const part = reader.variable[0..@min(room, strings.sh_size - start)];
        try reader.readExactly(part, strings.sh_offset +| start);
        const end = std.mem.findScalar(u8, part, 0) orelse part.len;
        @memset(reader.variable[end..], 0);
    }

    /// A name's hash. The full table has `name@@VERSION` where the dynamic one has `name`.
    fn hashName(reader: *Reader, strings: elf.Elf64_Shdr, start: u32) Error!u64 {
        var hash = hash_start;
        var at: u64 = start;
        var chunk: [64]u8 = undefined;
        while (at < strings.sh_size) {
            const part = chunk[0..@min(chunk.len, strings.sh_size - at)];
            try reader.readExactly(part, strings.sh_offset +| at);
            for (part) |byte| {
                if (byte == 0 or byte == '@') return hash;
                hash = hashByte(hash, byte);
            }
            at += part.len;
        }
        return reader.fail(.not_elf); // The table ends inside of the name.
    }

    /// Makes sure that the file is the one that was loaded at `base`, not a newer one in its place:
    /// what the loader mapped first and never writes to must be what the file has there.
    pub fn checkLoaded(reader: *Reader, base: u64) Error!void {
        const header = try reader.readHeader();
        for (0..header.e_phnum) |index| {
            const segment = try reader.read(elf.Elf64.Phdr, header.e_phoff +| index * @sizeOf(elf.Elf64.Phdr));
            if (segment.type != .LOAD or segment.offset != 0 or segment.flags.W) continue;
            const loaded: [*]const u8 = @ptrFromInt(base +% segment.vaddr);
            // The header in memory was checked by the loader: if it differs, so may all the rest.
            const least = @sizeOf(elf.Elf64_Ehdr);
            if (segment.filesz < least) return reader.fail(.file_changed);
            try reader.compare(loaded[0..least]);
            return reader.compare(loaded[0..@min(segment.filesz, compared_bytes_max)]);
        }
        return reader.fail(.file_changed);
    }

    fn compare(reader: *Reader, loaded: []const u8) Error!void {
        var chunk: [chunk_bytes]u8 = undefined;
        var at: usize = 0;
        while (at < loaded.len) {
            const part = chunk[0..@min(chunk.len, loaded.len - at)];
            try reader.readExactly(part, at);
            if (!std.mem.eql(u8, part, loaded[at..][0..part.len])) return reader.fail(.file_changed);
            at += part.len;
        }
    }

    fn read(reader: *Reader, comptime T: type, at: u64) Error!T {
        var value: T = undefined;
        try reader.readExactly(std.mem.asBytes(&value), at);
        return value;
    }

    fn readExactly(reader: *Reader, out: []u8, at: u64) Error!void {
        var done: usize = 0;
        while (done < out.len) {
            const offset = std.math.cast(i64, at +| done) orelse return reader.fail(.not_elf);
            const result = linux.pread(reader.fd, out[done..].ptr, out.len - done, offset);
            switch (linux.errno(result)) {
                .SUCCESS => if (result == 0) return reader.fail(.not_elf) else {
                    done += result;
                },
                .INTR => {},
                else => |errno| return reader.failWith(.file_unreadable, errno),
            }
        }
    }

    fn fail(reader: *Reader, problem: abi.Problem) Error {
        return reader.failWith(problem, .SUCCESS);
    }

    fn failWith(reader: *Reader, problem: abi.Problem, errno: linux.E) Error {
        reader.problem = problem;
        reader.errno = @backingInt(errno);
        return error.ModuleUnusable;
    }
};

/// Whether a variable has the mark that `TDSM_SHARED` of tdsm.h gives in C++: protected visibility,
/// on a symbol that several object files may define, which is what compilers make of a template's.
fn isMarked(symbol: elf.Elf64_Sym) bool {
    const object = 1;
    const weak = 2;
    const unique = 10; // Of GNU.
    const protected = 3;
    const binding = symbol.st_info >> 4;
    return symbol.st_info & 0xf == object and symbol.st_other & 3 == protected and
        (binding == weak or binding == unique);
}

/// FNV-1a: nodes of different builds compare these numbers, so they must not depend on a library.
const hash_start: u64 = 0xcbf29ce484222325;

fn hashByte(hash: u64, byte: u8) u64 {
    return (hash ^ byte) *% 0x100000001b3;
}

fn hashWord(start: u64, word: u64) u64 {
    var hash = start;
    for (std.mem.asBytes(&std.mem.nativeToLittle(u64, word))) |byte| hash = hashByte(hash, byte);
    return hash;
}

/// The last step of MurmurHash3.
fn spread(hash: u64) u64 {
    var bits = hash;
    bits = (bits ^ (bits >> 33)) *% 0xff51afd7ed558ccd;
    bits = (bits ^ (bits >> 33)) *% 0xc4ceb9fe1a85ec53;
    return bits ^ (bits >> 33);
}
