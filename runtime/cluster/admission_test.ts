import { assertEquals, assertMatch } from "@std/assert";
import { NODE_ID_MAX, NODES_MAX } from "../limits.ts";
import { PROTOCOL_VERSION } from "../wire/layout.ts";
import type { HelloControl } from "../wire/control.ts";
import type { RegionSettings } from "../wire/region_settings.ts";
import {
  type Doorkeeper,
  objectionToHello,
  objectionToLoopback,
  objectionToStatus,
  refusal,
} from "./admission.ts";

const MIB = 1024 * 1024;

const JOIN: HelloControl = {
  kind: "hello",
  protocolVersion: PROTOCOL_VERSION,
  session: 0n,
  node: 0,
  address: "127.0.0.1",
  port: 4000,
  serving: false,
  release: "1.2.3",
};
const MEET: HelloControl = { ...JOIN, session: 77n, node: 3 };

const DIRECTORY: Doorkeeper = {
  self: 1,
  session: 77n,
  region: {
    size: 64 * MIB,
    pageSize: 4096,
    runPages: 32,
    holdTimeUs: 100,
    compression: false,
    checksums: true,
    migration: true,
    homes: "directory",
  },
  directory: undefined,
  nodes: 4,
  nextId: 5,
  isGone: () => false,
  isLinked: () => false,
  isDialled: () => false,
};
const NODE: Doorkeeper = {
  ...DIRECTORY,
  self: 4,
  directory: { id: 1, address: "10.0.0.1", port: 9634 },
};

/** For each setting of the cluster another value than the directory node has, and what it says. */
const OTHER_SETTINGS: readonly [wanted: Partial<RegionSettings>, reason: string][] = [
  [{ size: MIB }, "--size 1MiB asked for, the directory node has 64MiB"],
  [{ pageSize: 8192 }, "--page-size 8KiB asked for, the directory node has 4KiB"],
  [{ runPages: 33 }, "--run-pages 33 asked for, the directory node has 32"],
  [{ holdTimeUs: 0 }, "--hold-time 0 asked for, the directory node has 100"],
  [{ compression: true }, "--compression on asked for, the directory node has off"],
  [{ checksums: false }, "--checksums off asked for, the directory node has on"],
  [{ migration: false }, "--migration off asked for, the directory node has on"],
  [{ homes: "spread" }, "--homes spread asked for, the directory node has directory"],
];

Deno.test("objectionToHello lets a node join whose wanted settings are those of the region", () => {
  assertEquals(objectionToHello(JOIN, DIRECTORY), undefined);
  const { region } = DIRECTORY;
  assertEquals(objectionToHello({ ...JOIN, ...region }, DIRECTORY), undefined);
  assertEquals(OTHER_SETTINGS.map(([wanted]) => Object.keys(wanted)[0]), Object.keys(region));
  // Both were told the same, and pages of 2 MiB are too many bytes for a run of more than one.
  const large = { ...DIRECTORY, region: { ...region, pageSize: 2 * MIB, runPages: 1 } };
  assertEquals(objectionToHello({ ...JOIN, pageSize: 2 * MIB, runPages: 32 }, large), undefined);
  const almostFull = { ...DIRECTORY, nodes: NODES_MAX - 1, nextId: NODE_ID_MAX };
  assertEquals(objectionToHello(JOIN, almostFull), undefined);
});

Deno.test("objectionToHello lets in a node of the cluster", () => {
  assertEquals(objectionToHello(MEET, NODE), undefined);
  assertEquals(objectionToHello({ ...MEET, node: 5 }, NODE), undefined);
});

