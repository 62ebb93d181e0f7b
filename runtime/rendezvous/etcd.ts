/**
 * Nodes that find each other by a record in etcd, over its JSON gateway. The node that creates the
 * record hosts the directory. The record hangs on a lease, and so goes with its node.
 */

import { formatAddress, isLoopback, isWildcard, parseAddress } from "../address.ts";
import { reasonOf, TdsmError } from "../errors.ts";
import {
  ETCD_ANSWER_MAX_BYTES,
  ETCD_BEAT_MS,
  ETCD_CALL_MAX_MS,
  ETCD_LEASE_S,
  ETCD_RETRY_MS,
} from "../limits.ts";
import { Level, writeLog } from "../log.ts";
import { refused } from "../settings/flags.ts";
import { newKey } from "../settings/key.ts";
import { keyOf } from "../settings/key_text.ts";
import { mayUseNet, netPermission } from "../settings/permissions.ts";
import type { Settings } from "../settings/types.ts";
import { Looks } from "./looks.ts";
import { hostOf, machineName, whyOnlyHere } from "./machine.ts";
import { joiningBy, mayClaim, NOT_CLAIMED, notInTime, type Told } from "./record.ts";
import type { Finding, Hosting, Rendezvous, Seeker } from "./rendezvous.ts";
import { placeSeen } from "./variables.ts";

const RECORD_VERSION = 1;

/** What etcd says of a cluster. */
interface EtcdRecord extends Told {
  readonly tdsm: typeof RECORD_VERSION;
  /** What no other record has. */
  readonly claim: string;
}

/** The record as etcd has it, and the state of etcd in which that was so. */
interface Seen {
  readonly record: EtcdRecord | undefined;
  readonly revision: number;
}

/** What etcd answers, as far as it is used. Numbers of 64 bits are text. */
interface Answer {
  readonly header?: { readonly revision?: string };
  readonly kvs?: readonly { readonly value: string }[];
  readonly succeeded?: boolean;
  readonly ID?: string;
}

/** A record in etcd by which nodes find each other. */
export class EtcdRendezvous implements Rendezvous {
  readonly #url: string;
  /** The record's key, in base64. */
  readonly #key: string;
  readonly #name: string;
  readonly #logLevel: number;

  /**
   * @param url Where etcd listens: `http://10.0.0.9:2379`.
   * @param prefix Begins the name of the record: one cluster has one prefix.
   * @param logLevel The node's log level.
   */
  constructor(url: string, prefix: string, logLevel: number) {
    this.#url = url;
    this.#logLevel = logLevel;
    this.#name = `${prefix}/directory`;
    this.#key = base64(this.#name);
  }

