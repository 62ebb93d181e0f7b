import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { TdsmError } from "../errors.ts";
import { resolveSettings } from "../settings/settings.ts";
import { EtcdRendezvous } from "./etcd.ts";
import { machineName } from "./machine.ts";
import type { Finding, Hosting } from "./rendezvous.ts";

/** Looks for the directory at a server that stands for etcd; `tests/launchers/` has a real one. */
async function findAt(
  answer: (path: string) => Response,
  joinTimeoutMs = 0,
): Promise<Finding> {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    return answer(new URL(request.url).pathname);
  });
  return await find(`http://127.0.0.1:${server.addr.port}`, joinTimeoutMs);
}

function find(url: string, joinTimeoutMs: number): Promise<Finding> {
  const options = { rendezvous: `etcd:${url}/p`, joinTimeoutMs };
  const { settings } = resolveSettings(options, undefined, () => "");
  const giveUpAtMs = performance.now() + joinTimeoutMs;
  return new EtcdRendezvous(url, "p", 0).find({ settings, giveUpAtMs });
}

async function refusal(finding: Promise<Finding>): Promise<TdsmError> {
  const error = await assertRejects(() => finding, TdsmError);
  error.message = error.message.replace(/127\.0\.0\.1:\d+/, "HOST");
  return error;
}

function record(value: unknown): Response {
  const kvs = [{ value: btoa(typeof value === "string" ? value : JSON.stringify(value)) }];
  return Response.json({ header: { revision: "3" }, kvs });
}

Deno.test("EtcdRendezvous: a server that is no etcd is named", async () => {
  const page = await refusal(findAt(() => new Response("<p>Hello", { status: 404 })));
  assertEquals(page.code, "InvalidOption");
  assertEquals(
    page.message,
    "Cannot use http://HOST: it answers 404 to /v3/kv/range, as no etcd does that has a JSON " +
      "gateway (version 3.4 or newer)",
  );
  const json = await refusal(findAt(() => Response.json({ hello: "world" })));
  assertStringIncludes(json.message, "it answers 200 to /v3/kv/range, as no etcd does");
});

Deno.test("EtcdRendezvous: what etcd says is wrong is passed on", async () => {
  const says = { error: "etcdserver: user name is empty", code: 3 };
  const error = await refusal(findAt(() => Response.json(says, { status: 400 })));
  assertEquals(
    error.message,
    'Cannot use etcd at http://HOST: it says "etcdserver: user name is empty"',
  );
});

Deno.test("EtcdRendezvous: an etcd that is not there is waited for, for so long", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const error = await refusal(find(`http://127.0.0.1:${port}`, 100));
  assertEquals(error.code, "NoDirectory");
  assertStringIncludes(
    error.message,
    "Cannot join by p/directory in etcd within 100 ms: etcd at http://HOST does not answer (",
  );
});

Deno.test("EtcdRendezvous: what others have put there is left as it is", async () => {
  for (const value of ["hello", { tdsm: 2, claim: "a" }, { tdsm: 1 }, null]) {
    const error = await refusal(findAt(() => record(value)));
    assertEquals(
      error.message,
      "Cannot use p/directory in etcd: something else is there. Name another prefix",
    );
  }
});

Deno.test("EtcdRendezvous: a directory that is published, and one that does not answer", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const address = `127.0.0.1:${port}`;
  const accepting = listener.accept();
  const { boot } = machineName();
  const found = await findAt(() => record({ tdsm: 1, claim: "a", address, boot }));
  (await accepting).close();
  listener.close();
  assertEquals(found, {
    kind: "join",
    directories: [{ hostname: "127.0.0.1", port }],
    key: undefined,
    plain: true,
    place: undefined,
  });
  const gone = await refusal(findAt((path) => {
    if (path === "/v3/watch") return Response.json({ result: { created: true } });
    return record({ tdsm: 1, claim: "a", address, boot });
  }, 50));
  assertStringIncludes(gone.message, "nothing answers at HOST, which it names (");
  const claimed = await refusal(findAt((path) => {
    if (path === "/v3/watch") return Response.json({ result: { created: true } });
    return record({ tdsm: 1, claim: "a" });
  }, 50));
  assertStringIncludes(claimed.message, "the node that has claimed it does not listen yet");
});

Deno.test("EtcdRendezvous: a directory that only another machine reaches is refused", async () => {
  for (const address of ["127.0.0.1:9", "[::1]:9", "localhost:9"]) {
    for (const boot of ["another", undefined]) {
      const error = await refusal(findAt(() => record({ tdsm: 1, claim: "a", address, boot })));
      assertEquals(error.code, "InvalidOption");
      assertMatch(
        error.message,
        /^Cannot join by p\/directory in etcd: its directory is on another machine, and listens at \S+, where only that machine reaches it\. Give its node an --address$/,
      );
    }
  }
});

