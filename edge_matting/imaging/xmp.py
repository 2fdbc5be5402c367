"""XMP packets: what of them an output may carry.

ISO 16684-1. ``safe`` writes a new packet of the properties that say who made a picture and who
holds its rights; nothing else of the old one comes along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

_MOST: Final = 4 << 20
_MOST_TEXT: Final = 4096
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SPACES: Final = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "cc": "http://creativecommons.org/ns#",
}
_KEPT: Final = {
    "dc:creator": "Seq",
    "dc:rights": "Alt",
    "xmpRights:UsageTerms": "Alt",
    "xmpRights:Owner": "Bag",
    "xmpRights:Marked": "",
    "xmpRights:WebStatement": "",
    "photoshop:Credit": "",
    "cc:license": "",
}
"""Property and the kind of list it is."""

_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"


def safe_xmp(packet: bytes) -> bytes | None:
    """A new packet with creator, copyright, usage terms and licence; None without any of them.

    A packet that cannot be read is dropped: nobody can say what is in it.
    """
    root = _parsed(packet)
    if root is None:
        return None
    found = {name: values for name in _KEPT if (values := _values(root, name))}
    return _packet(found) if found else None


def corrected_xmp(packet: bytes, size: tuple[int, int]) -> bytes:
    """The packet as it is, but upright and with the output's width and height."""
    values = {
        b"tiff:Orientation": 1,
        b"tiff:ImageWidth": size[0],
        b"tiff:ImageLength": size[1],
        b"exif:PixelXDimension": size[0],
        b"exif:PixelYDimension": size[1],
    }
    for name, value in values.items():
        attribute = rb"(\b" + name + rb"\s*=\s*[\"'])\d+([\"'])"
        element = rb"(<" + name + rb">)\s*\d+\s*(</)"
        for pattern in (attribute, element):
            packet = re.sub(pattern, rb"\g<1>%d\g<2>" % value, packet)
    return packet


def _parsed(packet: bytes) -> ET.Element | None:
    text = packet.strip(b"\x00 \t\r\n")
    if len(text) > _MOST or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return None  # XMP has none; entities could grow without end
    start, end = text.find(b"<x:xmpmeta"), text.rfind(b"</x:xmpmeta>")
    if 0 <= start < end:
        text = text[start : end + len(b"</x:xmpmeta>")]
    try:
        return ET.fromstring(text)  # noqa: S314  bounded, and without entities
    except (ET.ParseError, ValueError, LookupError):
        return None


def _values(root: ET.Element, name: str) -> list[tuple[str, str]]:
    """(language, text) of a property, whether it is an element or an attribute."""
    prefix, local = name.split(":")
    tag = f"{{{_SPACES[prefix]}}}{local}"
    for description in root.iter(f"{{{_RDF}}}Description"):
        if tag in description.attrib:
            return [("", description.attrib[tag][:_MOST_TEXT])]
        element = description.find(tag)
        if element is not None:
            return list(_texts(element))
    return []


def _texts(element: ET.Element) -> Iterator[tuple[str, str]]:
    items = list(element.iter(f"{{{_RDF}}}li")) or [element]
    for item in items:
        text = (item.text or "").strip() or item.attrib.get(f"{{{_RDF}}}resource", "")
        if text:
            yield item.attrib.get(_LANGUAGE, ""), text[:_MOST_TEXT]


def _packet(found: dict[str, list[tuple[str, str]]]) -> bytes:
    spaces = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in _SPACES.items())
    body = "".join(_property(name, values) for name, values in found.items())
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""{spaces}>{body}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="r"?>'
    )
    return text.encode()


def _property(name: str, values: list[tuple[str, str]]) -> str:
    kind = _KEPT[name]
    if not kind:
        return f"<{name}>{escape(values[0][1])}</{name}>"
    items = "".join(
        f"<rdf:li{_language(kind, language)}>{escape(text)}</rdf:li>" for language, text in values
    )
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def _language(kind: str, language: str) -> str:
    return f" xml:lang={quoteattr(language or 'x-default')}" if kind == "Alt" else ""
