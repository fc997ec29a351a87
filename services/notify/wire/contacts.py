"""Contacts between contract and domain."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.resources import files

from email_validator import EmailNotValidError, validate_email
from upline.notify.v1 import contact_pb2

from chassis.errors import FieldViolation, invalid, invalid_fields
from chassis.times import to_datetime, to_timestamp
from services.notify.domain.contact import MAX_AHEAD, Contact, name_problem

REASON = "INVALID_CONTACT"


def read_fields(paths: Sequence[str]) -> frozenset[str]:
    """The fields that a mask names, all of them if it is empty. INVALID_ARGUMENT if one is none that can change."""
    for path in paths:
        if path not in FIELDS:
            raise invalid("update_mask", f"{path!r} is not among the fields that can change: {', '.join(FIELDS)}")
    return frozenset(paths or FIELDS)


def read_contacts(
    messages: Sequence[contact_pb2.Contact], paths: Sequence[str], fields: frozenset[str], now: datetime
) -> list[Contact]:
    """The contacts of a request; `paths` are those of the messages in it. What is not in `fields` is left out unread.

    INVALID_ARGUMENT names each field at fault.
    """
    violations: list[FieldViolation] = []
    contacts = []
    first: dict[str, str] = {}
    for message, path in zip(messages, paths, strict=True):
        if (before := first.setdefault(message.participant_id, path)) != path:
            violations.append(FieldViolation(f"{path}.participant_id", f"is that of {before} already"))
        contact = Contact(message.participant_id)
        for field in FIELDS:
            try:
                contact = _READ[field](contact, message, now) if field in fields else contact
            except ValueError as error:
                violations.append(FieldViolation(f"{path}.{field}", str(error)))
        contacts.append(contact)
    if violations:
        raise invalid_fields(violations, REASON)
    return contacts


def _read_name(contact: Contact, message: contact_pb2.Contact, _now: datetime) -> Contact:
    name = message.display_name.strip(" ")
    if problem := name_problem(name):
        raise ValueError(problem)
    return replace(contact, display_name=name)


def _read_email(contact: Contact, message: contact_pb2.Contact, _now: datetime) -> Contact:
    if not message.email:
        return contact
    try:
        # Without DNS: a look-up depends on the network of the moment, and reaches outside for whatever a caller writes.
        found = validate_email(message.email, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise ValueError(f"is not an e-mail address that can be written to: {error}") from error
    # Capitals before the @ count by the standard, and for no provider.
    return replace(contact, email=message.email, email_key=found.normalized.casefold())


def _read_verify_time(contact: Contact, message: contact_pb2.Contact, now: datetime) -> Contact:
    if not message.HasField("email_verify_time"):
        return contact
    moment = to_datetime(message.email_verify_time)
    if moment > now + MAX_AHEAD:
        raise ValueError("is in the future; write when the address was verified")
    return replace(contact, email_verify_time=moment)


def _read_zone(contact: Contact, message: contact_pb2.Contact, _now: datetime) -> Contact:
    if message.time_zone and message.time_zone not in _zones():
        raise ValueError("is not a time zone of the IANA database; write one such as Europe/Berlin")
    return replace(contact, time_zone=message.time_zone)


def _read_locale(contact: Contact, message: contact_pb2.Contact, _now: datetime) -> Contact:
    return replace(contact, locale=message.locale)


_READ: dict[str, Callable[[Contact, contact_pb2.Contact, datetime], Contact]] = {
    "display_name": _read_name,
    "email": _read_email,
    "email_verify_time": _read_verify_time,
    "time_zone": _read_zone,
    "locale": _read_locale,
}
FIELDS = tuple(_READ)
"""The fields that can change, as masks name them."""


def contact_message(contact: Contact) -> contact_pb2.Contact:
    """The contact as the contract has it."""
    return contact_pb2.Contact(
        participant_id=contact.participant_id,
        display_name=contact.display_name,
        email=contact.email,
        email_verify_time=to_timestamp(contact.email_verify_time) if contact.email_verify_time else None,
        time_zone=contact.time_zone,
        locale=contact.locale,
        create_time=to_timestamp(contact.create_time) if contact.create_time else None,
        update_time=to_timestamp(contact.update_time) if contact.update_time else None,
    )


@cache
def _zones() -> frozenset[str]:
    """The names of the database that is installed with the service: every machine has them, whatever it has besides."""
    return frozenset((files("tzdata") / "zones").read_text().split())
