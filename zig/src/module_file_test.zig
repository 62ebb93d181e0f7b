//! The reader of a module's file: on this test's own file, and on files that lie.

const std = @import("std");
const elf = std.elf;
const linux = std.os.linux;
const module_file = @import("module_file.zig");
const section_file = @import("section.zig");
const Problem = @import("abi.zig").Problem;
const expectEqual = std.testing.expectEqual;

test "module file: the section of this program is found, with its variable" {
    var reader: module_file.Reader = .{ .fd = -1 };
    try reader.open("/proc/self/exe");
    defer reader.close();
    const section = try reader.section();
    try expectEqual(section_file.describe().size, section.size);
    try expectEqual(section_file.describe().start % 4096, section.address % 4096);
    try std.testing.expect(!section.has_contents);
    try expectEqual(1, section.layout.variables);
}

test "module file: the layout does not depend on the order of symbols, but on all else" {
    var one: module_file.Layout = .{};
    one.add(0, 4, 77);
    one.add(8, 8, 78);
    var other: module_file.Layout = .{};
    other.add(8, 8, 78);
    other.add(0, 4, 77);
    try expectEqual(one.finish(4096), other.finish(4096));
    const variants = [_][3]u64{ .{ 4, 4, 77 }, .{ 0, 8, 77 }, .{ 0, 4, 79 } };
    for (variants) |variant| {
        var changed: module_file.Layout = .{};
        changed.add(variant[0], variant[1], variant[2]);
        changed.add(8, 8, 78);
        try std.testing.expect(changed.finish(4096) != one.finish(4096));
    }
    try std.testing.expect(one.finish(8192) != one.finish(4096));
}

/// As small as a library can be: four sections, of which `.rdma` has one variable.
const Image = extern struct {
    header: elf.Elf64_Ehdr,
    sections: [4]elf.Elf64_Shdr,
    symbols: [2]elf.Elf64_Sym,
    text: [24]u8,

    const rdma = 2;

    fn make() Image {
        var image = std.mem.zeroes(Image);
        @memcpy(image.header.e_ident[0..4], elf.MAGIC);
        image.header.e_ident[elf.EI.CLASS] = elf.ELFCLASS64;
        image.header.e_ident[elf.EI.DATA] = elf.ELFDATA2LSB;
        image.header.e_phentsize = @sizeOf(elf.Elf64.Phdr);
        image.header.e_shoff = @offsetOf(Image, "sections");
        image.header.e_shentsize = @sizeOf(elf.Elf64_Shdr);
        image.header.e_shnum = 4;
        image.header.e_shstrndx = 1;
        const names = "\x00.rdma\x00counter@@V1\x00";
        @memcpy(image.text[0..names.len], names);
        const strings = &image.sections[1];
        strings.sh_type = @backingInt(elf.SHT.STRTAB);
        strings.sh_offset = @offsetOf(Image, "text");
        strings.sh_size = image.text.len;
        image.sections[rdma] = std.mem.zeroInit(elf.Elf64_Shdr, .{
            .sh_name = 1,
            .sh_type = @backingInt(elf.SHT.NOBITS),
            .sh_addr = 0x4000,
            .sh_size = 4096,
        });
        image.sections[3] = std.mem.zeroInit(elf.Elf64_Shdr, .{
            .sh_type = @backingInt(elf.SHT.DYNSYM),
            .sh_offset = @offsetOf(Image, "symbols"),
            .sh_size = 2 * @sizeOf(elf.Elf64_Sym),
            .sh_link = 1,
        });
        image.symbols[1].st_name = 7;
        image.symbols[1].st_shndx = rdma;
        image.symbols[1].st_value = 0x4008;
        image.symbols[1].st_size = 4;
        return image;
    }
};

/// A file in memory.
const File = struct {
    reader: module_file.Reader,

    fn make(bytes: []const u8) !File {
        const fd = linux.memfd_create("module", linux.MFD.CLOEXEC);
        try expectEqual(.SUCCESS, linux.errno(fd));
        try expectEqual(bytes.len, linux.pwrite(@intCast(fd), bytes.ptr, bytes.len, 0));
        return .{ .reader = .{ .fd = @intCast(fd) } };
    }

    fn expectProblem(file: *File, problem: Problem) !void {
        try std.testing.expectError(error.ModuleUnusable, file.reader.section());
        try expectEqual(problem, file.reader.problem);
    }
};

test "module file: a name counts without its version" {
    const image = Image.make();
    var file = try File.make(std.mem.asBytes(&image));
    defer file.reader.close();
    const versioned = try file.reader.section();
    try expectEqual(1, versioned.layout.variables);

    var plain_image = image;
    @memset(plain_image.text[14..18], 0);
    var plain = try File.make(std.mem.asBytes(&plain_image));
    defer plain.reader.close();
    try expectEqual(versioned.layout, (try plain.reader.section()).layout);

    plain_image.text[13] = 's';
    var renamed = try File.make(std.mem.asBytes(&plain_image));
    defer renamed.reader.close();
    try std.testing.expect((try renamed.reader.section()).layout.sum != versioned.layout.sum);
}

test "module file: what is missing is said" {
    var image = Image.make();
    image.sections[Image.rdma].sh_size = 0;
    var empty = try File.make(std.mem.asBytes(&image));
    defer empty.reader.close();
    try empty.expectProblem(.section_empty);

    image.sections[Image.rdma].sh_name = 2;
    var unnamed = try File.make(std.mem.asBytes(&image));
    defer unnamed.reader.close();
    try unnamed.expectProblem(.section_missing);

    image.header.e_shnum = 0;
    var bare = try File.make(std.mem.asBytes(&image));
    defer bare.reader.close();
    try bare.expectProblem(.not_elf);
}

test "module file: cut short anywhere it is refused" {
    const image = Image.make();
    const bytes = std.mem.asBytes(&image);
    // The last bytes are behind every name.
    for (0..bytes.len - 5) |length| {
        var file = try File.make(bytes[0..length]);
        defer file.reader.close();
        try file.expectProblem(.not_elf);
    }
}

test "module file: any byte may lie, and the reader answers or refuses" {
    var image = Image.make();
    const bytes = std.mem.asBytes(&image);
    var answered: u32 = 0;
    var refused: u32 = 0;
    for (bytes) |*byte| {
        const truth = byte.*;
        defer byte.* = truth;
        for ([_]u8{ 0, 1, 0x7f, 0x80, 0xff }) |lie| {
            byte.* = lie;
            var file = try File.make(bytes);
            defer file.reader.close();
            if (file.reader.section()) |_| {
                answered += 1;
            } else |_| {
                refused += 1;
                try std.testing.expect(file.reader.problem != .none);
            }
        }
    }
    try std.testing.expect(answered > 0 and refused > 0);
}
