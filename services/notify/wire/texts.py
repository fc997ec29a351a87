"""Texts of a program as messages, and as the bytes that are stored."""

from upline.notify.v1 import notify_pb2

from services.notify.domain.cause import Kind
from services.notify.domain.texts import AssetName, LocaleTexts, ProgramTexts, TextTemplate


def read_texts(message: notify_pb2.ProgramTexts) -> ProgramTexts:
    """The texts in a message that passed the contract's rules."""
    return ProgramTexts(
        program_title=message.program_title,
        default_locale=message.default_locale,
        locales=tuple(
            LocaleTexts(
                group.locale,
                tuple(TextTemplate(Kind(each.kind), each.title, each.body) for each in group.templates),
                tuple(AssetName(each.asset, tuple(each.forms)) for each in group.assets),
            )
            for group in message.locales
        ),
        names_up_to_level=message.names_up_to_level if message.HasField("names_up_to_level") else None,
    )


def texts_message(texts: ProgramTexts) -> notify_pb2.ProgramTexts:
    """The texts as a message."""
    return notify_pb2.ProgramTexts(
        program_title=texts.program_title,
        default_locale=texts.default_locale,
        locales=[
            notify_pb2.LocaleTexts(
                locale=group.locale,
                templates=[
                    notify_pb2.TextTemplate(
                        kind=notify_pb2.NotificationKind.ValueType(each.kind), title=each.title, body=each.body
                    )
                    for each in group.templates
                ],
                assets=[notify_pb2.AssetName(asset=each.asset, forms=each.forms) for each in group.asset_names],
            )
            for group in texts.locales
        ],
        names_up_to_level=texts.names_up_to_level,
    )


def bytes_of_texts(texts: ProgramTexts) -> bytes:
    """The texts as they are stored."""
    return texts_message(texts).SerializeToString(deterministic=True)


def texts_of_bytes(content: bytes) -> ProgramTexts:
    """The texts that were stored as these bytes."""
    return read_texts(notify_pb2.ProgramTexts.FromString(content))
