"""Where the peers of a libp2p host come from, for the relay."""

from collections.abc import Callable

from hushbell.waku.libp2p.admission import source_of
from hushbell.waku.libp2p.host import Host
from hushbell.waku.libp2p.stream import PeerId
from hushbell.waku.relay.links import Origin


def origin_on(host: Host) -> Callable[[PeerId], Origin]:
    """Return what tells how a peer of the host and we met: the IPv4 address or IPv6 /64, and who dialled."""

    def origin(peer: PeerId) -> Origin:
        connection = host.connection(peer)
        if connection is None:
            return Origin("", outbound=False)
        return Origin(source_of(connection.pipe.remote), outbound=connection.outbound)

    return origin
