// The light client of @waku/sdk as it ships, under the driver.
import { createDecoder } from "@waku/core";
import { createDecoder as createPrivateDecoder, createEncoder as createPrivateEncoder } from "@waku/message-encryption/ecies";
import { createDecoder as createTopicDecoder, createEncoder as createTopicEncoder } from "@waku/message-encryption/symmetric";
import { Protocols, createLightNode } from "@waku/sdk";
import { createRoutingInfo } from "@waku/utils";
import { tcp } from "@libp2p/tcp";
import { Book, CLUSTER, CONTENT_TOPIC, PUBSUB_TOPIC, SHARD, encode, feed, hash, options, run, sleep } from "./driver.mjs";

const given = options({ tcp: { type: "boolean", default: false } });

const networkConfig = { clusterId: CLUSTER };
const routingInfo = createRoutingInfo(networkConfig, { shardId: SHARD });
const node = await createLightNode({
  defaultBootstrap: false,
  discovery: { dns: false, peerExchange: false, peerCache: false },
  networkConfig,
  numPeersToUse: 1,
  libp2p: { filterMultiaddrs: false, hideWebSocketInfo: true, ...(given.tcp ? { transports: [tcp()] } : {}) },
});

const book = new Book();
const decoders = new Map(); // by content topic
const answers = new Map(); // by content topic: what was opened there
const remote = () => node.libp2p.getPeers()[0];
const hex = (bytes) => Buffer.from(bytes ?? []).toString("hex");
const fromHex = (text) => Uint8Array.from(Buffer.from(text, "hex"));

// It opens messages of version 0, which are in the clear, and drops others unseen.
const plain = (ct) => createDecoder(ct, routingInfo);

const failures = (result) => {
  if (result.failures.length || !result.successes.length) {
    throw new Error(`light push: ${JSON.stringify(result.failures.map((f) => f.error))}`);
  }
};

// An encoder that carries a message as it is, time and version included.
const carrier = (m) => ({
  contentTopic: m.contentTopic, pubsubTopic: PUBSUB_TOPIC, ephemeral: false, routingInfo,
  toProtoObj: async () => ({ rateLimitProof: undefined, meta: undefined, ...m }),
  toWire: async () => encode(m),
});

const ready = { impl: "@waku/sdk", topic: PUBSUB_TOPIC, peer: node.peerId.toString(), addrs: [] };
run(ready, {
  connect: async ({ addr }) => {
    await node.dial(addr);
    await node.waitForPeers([Protocols.Filter, Protocols.LightPush, Protocols.Store], 15_000);
    const connection = node.libp2p.getConnections()[0];
    return { peer: connection.remotePeer.toString(), muxer: connection.multiplexer, security: connection.encryption };
  },
  peers: async () => {
    const { protocols, metadata } = await node.libp2p.peerStore.get(remote());
    return { peers: [{ peer: remote().toString(), protocols, agent: new TextDecoder().decode(metadata.get("AgentVersion")) }] };
  },
  metadata: async () => {
    const { shardInfo, error } = await node.libp2p.services.metadata.confirmOrAttemptHandshake(remote());
    if (error) throw new Error(error);
    return { cluster: shardInfo.clusterId, shards: shardInfo.shards };
  },
  filter_subscribe: async ({ cts = [CONTENT_TOPIC] }) => {
    const wanted = cts.map(plain);
    wanted.forEach((decoder, i) => decoders.set(cts[i], decoder));
    if (!(await node.filter.subscribe(wanted, (m) => book.add({ ...m.proto, timestamp: m.proto.timestamp })))) {
      throw new Error("filter: not subscribed");
    }
  },
  filter_unsubscribe: async ({ cts = [CONTENT_TOPIC] }) => {
    if (!(await node.filter.unsubscribe(cts.map((ct) => decoders.get(ct))))) throw new Error("filter: not unsubscribed");
  },
  filter_wait: (request) => book.wait(request.run, request.n, request.timeout ?? 10),
  lightpush: (request) =>
    feed({ ...request, version: 0 }, async (m) => {
      const result = await node.lightPush.send(carrier(m), { payload: m.payload }, { autoRetry: false, useLegacy: !!request.legacy });
      failures(result);
    }),
  // { cts, limit }: every page of the store, oldest first
  store_query: async ({ cts = [CONTENT_TOPIC], limit = 20, start, end }) => {
    const pages = [];
    const hashes = [];
    const query = {
      includeData: true, paginationForward: true, paginationLimit: limit,
      ...(start ? { timeStart: new Date(start / 1e6), timeEnd: new Date(end / 1e6) } : {}),
    };
    for await (const page of node.store.queryGenerator(cts.map(plain), query)) {
      const messages = (await Promise.all(page)).filter(Boolean);
      pages.push(messages.length);
      hashes.push(...messages.map((m) => hex(hash(m.proto))));
    }
    return { result: { pages, hashes } };
  },
  // { ct, private }: open what comes on a content topic with a private key, or { ct, symmetric } with a topic's key
  listen: async ({ ct, private: privateKey, symmetric }) => {
    const decoder = privateKey
      ? createPrivateDecoder(ct, routingInfo, fromHex(privateKey))
      : createTopicDecoder(ct, routingInfo, fromHex(symmetric));
    answers.set(ct, []);
    const heard = await node.filter.subscribe([decoder], (m) => answers.get(ct).push({ payload: hex(m.payload), signer: hex(m.signaturePublicKey) }));
    if (!heard) throw new Error("filter: not subscribed");
  },
  // { ct, n, timeout }: what was opened there, once there are n
  opened: async ({ ct, n = 1, timeout = 20 }) => {
    for (const until = performance.now() + timeout * 1000; answers.get(ct).length < n && performance.now() < until; ) await sleep(10);
    return { opened: answers.get(ct) };
  },
  // { ct, hex, private, public or symmetric }: seal to a public key or with a topic's key, signed, and push
  seal: async ({ ct, hex: payload, private: privateKey, public: publicKey, symmetric }) => {
    const common = { contentTopic: ct, routingInfo, sigPrivKey: fromHex(privateKey) };
    const encoder = publicKey
      ? createPrivateEncoder({ ...common, publicKey: fromHex(publicKey) })
      : createTopicEncoder({ ...common, symKey: fromHex(symmetric) });
    failures(await node.lightPush.send(encoder, { payload: fromHex(payload), timestamp: new Date() }, { autoRetry: false }));
  },
});
