"""Messages of Waku's protocols as bytes and values."""
