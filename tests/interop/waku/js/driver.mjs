// A peer under a driver: one JSON object a line in, one out, as the Go peers beside this folder do it.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { proto_message } from "@waku/proto";

export const CLUSTER = 16;
export const SHARD = 32;
export const PUBSUB_TOPIC = `/waku/2/rs/${CLUSTER}/${SHARD}`;
export const CONTENT_TOPIC = "/waku/1/0xdeadbeef/rfc26";
const NS_PER_MS = 1_000_000n;

export const options = (known) => parseArgs({ options: known }).values;
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const now = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));

export const hash = (m) => {
  const time = Buffer.alloc(8);
  time.writeBigInt64BE(m.timestamp ?? 0n);
  return createHash("sha256").update(PUBSUB_TOPIC).update(m.payload).update(m.contentTopic).update(m.meta ?? "").update(time).digest();
};

// What arrived, one entry for each run: the payload begins with 8 bytes that name the run and 8 that count.
export class Book {
  #runs = new Map();

  add(m) {
    const at = now();
    const payload = Buffer.from(m.payload.buffer, m.payload.byteOffset, m.payload.length);
    const name = payload.length < 16 ? "none" : payload.toString("hex", 0, 8);
    let run = this.#runs.get(name);
    if (!run) this.#runs.set(name, (run = { n: 0, first: at, last: at, seen: new Set(), digest: 0n, waits: [] }));
    run.n++;
    run.last = at;
    run.waits.push(Number(at - (m.timestamp ?? at)) / 1e6);
    const key = name === "none" ? run.n : payload.readBigUInt64BE(8);
    if (run.seen.has(key)) return;
    run.seen.add(key);
    run.digest ^= hash(m).readBigUInt64BE();
  }

  unique(name) {
    return this.#runs.get(name)?.seen.size ?? 0;
  }

  report(name) {
    const run = this.#runs.get(name);
    if (!run) return { n: 0, unique: 0, dups: 0 };
    const waits = run.waits.toSorted?.((a, b) => a - b) ?? [...run.waits].sort((a, b) => a - b);
    const at = (part) => waits[Math.floor(part * (waits.length - 1))];
    return {
      n: run.n, unique: run.seen.size, dups: run.n - run.seen.size, secs: Number(run.last - run.first) / 1e9,
      digest: run.digest.toString(16).padStart(16, "0"), p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1),
    };
  }

  // Until n different messages of the run are here, or nothing new for so many seconds.
  async wait(name, n, seconds) {
    let last = -1;
    let since = performance.now();
    for (;;) {
      const have = this.unique(name);
      if (have !== last) [last, since] = [have, performance.now()];
      if (have >= n || performance.now() - since > seconds * 1000) return this.report(name);
      await sleep(5);
    }
  }
}

export const message = (request, sequence) => {
  const payload = Buffer.alloc(Math.max(16, request.size ?? 1024), sequence & 255);
  payload.write(request.run, 0, 8, "hex");
  payload.writeBigUInt64BE(BigInt(sequence), 8);
  return { payload, contentTopic: request.ct ?? CONTENT_TOPIC, version: request.version ?? 1, timestamp: now(), ephemeral: false };
};

// Give `send` the messages that the request asks for, at its rate or all at once.
export const feed = async (request, send) => {
  const started = performance.now();
  let digest = 0n;
  for (let i = 0; i < (request.n ?? 1); i++) {
    if (request.rate) {
      const early = started + (i / request.rate) * 1000 - performance.now();
      if (early > 1) await sleep(early);
    } else if (i % 20 === 19) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const m = message(request, i);
    digest ^= hash(m).readBigUInt64BE();
    await send(m);
  }
  return { secs: (performance.now() - started) / 1000, digest: digest.toString(16).padStart(16, "0") };
};

export const encode = (m) => proto_message.WakuMessage.encode(m);
export const decode = (data) => proto_message.WakuMessage.decode(data);

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");

// Say that the peer is ready and carry out what stdin asks, `operations[op](request)`, side by side.
export const run = (ready, operations) => {
  const usage = () => {
    const { userCPUTime, systemCPUTime } = process.resourceUsage();
    return { cpu: (userCPUTime + systemCPUTime) / 1e6, rss: process.memoryUsage.rss() };
  };
  const all = { usage, quit: () => process.exit(0), ...operations };
  say({ event: "ready", pid: process.pid, node: process.version, ...ready });
  const lines = createInterface({ input: process.stdin });
  lines.on("close", () => process.exit(0));
  lines.on("line", async (line) => {
    const request = JSON.parse(line);
    try {
      if (!all[request.op]) throw new Error(`unknown op ${request.op}`);
      say({ id: request.id, ok: true, ...(await all[request.op](request)) });
    } catch (error) {
      say({ id: request.id, ok: false, error: String(error?.stack ?? error).slice(0, 2000) });
    }
  });
};
