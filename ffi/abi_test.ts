import { assertEquals, assertMatch } from "@std/assert";
import {
  ABI_VERSION,
  CONSTANTS,
  FAULT,
  FAULT_FLAGS,
  FAULT_PAGE,
  FAULT_THREAD,
  FAULT_WINDOW,
  FAULT_WORDS,
  LINK_READY,
  MODULE_INFO,
  nameFeatures,
  NOISE_STATE,
  OPEN_OPTIONS,
  openError,
  PROBLEMS,
  RDMA_SECTION_INFO,
  REGION_INFO,
  SEAL_STATE,
  SEALED_LINK,
  statusError,
  STATUSES,
  STEPS,
  THREAD_TIMES,
} from "./abi.ts";
import { openLibrary } from "./library.ts";

Deno.test("abi: layouts, codes and constants are those that the compiler made", () => {
  using library = openLibrary();
  const text = library.symbols.tdsm_layout_manifest();
  const manifest: unknown = JSON.parse(Deno.UnsafePointerView.getCString(text!));
  assertEquals(manifest, {
    abiVersion: ABI_VERSION,
    structs: {
      tdsm_open_options: OPEN_OPTIONS,
      tdsm_region_info: REGION_INFO,
      tdsm_fault: FAULT,
      tdsm_link_ready: LINK_READY,
      tdsm_thread_times: THREAD_TIMES,
      tdsm_rdma_section_info: RDMA_SECTION_INFO,
      tdsm_module_info: MODULE_INFO,
      tdsm_seal_state: SEAL_STATE,
      tdsm_sealed_link: SEALED_LINK,
      tdsm_noise_state: NOISE_STATE,
    },
    statuses: STATUSES,
    steps: STEPS,
    problems: PROBLEMS,
    constants: CONSTANTS,
  });
});

Deno.test("abi: the words of a fault record are its fields", () => {
  assertEquals(FAULT_WORDS * 4, FAULT.size);
  assertEquals(FAULT_PAGE * 4, FAULT.fields.page.offset);
  assertEquals(FAULT_FLAGS * 4, FAULT.fields.flags.offset);
  assertEquals(FAULT_THREAD * 4, FAULT.fields.thread.offset);
  assertEquals(FAULT_WINDOW * 4, FAULT.fields.window.offset);
});

Deno.test("abi: every status has an error of its own kind, with operation and errno", () => {
  const codes = Object.entries(STATUSES).filter(([, status]) => status > 0).map(
    ([name, status]) => {
      const error = statusError("install 2 pages from page 5", -status, 22);
      assertEquals(error.operation, "install");
      assertEquals(error.errno, 22);
      assertMatch(error.message, /^Cannot install 2 pages from page 5: .*[^.] \(EINVAL\)$/);
      return [name, error.code];
    },
  );
  assertEquals(Object.fromEntries(codes), {
    bad_argument: "InvalidOption",
    bad_handle: "NodeClosed",
    privilege_missing: "PrivilegeMissing",
    kernel_unsupported: "KernelUnsupported",
    out_of_memory: "SystemCallFailed",
    too_many_files: "SystemCallFailed",
    system_call_failed: "SystemCallFailed",
    limit_exceeded: "LimitExceeded",
    window_gone: "SystemCallFailed",
    module_unusable: "LibraryMismatch",
    module_in_use: "InvalidOption",
    memory_exhausted: "MemoryExhausted",
    fenced: "NodeClosed",
    file_limited: "SystemCallFailed",
    not_authentic: "FrameCorrupted",
  });
  assertMatch(statusError("x", -99, 0).message, /unknown status 99$/);
});

Deno.test("abi: a refusal of the kernel names every remedy", () => {
  const { message, code, errno } = openError({
    result: -STATUSES.privilege_missing,
    step: STEPS.userfaultfd,
    errno: 1,
    missingFeatures: 0n,
  });
  assertEquals([code, errno], ["PrivilegeMissing", 1]);
  assertMatch(message, /sysctl vm\.unprivileged_userfaultfd=1/);
  assertMatch(message, /\/dev\/userfaultfd/);
  assertMatch(message, /root/);
  assertMatch(message, /EPERM/);
  assertMatch(message, /while asking for a userfaultfd$/);
});

Deno.test("abi: feature bits have names as far as there are any", () => {
  assertEquals(nameFeatures(0n), []);
  assertEquals(nameFeatures((1n << 10n) | (1n << 60n)), ["UFFD_FEATURE_MINOR_SHMEM", "bit 60"]);
});