/** Whether etcd cannot answer the request of that number, though it may have done it. */
type Silence = (path: string, count: number) => "before" | "after" | undefined;

/** Stands for an etcd: it has one record, and cannot answer at times. Leases end when told. */
class FakeEtcd {
  value: string | undefined;
  /** The last lease that was granted. */
  lease = 6;
  /** The lease that the record is on. */
  recordLease = 0;
  /** Is told of each lease that is kept. */
  kept: (lease: number) => void = () => {};
  /** How many requests it has had for each path. */
  readonly asked = new Map<string, number>();
  readonly #silent: Silence;
  /** This lease, and all before it, are over. */
  #ended = 0;

  constructor(silent: Silence) {
    this.#silent = silent;
  }

  async answer(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname.replace("/v3/", "");
    const count = (this.asked.get(path) ?? 0) + 1;
    this.asked.set(path, count);
    const silent = this.#silent(path, count);
    // As a gateway does whose etcd has no leader.
    const no = (): Response =>
      Response.json({ error: "etcdserver: no leader", code: 14 }, { status: 503 });
    if (silent === "before") return no();
    const done = this.#do(path, await request.json());
    if (silent === "after") return no();
    if ("error" in done) return Response.json(done, { status: 404 });
    return Response.json({ header: { revision: "1" }, ...done });
  }

  /** The last lease is over, and what hangs on it goes; the next one is another. */
  endLease(): void {
    if (this.recordLease === this.lease) this.value = undefined;
    this.#ended = this.lease;
  }

