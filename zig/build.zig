//! `zig build` and `zig build test`, for those whose habit or editor wants them.
//! How the library is built is said once, in `libtdsm.rsp`; this only runs the compiler on it,
//! always, because the compiler's own cache knows best what is stale.

const builtin = @import("builtin");
const std = @import("std");

pub fn build(b: *std.Build) void {
    // As `build.ts` compiles it, which knows of other machines, too.
    const cpu = if (builtin.cpu.arch == .aarch64) "-mcpu=generic+aes" else "-mcpu=x86_64+avx+aes";
    const object = b.addSystemCommand(&.{ b.graph.zig_exe, "build-obj", "-OReleaseFast", "-fPIC", "-fstrip", "-fllvm", cpu, "src/aes.zig" });
    object.setCwd(b.path("."));
    const aes = object.addPrefixedOutputFileArg("-femit-bin=", "aes.o");

    const library = b.addSystemCommand(&.{ b.graph.zig_exe, "build-lib", "@libtdsm.rsp", "-fstrip", "--name", "tdsm", "src/c_api.zig" });
    library.addFileArg(aes);
    library.setCwd(b.path("."));
    library.has_side_effects = true;
    const binary = library.addPrefixedOutputFileArg("-femit-bin=", "libtdsm.so");
    b.getInstallStep().dependOn(&b.addInstallLibFile(binary, "libtdsm.so").step);

    const unit_tests = b.addSystemCommand(&.{ b.graph.zig_exe, "test", "@libtdsm.rsp", "-ODebug", "src/tests.zig" });
    unit_tests.addFileArg(aes);
    unit_tests.setCwd(b.path("."));
    unit_tests.has_side_effects = true;
    b.step("test", "Run the unit tests").dependOn(&unit_tests.step);
}