  /**
   * Hosts the directory if there is no record, and otherwise waits for where the directory is. Of
   * nodes with ranks only the first one hosts, and a node that only serves calls never does.
   *
   * @param seeker The node.
   * @returns What the node is to do.
   * @throws {TdsmError} `PermissionMissing`; `InvalidOption` where that is no etcd; `NoDirectory`
   * when the time is up.
   */
  async find({ settings, giveUpAtMs }: Seeker): Promise<Finding> {
    this.#requirePermission();
    const place = placeSeen();
    const mayHost = mayClaim(settings, place);
    const looks = new Looks(giveUpAtMs);
    for (let met = NOT_CLAIMED;;) {
      try {
        const { record, revision } = await this.#read();
        if (record === undefined && mayHost) {
          const hosting = await this.#claim(settings, giveUpAtMs);
          if (hosting !== undefined) return { ...hosting, place };
          // Another node was faster, and its record is there by the next look.
          met = "etcd says that another node has just claimed it, and has no record of one";
          await looks.again();
        } else {
          if (record !== undefined) {
            const found = await joiningBy(`${this.#name} in etcd`, record);
            if (typeof found === "object") return { ...found, place };
            met = found;
          }
          const waitMs = Math.min(giveUpAtMs - performance.now(), ETCD_RETRY_MS);
          if (!await this.#change(revision, waitMs)) await looks.again();
        }
      } catch (error) {
        if (!(error instanceof EtcdSilent)) throw error;
        met = error.message;
        await looks.again();
      }
      if (performance.now() >= giveUpAtMs) {
        throw notInTime(`${this.#name} in etcd`, settings, met);
      }
    }
  }

  #requirePermission(): void {
    const { hostname, port, protocol } = new URL(this.#url);
    const address = {
      hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: Number(port) || (protocol === "https:" ? 443 : 80),
    };
    if (!mayUseNet(address)) throw netPermission(address);
  }

  async #read(): Promise<Seen> {
    const { kvs, header } = await this.#call("kv/range", { key: this.#key });
    const revision = Number(header?.revision);
    const value = kvs?.[0]?.value;
    return { record: value === undefined ? undefined : this.#recordOf(value), revision };
  }

  #recordOf(value: string): EtcdRecord {
    try {
      const record = JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(value)));
      const { tdsm, claim, address, boot, key } = record as EtcdRecord;
      const isString = [claim, boot ?? ""].every((it) => typeof it === "string");
      if (tdsm === RECORD_VERSION && isString) {
        if (address !== undefined) parseAddress(address, 0);
        if (key !== undefined) keyOf(key);
        return record;
      }
    } catch {
      // Told below.
    }
    throw refused(`Cannot use ${this.#name} in etcd: something else is there. Name another prefix`);
  }

  /** Creates the record; `undefined` where another node was first. */
  async #claim(settings: Settings, giveUpAtMs: number): Promise<Hosting | undefined> {
    const isLocal = isLoopback(settings.address);
    const makesKey = isLocal && settings.key === undefined && !settings.insecure;
    const claimed: EtcdRecord = {
      tdsm: RECORD_VERSION,
      claim: crypto.randomUUID(),
      ...(makesKey && { key: newKey() }),
    };
    const lease = await this.#grant();
    if (!await this.#create(claimed, lease)) {
      await this.#call("lease/revoke", { ID: lease });
      return undefined;
    }
    const keeper = this.#keep(lease);
    let record = claimed;
    return {
      kind: "host",
      key: makesKey ? keyOf(claimed.key!) : undefined,
      plain: isLocal,
      publish: async ({ hostname, port }) => {
        const { boot } = machineName();
        const host = isWildcard(hostname) ? this.#nameOfHere() : hostname;
        record = { ...claimed, address: formatAddress({ hostname: host, port }), boot };
        keeper.postMessage({
          lease: await this.#publish(claimed, record, lease, giveUpAtMs),
          value: valueOf(record),
        });
      },
      withdraw: async () => {
        keeper.terminate();
        try {
          await this.#remove(record);
        } catch (error) {
          // The record goes by itself when its lease is over.
          if (!(error instanceof TdsmError || error instanceof EtcdSilent)) throw error;
        }
      },
    };
  }

  /** The name by which other machines reach this one. */
  #nameOfHere(): string {
    const host = hostOf();
    const why = whyOnlyHere(host);
    if (why === undefined) return host;
    throw refused(`Cannot host by ${this.#name} in etcd: ${why}, or give the node an --address`);
  }

  async #grant(): Promise<string> {
    const { ID: lease } = await this.#call("lease/grant", { TTL: ETCD_LEASE_S });
    if (lease === undefined) throw refused(`Cannot use ${this.#url}: it grants no lease`);
    return lease;
  }

  /**
   * Puts the record with the address in the place of the claim, as soon as etcd can take it; where
   * the lease of the claim was over before, and no other node has claimed since, in its own place.
   *
   * @returns The lease that the record is on.
   */
  async #publish(
    claimed: EtcdRecord,
    record: EtcdRecord,
    lease: string,
    giveUpAtMs: number,
  ): Promise<string> {
    const looks = new Looks(giveUpAtMs);
    for (;;) {
      try {
        if (await this.#replace(claimed, record, lease)) return lease;
        const { record: seen } = await this.#read();
        // etcd may have done it before, and its answer was lost.
        if (seen?.claim === claimed.claim && seen.address === record.address) return lease;
        if (seen !== undefined) throw this.#lost();
        lease = await this.#grant();
        if (await this.#create(record, lease)) {
          this.#tellClaimedAnew();
          return lease;
        }
      } catch (error) {
        if (!(error instanceof EtcdSilent)) throw error;
        if (!await looks.again()) throw this.#unpublished(error);
      }
    }
  }

  /** Puts a record where there is none. */
  #create(record: EtcdRecord, lease: string): Promise<boolean> {
    return this.#if({ target: "CREATE", createRevision: "0" }, this.#put(record, lease));
  }

  /** Puts a record in the place of another one. */
  #replace(old: EtcdRecord, record: EtcdRecord, lease: string): Promise<boolean> {
    return this.#if({ target: "VALUE", value: valueOf(old) }, this.#put(record, lease));
  }

  #tellClaimedAnew(): void {
    if (this.#logLevel < Level.Info) return;
    const text = `the lease of ${this.#name} in etcd was over before this node had started`;
    writeLog(Level.Info, `${text}: it has claimed it anew`);
  }

  /** Removes the record, unless another one is there. */
  #remove(record: EtcdRecord): Promise<boolean> {
    const remove = { requestDeleteRange: { key: this.#key } };
    return this.#if({ target: "VALUE", value: valueOf(record) }, remove);
  }

  #put(record: EtcdRecord, lease: string): object {
    return { requestPut: { key: this.#key, value: valueOf(record), lease } };
  }

  /** Does something if the record is as it should be; returns whether it was. */
  async #if(should: object, success: object): Promise<boolean> {
    const compare = { key: this.#key, result: "EQUAL", ...should };
    const { succeeded } = await this.#call("kv/txn", { compare: [compare], success: [success] });
    return succeeded === true;
  }

  /** Keeps the lease, also while the thread that joined computes or blocks. */
  #keep(lease: string): Worker {
    const url = URL.createObjectURL(new Blob([KEEPER], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    URL.revokeObjectURL(url);
    const warn = (what: string): void => {
      if (this.#logLevel < Level.Warning) return;
      writeLog(Level.Warning, `${what}: new nodes do not find this cluster`);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      warn(`what keeps ${this.#name} in etcd has failed (${event.message})`);
    };
    worker.onmessage = ({ data }: MessageEvent<"silent" | "lost">) =>
      warn(
        data === "silent"
          ? `etcd at ${this.#url} does not answer`
          : `another node has claimed ${this.#name} in etcd`,
      );
    worker.postMessage({
      url: this.#url,
      key: this.#key,
      lease,
      seconds: ETCD_LEASE_S,
      beatMs: ETCD_BEAT_MS,
      answerMaxBytes: ETCD_ANSWER_MAX_BYTES,
    });
    return worker;
  }

  /**
   * Waits until the record changes after a state of etcd, or the time is up.
   *
   * @returns `false` where etcd ended the watch before that.
   */
  async #change(revision: number, timeoutMs: number): Promise<boolean> {
    const giveUp = AbortSignal.timeout(Math.max(0, Math.ceil(timeoutMs)));
    const request = { create_request: { key: this.#key, start_revision: revision + 1 } };
    try {
      const response = await fetch(`${this.#url}/v3/watch`, {
        method: "POST",
        body: JSON.stringify(request),
        signal: giveUp,
      });
      if (!response.ok) {
        await response.body?.cancel();
        throw new EtcdSilent(`etcd at ${this.#url} answers ${response.status} to /v3/watch`);
      }
      const lines = response.body!.pipeThrough(new TextDecoderStream());
      // The first message says that the watch has begun.
      for await (const text of lines) if (text.includes('"events"')) return true;
      return false;
    } catch (error) {
      // Then the record is read again, and says why if etcd is gone.
      if (!giveUp.aborted && !(error instanceof TypeError)) throw error;
      return true;
    }
  }

  async #call(path: string, body: object): Promise<Answer> {
    let response: Response;
    let text: string | undefined;
    try {
      response = await fetch(`${this.#url}/v3/${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(ETCD_CALL_MAX_MS),
      });
      text = await boundedText(response);
    } catch (error) {
      throw new EtcdSilent(`etcd at ${this.#url} does not answer (${reasonOf(error)})`);
    }
    if (NOT_NOW.has(response.status)) {
      throw new EtcdSilent(`etcd at ${this.#url} cannot answer now (${response.status})`);
    }
    if (text === undefined) {
      throw refused(
        `Cannot use ${this.#url}: its answer to /v3/${path} has more than ` +
          `${ETCD_ANSWER_MAX_BYTES} bytes. Name an etcd, and a prefix that nothing else uses`,
      );
    }
    try {
      const answer = JSON.parse(text) as Answer & { readonly error?: string };
      if (response.ok && answer.header !== undefined) return answer;
      if (answer.error === NO_LEASE) {
        throw new EtcdSilent(`etcd at ${this.#url} ends leases before this node can use them`);
      }
      if (answer.error !== undefined) {
        throw refused(`Cannot use etcd at ${this.#url}: it says ${JSON.stringify(answer.error)}`);
      }
    } catch (error) {
      if (error instanceof TdsmError || error instanceof EtcdSilent) throw error;
    }
    throw refused(
      `Cannot use ${this.#url}: it answers ${response.status} to /v3/${path}, as no etcd does ` +
        "that has a JSON gateway (version 3.4 or newer)",
    );
  }

  #unpublished(cause: EtcdSilent): TdsmError {
    const message = `Cannot host by ${this.#name}: ${cause.message}. Start again once it does`;
    return new TdsmError("NoDirectory", message, { operation: "join", cause });
  }

  #lost(): TdsmError {
    const message = `Cannot host: the lease of ${this.#name} in etcd was over before this node ` +
      "had started, and another node has claimed it. Start again, to join that one";
    return new TdsmError("NoDirectory", message, { operation: "join" });
  }
}

/** How the gateway answers while etcd has no leader, or is too slow. */
const NOT_NOW: ReadonlySet<number> = new Set([503, 504]);

/** What etcd says where a record is to hang on a lease that is over. */
const NO_LEASE = "etcdserver: requested lease not found";

/** etcd cannot do now what it was asked for. */
class EtcdSilent extends Error {}

/** Reads what was answered; `undefined`, with the rest unread, where it is too long. */
async function boundedText({ body }: Response): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  let readBytes = 0;
  for await (const bytes of body ?? []) {
    readBytes += bytes.length;
    if (readBytes > ETCD_ANSWER_MAX_BYTES) return undefined;
    text += decoder.decode(bytes, { stream: true });
  }
  return text + decoder.decode();
}

function valueOf(record: EtcdRecord): string {
  return base64(JSON.stringify(record));
}

/** As etcd takes names and values. */
function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/**
 * What the keeper's Worker runs; text, since a package has no file for it. Where the lease is over,
 * as after the process was suspended, it puts the record there anew, unless another node has. Its
 * own record can be there, too: where etcd has put it, and the answer was lost.
 */
const KEEPER = `
let given, value, busy = false, silent = false;
const call = async (path, body) => {
  const signal = AbortSignal.timeout(given.beatMs);
  const init = { method: "POST", body: JSON.stringify(body), signal };
  const response = await fetch(given.url + "/v3/" + path, init);
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (text.length > given.answerMaxBytes) throw new Error("etcd says too much");
  }
  const answer = JSON.parse(text);
  if (!response.ok || answer.error !== undefined) throw new Error("etcd refuses");
  return answer.result ?? answer;
};
/** Whether the record is there, or not due yet; not where another node has put its own. */
const keep = async () => {
  const { lease } = given;
  const { TTL = "0" } = await call("lease/keepalive", { ID: lease });
  // Meanwhile the record may have been put on another lease.
  if (Number(TTL) > 0 || value === undefined || given.lease !== lease) return true;
  const { ID } = await call("lease/grant", { TTL: given.seconds });
  const success = [{ requestPut: { key: given.key, value, lease: ID } }];
  const putIf = async (should) => {
    const compare = [{ key: given.key, result: "EQUAL", ...should }];
    return (await call("kv/txn", { compare, success })).succeeded === true;
  };
  const isPut = await putIf({ target: "CREATE", createRevision: "0" }) ||
    await putIf({ target: "VALUE", value });
  given.lease = ID;
  return isPut;
};
const beat = async () => {
  if (busy) return;
  busy = true;
  try {
    if (!await keep()) {
      clearInterval(timer);
      self.postMessage("lost");
    }
    silent = false;
  } catch {
    if (!silent) self.postMessage("silent");
    silent = true;
  } finally {
    busy = false;
  }
};
let timer;
self.onmessage = ({ data }) => {
  if (data.value !== undefined) {
    given.lease = data.lease;
    value = data.value;
    return;
  }
  given = data;
  timer = setInterval(beat, given.beatMs);
  // Until this Worker had a core, much of the time may have gone by.
  beat();
};
`;
