"""Marks the registrations whose device tokens a provider calls dead."""

from collections.abc import Sequence

from hushbell.core.delivery.changes import Changes
from hushbell.core.delivery.notification import Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.core.delivery.state import State
from hushbell.core.delivery.webhook import Webhook
from hushbell.core.server.facts import MarkDeadToken
from hushbell.core.server.payloads import decode_device
from hushbell.runtime.server.app import SERVER_APP


class DeadTokens:
    """A ``FinalListener`` for the server's pushes. The mark is committed with the final state."""

    def has_interest(self, app: str) -> bool:
        """Whether the pushes are the server's."""
        return app == SERVER_APP

    def on_final(
        self,
        notification: Notification,
        index: int,  # noqa: ARG002  a push of the server has one target
        state: State,
        outcome: Outcome,
        attempts: int,  # noqa: ARG002
    ) -> Changes | None:
        """Return the mark of a dead token."""
        if state is not State.DEAD_TOKEN:
            return None
        device, created_at = decode_device(notification.reference)
        # Without a time from the provider, only what was registered before this push is known to be dead.
        since = created_at if outcome.since is None else outcome.since
        return Changes(server=[MarkDeadToken(device, since)])

    def on_webhooks_changed(self, webhooks: Sequence[Webhook]) -> None:
        """Do nothing: the server has no webhooks."""
