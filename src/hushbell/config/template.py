"""The file that ``hushbell init`` writes: every setting with its default. A test compares it with the classes."""

TEMPLATE = """\
# hushbell.toml: a line that begins with # shows a default; remove the # to change it.
# HUSHBELL_SECTION__KEY in the environment overrides a key, a flag overrides both.

[server]
data = "hushbell-data"  # folder with state and keys; made on first start
# identity_file = ""  # private key, 64 hex digits; "" is identity.key in the data folder
# workers = 1  # processes that open and seal envelopes; 1 does it in the server's own
# pubsub_topics = ["/waku/2/rs/16/32"]  # Waku's shards to listen to
# query_keys_per_second = 4  # derivations; each costs 11 to 20 ms of a processor

[store]
# url = "sqlite"  # in the data folder, or "memory": nothing survives a stop

[transport]
# bus = ""  # path of a Unix socket that carries JSON lines; made with mode 0600
# batch = 256  # envelopes that are decided together

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
