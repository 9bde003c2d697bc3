"""Protobuf classes generated from ``schemas`` by ``tools/compile-schemas.sh``. Only ``wire`` imports them."""
