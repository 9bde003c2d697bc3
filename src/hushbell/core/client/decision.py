"""The accumulator of one decision: the facts so far, and what the rules have added."""

from hushbell.core.client.events import AccountEvent, ClientDecision, Effect
from hushbell.core.client.facts import Change, ClientFacts, Fact, Forget, Key, Profile, Save, key_of
from hushbell.crypto import secp256k1
from hushbell.types import KeyPair, Millis, Random


class DecisionBuilder:
    """
    The arguments that the rules of one decision share, and their results.

    Args:
        facts: updated with each change, so that later rules of the same decision see it.
        identity: the key that registers and is notified.
        now: Unix time of the decision in milliseconds.
        random: returns unpredictable bytes.
        advertises: whether this key publishes a contact code.
    """

    def __init__(self, facts: ClientFacts, identity: KeyPair, now: Millis, random: Random, *, advertises: bool) -> None:
        self.facts = facts
        self.identity = identity
        self.now = now
        self.random = random
        self.advertises = advertises
        self._changes: dict[Key, Change] = {}
        self._effects: list[Effect] = []
        self._events: list[AccountEvent] = []

    @property
    def profile(self) -> Profile:
        """The user's settings and the latest registration."""
        return self.facts.profile

    def save(self, fact: Fact) -> None:
        """Add a fact that is new or has changed."""
        self._add_change(Save(fact))

    def forget(self, fact: Fact) -> None:
        """Remove a fact."""
        self._add_change(Forget(fact))

    def add_effect(self, effect: Effect) -> None:
        """Add what leaves after the commit."""
        self._effects.append(effect)

    def add_event(self, event: AccountEvent) -> None:
        """Add an event for the app."""
        self._events.append(event)

    def draw_key(self) -> KeyPair:
        """Draw an ephemeral key, which no observer can link to the identity."""
        return secp256k1.key_pair(self.random)

    def build(self, due: Millis | None) -> ClientDecision:
        """Return the decision."""
        return ClientDecision(tuple(self._changes.values()), tuple(self._effects), tuple(self._events), due)

    def _add_change(self, change: Change) -> None:
        self.facts.apply(change)
        self._changes[key_of(change.fact)] = change
