/**
 * What a remote read miss, a lock, a barrier, a remote call and an allocation cost, beside a plain TCP
 * ping-pong between the same processes, in rounds that take turns. Run: `./tdsm bench`. Absolute times
 * depend on the machine and on what else it does; read the ratios.
 */

import { POLL_TIME_DEFAULT_US } from "../runtime/limits.ts";
import type { MissReport } from "./miss.ts";
import type { Samples } from "./samples.ts";
import type { ServicesReport } from "./services.ts";

/** Runs a benchmark's processes, the first of which hosts the directory; returns what the others report. */
async function measure<Report>(file: string, nodes: number, pollTimeUs: number): Promise<Report> {
  const spawn = (environment: Record<string, string>): Deno.ChildProcess =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", new URL(file, import.meta.url).pathname],
      env: { ...environment, POLL_TIME_US: String(pollTimeUs), ADDRESS: "127.0.0.1" },
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  const owner = spawn({ DIRECTORY: "1", PORT: "0" });
  const lines = owner.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const port = (await lines.read()).value?.trim();
  if (port === undefined) throw new Error("The owner ended before it listened");
  const join = () => spawn({ DIRECTORY_ADDRESS: `127.0.0.1:${port}` });
  const others = Array.from({ length: nodes - 1 }, join);
  const reports = await Promise.all(others.map(({ stdout }) => new Response(stdout).text()));
  await lines.cancel();
  const ends = await Promise.all([owner, ...others].map(({ status }) => status));
  const codes = ends.map(({ code }) => code);
  if (codes.some((code) => code !== 0)) throw new Error(`Exit codes ${codes.join(", ")}`);
  return JSON.parse(reports.join(""));
}

function row(name: string, { p50, p99 }: Samples, floor: Samples): string {
  const ratio = (p50 / floor.p50).toFixed(2);
  return `${name.padEnd(52)}${p50.toFixed(1).padStart(9)}${p99.toFixed(1).padStart(9)}${
    ratio.padStart(9)
  }`;
}

console.log(`${"".padEnd(52)}   p50 us   p99 us  x ping-pong`);
for (const pollTimeUs of [POLL_TIME_DEFAULT_US, 0]) {
  const how = pollTimeUs === 0 ? "engine never polls" : `engine polls for ${pollTimeUs} us`;
  console.error(`measuring: ${how}`);
  const { miss, pingPong, scan } = await measure<MissReport>("miss.ts", 2, pollTimeUs);
  console.log(row(`remote read miss of 4 KiB, ${how}`, miss, pingPong));
  console.log(row("  plain Deno TCP, 32 B there and 4 KiB back", pingPong, pingPong));
  console.log(`  sequential scan: ${(scan.bytes / scan.us).toFixed(0)} MB/s`);
}

console.error("measuring: services");
const services = await measure<ServicesReport>("services.ts", 3, POLL_TIME_DEFAULT_US);
const [floor] = Object.values(services);
for (const [name, times] of Object.entries(services)) console.log(row(name, times, floor!));
