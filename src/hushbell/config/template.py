"""The file that ``hushbell init`` writes: every setting with its default. A test compares it with the classes."""

TEMPLATE = """\
# hushbell.toml: a line that begins with # shows a default; remove the # to change it.
# HUSHBELL_SECTION__KEY in the environment overrides a key, a flag overrides both.

[server]
data = "hushbell-data"  # folder with state and keys; made on first start
# identity_file = ""  # private key, 64 hex digits; "" is identity.key in the data folder
# workers = 1  # processes that open and seal envelopes; 1 does it in the server's own
# pubsub_topics = ["/waku/2/rs/16/32"]  # Waku's shards to listen to
# app = ""  # of [[apps]], whose providers ring the phones; "" is [gateway.gorush] or [gateway.apns]
# query_keys_per_second = 4  # derivations; each costs 11 to 20 ms of a processor

[store]
# url = "sqlite"  # in the data folder, or "memory": nothing survives a stop
# keep_damaged_days = 30  # rows that cannot be read are kept aside so long; see `hushbell store damaged`

[transport]
# bus = ""  # path of a Unix socket that carries JSON lines; made with mode 0600
# batch = 256  # envelopes that are decided together

[node]  # Waku; the defaults are those of the Status network. Sizes in bytes, times in seconds
# listen = ["/ip4/127.0.0.1/tcp/0"]  # port 0 picks one and the ready line tells it; /ws behind it for WebSocket
# peers = []  # nodes to stay connected to, such as "/dns4/node.example.org/tcp/30303/p2p/16Uiu2…"
# dns_lists = []  # of further nodes (EIP-1459), such as "enrtree://KEY@nodes.example.org"
# connections = 6  # kept to nodes of the lists
# identity_file = ""  # the node's private key, 64 hex digits; "" is node.key in the data folder
# cluster = 16
# shards = [32]  # a server listens to server.pubsub_topics as well
# certificate_file = ""  # certificate chain, for addresses with /wss
# certificate_key_file = ""  # its private key
# message = 1048576  # larger is not relayed
# peer_exchange = false  # ask peers for further nodes as well
# filter = true  # push messages to light clients that ask for them
# lightpush = true  # publish for light clients
# store = true  # keep messages and answer who missed some
# store_age = 172800  # older messages are forgotten
# store_size = 1073741824  # beyond it the oldest messages go first
# inbox = 8192  # messages for the server that wait; beyond it they are fetched from a store later
# seen = 200000  # messages remembered, so that none is handed on twice
# seen_for = 7200
# pace = 2000  # messages a second that the server publishes at most; go-waku's nodes lose faster bursts
# reconcile = 300  # stores are asked so often for what no peer delivered
# catch_up = 259200  # how far back after a long silence
# rest = ""  # URL of an nwaku or go-waku, such as "http://127.0.0.1:8645", in place of a node of our own
# rest_dialect = "nwaku"  # or "go-waku"

[gateway]  # the program `hushbell gateway`, and how the pushes of `hushbell serve` leave
# listen = "127.0.0.1:8088"  # HTTP; port 0 picks one and the ready line tells it
# grpc = ""  # HOST:PORT; "" is off
# anonymous = false  # serve callers without a key beyond this machine, too
# sync = false  # answer gorush's API when each push had its first attempt, with the failures
# sync_timeout = 30.0  # such an answer waits so long; what is open then goes on
# hide_token = true  # star the ends of tokens in answers and feedback
# hide_messages = false  # leave texts out of answers and feedback
# notifications = 100  # in one request
# full = "503"  # answer of a full queue; or "gorush": a 200 whose logs say so
# body = 16777216  # bytes of a request; gorush has no bound
# keep_days = 7  # how long ends, dead tokens and answers to repeated requests are remembered

[gateway.paths]  # gorush's, where a client expects others
# push = "/api/push"
# stat_go = "/api/stat/go"
# stat_app = "/api/stat/app"
# config = "/api/config"
# sys_stats = "/sys/stats"
# metrics = "/metrics"
# health = "/healthz"

[gateway.texts]  # what a person sees when the app does not replace it
# message = "You have a new message"
# mention = "Someone mentioned you"
# join = "Someone requested to join a community you are an admin of"

# Pushes leave through a gorush-compatible gateway, or straight to Apple: uncomment one of the two sections.
# [gateway.gorush]
# url = "https://gorush.example.org"  # plain http only to a loopback address
# shape = "status"  # byte for byte what status-go writes; "spec" or "own" (padded, with collapse keys)
# timeout = 20.0  # seconds for one POST
# connect = ""  # HOST:PORT to connect to instead
# ca_file = ""  # certificates to trust instead of the system's

# [gateway.apns]
# key_file = "AuthKey_ABCDEFGHIJ.p8"  # that Apple gave out; mode 0600
# key_id = "ABCDEFGHIJ"
# team_id = "ABCDEFGHIJ"
# topic = ""  # the app's bundle id, for registrations that name none
# sandbox = false  # Apple's test environment
# connect = ""  # HOST:PORT to connect to instead
# ca_file = ""  # certificates to trust instead of the system's

# Apps that `hushbell gateway` pushes for; repeat the section for each.
# [[apps]]
# name = "chat"
# queue = 1000000  # pushes that may be open; over it callers are told to come back
# ttl = 86400  # a push lives at most so long
# attempts = 0  # at one push; 0 leaves it to the time to live
# feedback_url = ""  # told of each push that failed, in gorush's words
# feedback_headers = []  # each "name:value"
# [apps.apns]
# key_file = "AuthKey_ABCDEFGHIJ.p8"
# key_id = "ABCDEFGHIJ"
# team_id = "ABCDEFGHIJ"
# [apps.fcm]
# credentials_file = "service-account.json"

# API keys; without any, only callers on this machine are served. `hushbell keys api` makes one.
# [[keys]]
# name = "backend"
# sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
# apps = []  # [] means all
# scopes = ["send", "read"]  # also "tokens", "webhooks", "operate"
# per_minute = 0  # pushes; 0 means no limit
# burst = 10000  # pushes at once, within the limit

[ssrf]  # addresses that users supply lead to the public internet only
# allow = []  # networks besides, such as "127.0.0.0/8" for tests

[limits]  # sizes in bytes, times in seconds; what is over one is refused and counted
# envelope = 1048576  # larger is dropped before parsing
# registration = 524288  # decrypted
# list_entries = 4096  # of each list in a registration
# installations = 32  # live devices of one key
# tombstones = 96  # unregistered devices of one key that are remembered
# query_keys = 256  # of one query
# request_items = 2048  # of one request
# answer = 786432  # of one query answer
# facts = 67108864  # of registrations loaded for one batch
# rings_per_minute = 60  # of one device
# ring_burst = 120
# ring_buckets = 100000  # devices whose rate is remembered
# push_ttl = 86400  # a push that could not be delivered for so long expires
# dedup_days = 30  # how long answers and rings are remembered

[log]
# level = "info"  # "debug", "info", "warning" or "error"
# blur = 3600  # times are rounded down to this many seconds
"""
