"""QR images."""

from dataclasses import dataclass
from io import BytesIO

import segno

DEFAULT_SCALE = 8


@dataclass(frozen=True, slots=True)
class QrImage:
    """An image, and the text that it holds."""

    image: bytes
    content_type: str
    content: str


def draw(content: str, as_svg: bool, scale: int) -> QrImage:
    """The QR image of a text, readable with 15 % of it damaged (level M).

    `scale` is the number of pixels or units a module, 0 for 8.
    """
    code = segno.make_qr(content, error="m", boost_error=False)
    out = BytesIO()
    code.save(out, kind="svg" if as_svg else "png", scale=scale or DEFAULT_SCALE)
    return QrImage(out.getvalue(), "image/svg+xml" if as_svg else "image/png", content)
