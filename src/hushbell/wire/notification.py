"""Requests, their reports, and the application message, between protobuf and values."""

from hushbell.wire.generic import Codec, nested, unknown_fields
from hushbell.wire.messages import (
    ApplicationMessage,
    Notification,
    NotificationRequest,
    NotificationResponse,
    Report,
)
from hushbell.wire.pb import push_pb2 as pb


def _read_notification(m: pb.Notification) -> Notification:
    return Notification(
        access_token=m.access_token,
        chat_id=m.chat_id,
        public_key=m.public_key,
        installation_id=m.installation_id,
        message=m.message,
        type=m.type,
        author=m.author,
        unknown=unknown_fields(m),
    )


def _write_notification(m: pb.Notification, v: Notification) -> None:
    if v.access_token:
        m.access_token = v.access_token
    if v.chat_id:
        m.chat_id = v.chat_id
    if v.public_key:
        m.public_key = v.public_key
    if v.installation_id:
        m.installation_id = v.installation_id
    if v.message:
        m.message = v.message
    if v.type:
        m.type = v.type
    if v.author:
        m.author = v.author
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_notification_request(m: pb.NotificationRequest) -> NotificationRequest:
    return NotificationRequest(
        requests=nested(m.requests, _read_notification),
        message_id=m.message_id,
        unknown=unknown_fields(m),
    )


def _write_notification_request(m: pb.NotificationRequest, v: NotificationRequest) -> None:
    for item in v.requests:
        _write_notification(m.requests.add(), item)
    if v.message_id:
        m.message_id = v.message_id
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_report(m: pb.Report) -> Report:
    return Report(
        success=m.success,
        error=m.error,
        public_key=m.public_key,
        installation_id=m.installation_id,
        unknown=unknown_fields(m),
    )


def _write_report(m: pb.Report, v: Report) -> None:
    if v.success:
        m.success = v.success
    if v.error:
        m.error = v.error
    if v.public_key:
        m.public_key = v.public_key
    if v.installation_id:
        m.installation_id = v.installation_id
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_notification_response(m: pb.NotificationResponse) -> NotificationResponse:
    return NotificationResponse(
        message_id=m.message_id,
        reports=nested(m.reports, _read_report),
        unknown=unknown_fields(m),
    )


def _write_notification_response(m: pb.NotificationResponse, v: NotificationResponse) -> None:
    if v.message_id:
        m.message_id = v.message_id
    for item in v.reports:
        _write_report(m.reports.add(), item)
    if v.unknown:
        m.MergeFromString(v.unknown)


def _read_application_message(m: pb.ApplicationMessage) -> ApplicationMessage:
    return ApplicationMessage(
        signature=m.signature,
        payload=m.payload,
        type=m.type,
        unknown=unknown_fields(m),
    )


def _write_application_message(m: pb.ApplicationMessage, v: ApplicationMessage) -> None:
    if v.signature:
        m.signature = v.signature
    if v.payload:
        m.payload = v.payload
    if v.type:
        m.type = v.type
    if v.unknown:
        m.MergeFromString(v.unknown)


CODECS = (
    Codec(Notification, pb.Notification, _read_notification, _write_notification),
    Codec(NotificationRequest, pb.NotificationRequest, _read_notification_request, _write_notification_request),
    Codec(Report, pb.Report, _read_report, _write_report),
    Codec(NotificationResponse, pb.NotificationResponse, _read_notification_response, _write_notification_response),
    Codec(ApplicationMessage, pb.ApplicationMessage, _read_application_message, _write_application_message),
)
