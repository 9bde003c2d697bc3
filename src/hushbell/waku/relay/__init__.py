"""Waku's relay (RFC 11): gossipsub v1.1 without authors. The rules know no sockets and no clock."""
