// js-libp2p with gossipsub configured as js-waku configures it, under the driver.
import { createHash } from "node:crypto";
import { GossipSub } from "@chainsafe/libp2p-gossipsub";
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { identify } from "@libp2p/identify";
import { mplex } from "@libp2p/mplex";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { webSockets } from "@libp2p/websockets";
import { all } from "@libp2p/websockets/filters";
import { multiaddr } from "@multiformats/multiaddr";
import { MetadataCodec, wakuMetadata } from "@waku/core";
import { proto_metadata } from "@waku/proto";
import { createLibp2p } from "libp2p";
import { Book, CLUSTER, PUBSUB_TOPIC, SHARD, decode, encode, feed, options, run } from "./driver.mjs";

const given = options({
  ip: { type: "string", default: "127.0.0.1" },
  muxer: { type: "string", default: "yamux" },
  ws: { type: "boolean", default: false },
  "empty-mesh": { type: "boolean", default: false }, // nobody is grafted: gossip alone, and flood publishing
  "no-flood": { type: "boolean", default: false },
  shards: { type: "boolean", default: false }, // name our shard in metadata: js-waku names none, and go-waku then hangs up
});

const gossip = (components) => {
  const router = new GossipSub(components, {
    msgIdFn: ({ data }) => createHash("sha256").update(data).digest(),
    globalSignaturePolicy: "StrictNoSign",
    fallbackToFloodsub: false,
    ...(given["empty-mesh"] ? { D: 0, Dlo: 0, Dhi: 0, Dscore: 0, Dout: 0 } : {}),
    ...(given["no-flood"] ? { floodPublish: false } : {}),
  });
  router.multicodecs = ["/vac/waku/relay/2.0.0"];
  return router;
};

const node = await createLibp2p({
  addresses: { listen: [`/ip4/${given.ip}/tcp/0${given.ws ? "/ws" : ""}`] },
  transports: [tcp(), webSockets({ filter: all })],
  streamMuxers: [given.muxer === "mplex" ? mplex() : yamux()],
  connectionEncrypters: [noise()],
  services: {
    identify: identify({ agentVersion: "js-libp2p" }),
    ping: ping(),
    pubsub: gossip,
    ...(given.shards ? {} : { metadata: wakuMetadata(CLUSTER) }),
  },
});

if (given.shards) {
  // js-waku knows the old field of the shards alone; go-waku reads the packed one, field 3.
  const answer = [...proto_metadata.WakuMetadataResponse.encode({ clusterId: CLUSTER, shards: [SHARD] }), 0x1a, 1, SHARD];
  await node.handle(MetadataCodec, async ({ stream }) => {
    await stream.sink([Uint8Array.from([answer.length, ...answer])]);
    await stream.close();
  });
}

const router = node.services.pubsub;
const book = new Book();
const own = new Set();
router.addEventListener("gossipsub:message", ({ detail: { msg } }) => {
  const m = decode(msg.data);
  if (msg.topic === PUBSUB_TOPIC && !own.has(Buffer.from(m.payload).toString("hex", 0, 8))) book.add(m);
});
router.topicValidators.set(PUBSUB_TOPIC, (_peer, msg) => {
  try {
    const m = decode(msg.data);
    return m.contentTopic && m.payload.length ? "accept" : "reject";
  } catch {
    return "reject";
  }
});
router.subscribe(PUBSUB_TOPIC);

const ready = {
  impl: "js-libp2p", topic: PUBSUB_TOPIC, peer: node.peerId.toString(), addrs: node.getMultiaddrs().map(String),
};
run(ready, {
  connect: async ({ addr }) => {
    const connection = await node.dial(multiaddr(addr));
    return { peer: connection.remotePeer.toString(), muxer: connection.multiplexer, security: connection.encryption };
  },
  disconnect: async ({ addr }) => void (await node.hangUp(multiaddr(addr))),
  peers: async () => ({
    peers: await Promise.all(
      node.getConnections().map(async (c) => {
        const { protocols, metadata } = await node.peerStore.get(c.remotePeer);
        const peer = c.remotePeer.toString();
        return {
          peer, protocols, muxer: c.multiplexer, security: c.encryption, dir: c.direction, streams: c.streams.length,
          mesh: router.getMeshPeers(PUBSUB_TOPIC).includes(peer), score: router.score.score(peer),
          subscribed: router.getSubscribers(PUBSUB_TOPIC).some((p) => p.toString() === peer),
          agent: new TextDecoder().decode(metadata.get("AgentVersion") ?? new Uint8Array()),
        };
      }),
    ),
  }),
  publish: async (request) => {
    own.add(request.run);
    let recipients = 0;
    const done = await feed(request, async (m) => {
      recipients += (await router.publish(PUBSUB_TOPIC, encode(m))).recipients.length;
    });
    return { ...done, recipients };
  },
  wait: (request) => book.wait(request.run, request.n, request.timeout ?? 10),
  stats: (request) => book.report(request.run),
});