Deno.test("objectionToHello has a code and a reason for each refusal", () => {
  const refusals: [name: string, answer: unknown, code: string, reason: RegExp][] = [
    [
      "no hello",
      objectionToHello({ kind: "closing" }, DIRECTORY),
      "ProtocolViolation",
      /^closing instead of hello$/,
    ],
    [
      "version",
      objectionToHello({ ...JOIN, protocolVersion: PROTOCOL_VERSION + 1 }, DIRECTORY),
      "VersionMismatch",
      /^protocol version 5 \(release 1\.2\.3\) asked for, this is 4: run the same release/,
    ],
    ["not the directory", objectionToHello(JOIN, NODE), "JoinRefused", /at 10\.0\.0\.1:9634$/],
    ...OTHER_SETTINGS.map(([wanted, reason]) =>
      [
        reason,
        objectionToHello({ ...JOIN, ...wanted }, DIRECTORY),
        "RegionMismatch",
        new RegExp(`^${reason}\\. Leave it out, or give both the same$`),
      ] as [string, unknown, string, RegExp]
    ),
    [
      "full",
      objectionToHello(JOIN, { ...DIRECTORY, nodes: NODES_MAX }),
      "LimitExceeded",
      /is full: 1024 nodes$/,
    ],
    [
      "no ids left",
      objectionToHello(JOIN, { ...DIRECTORY, nextId: NODE_ID_MAX + 1 }),
      "LimitExceeded",
      /is full/,
    ],
    [
      "another cluster",
      objectionToHello({ ...MEET, session: 78n }, NODE),
      "JoinRefused",
      /another cluster/,
    ],
    [
      "gone",
      objectionToHello(MEET, { ...NODE, isGone: (node) => node === 3 }),
      "JoinRefused",
      /has left or was given up/,
    ],
    [
      "connected",
      objectionToHello(MEET, { ...NODE, isLinked: (node) => node === 3 }),
      "JoinRefused",
      /connected already/,
    ],
    ["itself", objectionToHello({ ...MEET, node: 4 }, NODE), "JoinRefused", /this node/],
    ["never joined", objectionToHello({ ...MEET, node: 9 }, DIRECTORY), "JoinRefused", /no node 9/],
  ];
  for (const [name, answer, code, reason] of refusals) {
    const { kind, ...refused } = answer as { kind: string; code: string; reason: string };
    assertEquals([name, kind, refused.code], [name, "refuse", code]);
    assertMatch(refused.reason, reason);
  }
});

Deno.test("objectionToHello: of two that dial each other the connection of the lower id counts", () => {
  const dialled = { ...NODE, isDialled: () => true };
  assertEquals(objectionToHello({ ...MEET, node: 3 }, dialled), undefined);
  const higher = objectionToHello({ ...MEET, node: 5 }, dialled);
  assertEquals(higher?.reason, "connected already");
});

Deno.test("refusal names the node that refused and its reason, with no code that a peer made up", () => {
  const at = { hostname: "10.0.0.1", port: 9634 };
  const known = refusal({ kind: "refuse", code: "RegionMismatch", reason: "too large" }, at);
  assertEquals(known.code, "RegionMismatch");
  assertEquals(known.message, "Cannot join: the node at 10.0.0.1:9634 refuses: too large");
  const unknown = refusal({ kind: "refuse", code: "EngineFailed", reason: "x" }, at);
  assertEquals(unknown.code, "JoinRefused");
  const other = refusal({ kind: "closing" }, at);
  assertEquals([other.code, other.message], [
    "ProtocolViolation",
    "closing instead of an answer",
  ]);
});

Deno.test("objectionToStatus lets a program of this version look, at the directory node", () => {
  const ask = { kind: "statusRequest", protocolVersion: PROTOCOL_VERSION } as const;
  assertEquals(objectionToStatus(ask, DIRECTORY), undefined);
  const newer = objectionToStatus({ ...ask, protocolVersion: PROTOCOL_VERSION + 1 }, DIRECTORY);
  assertEquals(newer?.code, "VersionMismatch");
  assertMatch(newer!.reason, /^protocol version 5 asked for, this is 4: /);
  assertMatch(objectionToStatus(ask, NODE)!.reason, /at 10\.0\.0\.1:9634$/);
});

Deno.test("objectionToLoopback: nobody else reaches a node that listens on loopback", () => {
  const at = { hostname: "directory.example", port: 9634 };
  const far = { local: "10.0.0.2", remote: "10.0.0.1" };
  for (const listening of ["127.0.0.1", "::1"]) {
    const error = objectionToLoopback(listening, far, at);
    assertEquals(error?.code, "InvalidOption");
    assertMatch(
      error!.message,
      /directory\.example:9634 is on another machine.*--address 10\.0\.0\.2$/,
    );
  }
  assertEquals(objectionToLoopback("10.0.0.2", far, at), undefined);
  assertEquals(objectionToLoopback("0.0.0.0", far, at), undefined);
  const near = [
    { local: "10.0.0.1", remote: "10.0.0.1" },
    { local: "127.0.0.1", remote: "127.0.0.2" },
    { local: "::1", remote: "::1" },
  ];
  for (const ends of near) assertEquals(objectionToLoopback("127.0.0.1", ends, at), undefined);
});
