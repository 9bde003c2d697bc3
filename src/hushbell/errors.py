"""
Everything hushbell raises on purpose.

HushbellError
├── WireError                the peer's bytes are wrong: drop the message, never retry
│   ├── Undecodable          not the message or frame they claim to be
│   ├── Unauthentic          bad signature, bad key, or the payload does not decrypt
│   └── TooLarge             over a bound, refused before it was parsed
├── StoreError               our own storage failed
│   ├── VersionConflict      someone else wrote first: load again, decide again
│   ├── StoreUnavailable     nothing was written: try again later
│   ├── StoreMismatch        the data is another identity's, key's or a newer program's: the operator must act
│   └── StoreCorrupt         a row does not decrypt or parse: the operator must act
├── TransportError           the network did not take the message: try again later
├── Overloaded               there is no room now: come back after the seconds it names
├── CallerError              what a caller asked for can never be done: report it; names the field and the rule
└── ConfigError              the operator must act; the message names the file, the setting and the rule
"""


class HushbellError(Exception):
    """The root of every error that hushbell raises on purpose."""


class WireError(HushbellError):
    """The peer's bytes are wrong: drop the message, never retry."""


class Undecodable(WireError):
    """Not the message or frame the bytes claim to be."""


class Unauthentic(WireError):
    """Bad signature, bad key, or the payload does not decrypt."""


class TooLarge(WireError):
    """Over a bound, refused before it was parsed."""


class StoreError(HushbellError):
    """Our own storage failed."""


class VersionConflict(StoreError):
    """Someone else wrote first: load again, decide again."""


class StoreUnavailable(StoreError):
    """Nothing was written: try again later."""


class StoreMismatch(StoreError):
    """The data is another identity's, key's or a newer program's: the operator must act."""


class StoreCorrupt(StoreError):
    """A row does not decrypt or parse: the operator must act."""


class TransportError(HushbellError):
    """The network did not accept the message: try again later."""


class Overloaded(HushbellError):
    """There is no room now: try again after the seconds it names."""

    def __init__(self, what: str, after: float) -> None:
        """Set what is full, and the seconds after which there may be room."""
        super().__init__(what)
        self.after = after


class CallerError(HushbellError):
    """A request that can never be carried out: report it to the caller; names the field and the rule."""

    def __init__(self, field: str, rule: str) -> None:
        """Set the path of the field, such as ``notifications[2].apns.topic``, and what is allowed there."""
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class ConfigError(HushbellError):
    """The operator must act; the message names the file, the setting and the rule."""
