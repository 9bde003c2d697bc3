"""UnifiedPush: as Web Push for apps of today, and the bytes as they are for older ones (reference/gateway.md 4.8)."""

from hushbell.core.delivery.notification import Message, Notification
from hushbell.core.delivery.outcome import Outcome
from hushbell.errors import CallerError
from hushbell.http.ssrf import AddressRefused
from hushbell.providers.webpush.provider import FORBIDDEN, NO_SUBSCRIPTION, UNRESOLVED, WebPushProvider

ENDPOINT = 1000  # bytes of an address, as the older specification has it


class UnifiedPushProvider(WebPushProvider):
    """A token is a subscription, or, where the settings allow it, a plain address."""

    name = "unifiedpush"

    def check(self, message: Message) -> None:
        """Raise CallerError for what no push service could take. The older specification allows no empty body."""
        super().check(message)
        if not message.body:
            raise CallerError("body", "must hold a byte at least")

    async def _deliver(self, notification: Notification, index: int) -> Outcome:
        token = notification.tokens[index]
        if token.startswith("{"):
            return await super()._deliver(notification, index)
        if not getattr(self._settings, "legacy", False) or len(token) > ENDPOINT:
            return NO_SUBSCRIPTION
        try:
            endpoint = self._guard.parse(token)
            addresses = await self._addresses(endpoint)
        except AddressRefused as refused:
            return FORBIDDEN if refused.is_final else UNRESOLVED
        return await self._post(
            endpoint, self._headers(notification, index, endpoint), notification.message.body, addresses
        )
