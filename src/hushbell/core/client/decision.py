"""One decision while it is being made: the facts so far, and what has come of them."""

from hushbell.core.client.events import ClientDecision, Effect, News
from hushbell.core.client.facts import Change, ClientFacts, Fact, Forget, Key, Profile, Save, key_of
from hushbell.crypto import secp256k1
from hushbell.types import KeyPair, Millis, Random


class Work:
    """
    What the rules of one decision share.

    Args:
        facts: are taken forward with each change, so that later rules of the same decision see it.
        identity: the key that registers and is rung.
        now: the time of the decision.
        random: unpredictable bytes.
        advertises: whether this key tells everybody how to ring it.
    """

    def __init__(self, facts: ClientFacts, identity: KeyPair, now: Millis, random: Random, *, advertises: bool) -> None:
        self.facts = facts
        self.identity = identity
        self.now = now
        self.random = random
        self.advertises = advertises
        self._changes: dict[Key, Change] = {}
        self._effects: list[Effect] = []
        self._news: list[News] = []

    @property
    def profile(self) -> Profile:
        """The wishes, and what the servers were told."""
        return self.facts.profile

    def save(self, fact: Fact) -> None:
        """Note a fact that is new or has changed."""
        self._note(Save(fact))

    def forget(self, fact: Fact) -> None:
        """Note that a fact is no longer needed."""
        self._note(Forget(fact))

    def do(self, effect: Effect) -> None:
        """Note what shall happen after the commit."""
        self._effects.append(effect)

    def tell(self, news: News) -> None:
        """Note what the app shall hear."""
        self._news.append(news)

    def fresh_key(self) -> KeyPair:
        """Draw a key that nobody can link to us."""
        return secp256k1.key_pair(self.random)

    def decision(self, due: Millis | None) -> ClientDecision:
        """Return what has come of it."""
        return ClientDecision(tuple(self._changes.values()), tuple(self._effects), tuple(self._news), due)

    def _note(self, change: Change) -> None:
        self.facts.apply(change)
        self._changes[key_of(change.fact)] = change
