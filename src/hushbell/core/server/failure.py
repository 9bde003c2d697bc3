"""The replies when the server's own store failed: INTERNAL_ERROR, so that the client tries again later."""

from collections.abc import Sequence

from hushbell import wire
from hushbell.core.server.events import Event, QueryReceived, RegistrationReceived
from hushbell.core.server.facts import Reply
from hushbell.types import NotificationType
from hushbell.wire.messages import (
    ApplicationType,
    NotificationResponse,
    RegistrationError,
    RegistrationResponse,
    Report,
    ReportError,
)


def internal_errors(event: Event) -> Sequence[Reply]:
    """Return the INTERNAL_ERROR replies to an event. A query is met with silence, as one for an unknown key is."""
    if isinstance(event, QueryReceived):
        return ()
    if isinstance(event, RegistrationReceived):
        refused = RegistrationResponse(error=RegistrationError.INTERNAL_ERROR, request_id=event.request_id)
        return (Reply(event.sender, ApplicationType.PUSH_NOTIFICATION_REGISTRATION_RESPONSE, wire.encode(refused)),)
    if not event.request.message_id:
        return ()
    reports = tuple(
        Report(error=ReportError.INTERNAL_ERROR, public_key=item.public_key, installation_id=item.installation_id)
        for item in event.request.requests
        if NotificationType.UNKNOWN < item.type <= NotificationType.REQUEST_TO_JOIN_COMMUNITY
    )
    answer = NotificationResponse(message_id=event.request.message_id, reports=reports)
    return (Reply(event.sender, ApplicationType.PUSH_NOTIFICATION_RESPONSE, wire.encode(answer)),)