  #do(path: string, body: Txn): object {
    if (path === "lease/grant") return { ID: `${++this.lease}` };
    if (path === "lease/keepalive") {
      this.kept(Number(body.ID));
      return { result: { TTL: Number(body.ID) > this.#ended ? "5" : "0" } };
    }
    if (path === "kv/range") {
      return this.value === undefined ? {} : { kvs: [{ value: this.value }] };
    }
    if (path !== "kv/txn") return {};
    const [{ target, value }] = body.compare;
    const succeeded = target === "CREATE" ? this.value === undefined : this.value === value;
    const [{ requestPut }] = body.success;
    if (!succeeded) return { succeeded };
    const lease = Number(requestPut?.lease ?? Infinity);
    if (lease <= this.#ended) return { error: "etcdserver: requested lease not found", code: 5 };
    this.value = requestPut?.value;
    this.recordLease = lease;
    return { succeeded };
  }
}

interface Txn {
  readonly ID: string;
  readonly compare: [{ target: string; value?: string }];
  readonly success: [{ requestPut?: { value: string; lease: string } }];
}

/** An etcd, and a server by which nodes reach it. */
function serveEtcd(etcd: FakeEtcd): { url: string } & AsyncDisposable {
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(options, (request) => etcd.answer(request));
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("EtcdRendezvous: a claim whose lease was over before the node had started is made anew, and kept", async () => {
  const etcd = new FakeEtcd(() => undefined);
  await using server = serveEtcd(etcd);
  const found = await find(server.url, 60_000) as Hosting;
  const { claim } = JSON.parse(atob(etcd.value!));
  etcd.endLease();
  assertEquals(etcd.value, undefined);
  await found.publish({ hostname: "127.0.0.1", port: 9 });
  const record = JSON.parse(atob(etcd.value!));
  assertEquals([record.claim, record.address], [claim, "127.0.0.1:9"]);
  assertEquals([etcd.lease, etcd.recordLease], [8, 8]);
  // From here on the new lease is kept, not the old one.
  const kept = Promise.withResolvers<void>();
  etcd.kept = (lease) => lease === 8 && kept.resolve();
  await kept.promise;
  await found.withdraw();
  assertEquals(etcd.value, undefined);
});

Deno.test("EtcdRendezvous: a claim whose lease was over is lost once another node has claimed", async () => {
  const etcd = new FakeEtcd(() => undefined);
  await using server = serveEtcd(etcd);
  const slow = await find(server.url, 60_000) as Hosting;
  etcd.endLease();
  const other = await find(server.url, 60_000) as Hosting;
  const claimed = etcd.value;
  const error = await assertRejects(
    () => slow.publish({ hostname: "127.0.0.1", port: 9 }),
    TdsmError,
  );
  assertEquals(error.code, "NoDirectory");
  assertEquals(
    error.message,
    "Cannot host: the lease of p/directory in etcd was over before this node had started, and " +
      "another node has claimed it. Start again, to join that one",
  );
  await slow.withdraw();
  assertEquals(etcd.value, claimed, "what another node has claimed is left as it is");
  await other.publish({ hostname: "127.0.0.1", port: 10 });
  assertEquals(JSON.parse(atob(etcd.value!)).address, "127.0.0.1:10");
  await other.withdraw();
});

Deno.test("EtcdRendezvous: a lease that is over before the claim hangs on it is tried anew", async () => {
  const etcd: FakeEtcd = new FakeEtcd((path, count) => {
    if (path === "kv/txn" && count <= 2) etcd.endLease();
    return undefined;
  });
  await using server = serveEtcd(etcd);
  const found = await find(server.url, 60_000) as Hosting;
  assertEquals([found.kind, etcd.lease, etcd.recordLease], ["host", 9, 9]);
  await found.withdraw();
  assertEquals(etcd.value, undefined);
});

Deno.test("EtcdRendezvous: the lease of a claim is kept from the first moment", async () => {
  const etcd = new FakeEtcd(() => undefined);
  const kept = Promise.withResolvers<number>();
  etcd.kept = kept.resolve;
  await using server = serveEtcd(etcd);
  const found = await find(server.url, 60_000) as Hosting;
  assertEquals(await kept.promise, 7);
  await found.withdraw();
});

Deno.test("EtcdRendezvous: an etcd that answers 503 for a while is waited for", async () => {
  // At first, and when the address is published: done or not, with the answer lost.
  for (const silent of ["before", "after"] as const) {
    const etcd = new FakeEtcd((path, count) => {
      if (path === "kv/range" && count <= 2) return "before";
      if (path === "lease/grant" && count === 1) return "before";
      return path === "kv/txn" && (count === 2 || count === 3) ? silent : undefined;
    });
    await using server = serveEtcd(etcd);
    const found = await find(server.url, 60_000) as Hosting;
    assertEquals([found.kind, etcd.asked.get("kv/range")], ["host", 4]);
    await found.publish({ hostname: "127.0.0.1", port: 9 });
    const { address, boot } = JSON.parse(atob(etcd.value!));
    assertEquals([address, boot], ["127.0.0.1:9", machineName().boot]);
    await found.withdraw();
    assertEquals(etcd.value, undefined);
  }
});

Deno.test("EtcdRendezvous: an etcd that neither has the record nor takes it is given up in time", async () => {
  let looks = 0;
  const error = await refusal(findAt((path) => {
    if (path === "/v3/kv/range") looks++;
    return Response.json({ header: { revision: "1" }, ID: "7", succeeded: false });
  }, 200));
  assertEquals(error.code, "NoDirectory");
  assertStringIncludes(error.message, "within 200 ms: etcd says that another node has just");
  // Between two looks is a pause of 20 ms or more.
  assert(looks <= 11, `${looks} looks`);
});

Deno.test("EtcdRendezvous: where etcd ends each watch at once, there is a pause between looks", async () => {
  let looks = 0;
  const error = await refusal(findAt((path) => {
    if (path === "/v3/watch") return Response.json({ result: { created: true } });
    looks++;
    return record({ tdsm: 1, claim: "a" });
  }, 200));
  assertStringIncludes(error.message, "the node that has claimed it does not listen yet");
  assert(looks <= 11, `${looks} looks`);
});

Deno.test("EtcdRendezvous: an answer that is longer than any of etcd is not read on", async () => {
  const part = new Uint8Array(16 * 1024).fill(0x20);
  const rest = Promise.withResolvers<void>();
  const endless = (): Response =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(part),
        cancel: () => rest.resolve(),
      }),
    );
  const error = await refusal(findAt(endless, 60_000));
  await rest.promise;
  assertEquals(error.code, "InvalidOption");
  assertEquals(
    error.message,
    "Cannot use http://HOST: its answer to /v3/kv/range has more than 16384 bytes. Name an etcd, " +
      "and a prefix that nothing else uses",
  );
});

Deno.test("EtcdRendezvous: where 503 is all that etcd answers, the node says so in time", async () => {
  const no = () => Response.json({ error: "etcdserver: no leader" }, { status: 503 });
  const error = await refusal(findAt(no, 100));
  assertEquals(error.code, "NoDirectory");
  assertStringIncludes(error.message, "within 100 ms: etcd at http://HOST cannot answer now (503)");
});

Deno.test({
  name: "EtcdRendezvous: a permission that is missing is named",
  permissions: { net: ["127.0.0.1"] },
  async fn() {
    const { settings } = resolveSettings({ rendezvous: "flags" }, undefined, () => "");
    const seeker = { settings, giveUpAtMs: 0 };
    const error = await assertRejects(
      () => new EtcdRendezvous("https://etcd.example", "p", 0).find(seeker),
      TdsmError,
    );
    assertEquals(error.code, "PermissionMissing");
    assertStringIncludes(error.message, "etcd.example:443: run Deno with --allow-net");
  },
});
