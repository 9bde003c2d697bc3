"""Waku's services beside relay, each as server and as client: metadata, filter, lightpush, store, peer exchange."""
