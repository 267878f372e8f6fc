"""HdrHistogram's encodings V0, V1 and V2, compressed and in base64, as interval logs carry them.

V2 is the library's. The older two hold their counts as plain big-endian numbers behind a header of 32 or 40 bytes (Java's
``AbstractHistogram.decodeFromByteBuffer``); which number of a counts array stands for which value is the library's again.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections import Counter
from typing import Final

from hdrh.histogram import HdrHistogram

# The base of a cookie is what remains without the bits of the word size: uncompressed, compressed.
V2: Final = (0x1C849303, 0x1C849304)
V1: Final = (0x1C849301, 0x1C849302)
V0: Final = (0x1C849308, 0x1C849309)
DOUBLE: Final = (0x0C72124E, 0x0C72124F)
_SIZE_BITS: Final = 0xF0
_V1_HEADER: Final = struct.Struct(">iiiiqqd")  # cookie, payload bytes, normalising offset, digits, lowest, highest, ratio
_V0_HEADER: Final = struct.Struct(">iiqqq")  # cookie, digits, lowest, highest, total count
_WORDS: Final = {2: "h", 4: "i", 8: "q"}
MAX_BYTES: Final = 64 << 20


class UnknownVersionError(Exception):
    """An encoding of another version or kind: nothing is damaged, it cannot be read here."""


class DamagedHistogramError(Exception):
    """The bytes are no histogram of their version."""


def decode(encoded: str) -> Counter[float]:
    """Counts by the highest value that each stands for, in the histogram's own unit."""
    try:
        content = base64.b64decode(encoded, validate=True)
        (cookie,) = struct.unpack_from(">i", content)
    except (binascii.Error, ValueError, struct.error) as error:
        raise DamagedHistogramError(f"not base64 of a histogram: {error}") from None
    base = cookie & ~_SIZE_BITS
    if base in V2:
        return _counts(_library(encoded))
    if base in V1 or base in V0:
        return _counts(_older(_inflated(content) if base in (V1[1], V0[1]) else content))
    kind = "a histogram of floating-point values" if base in DOUBLE else f"the cookie 0x{cookie & 0xFFFFFFFF:08x}"
    raise UnknownVersionError(f"{kind}; the encodings V0, V1 and V2 of whole numbers are read")


def encode_older(histogram: HdrHistogram, version: int, word_bytes: int = 8) -> str:
    """As the libraries of that time wrote it (0 or 1): what tests and people with old tools need."""
    counts = struct.pack(f">{histogram.counts_len}{_WORDS[word_bytes]}", *(histogram.counts[i] for i in range(histogram.counts_len)))
    size, digits = word_bytes << 4, histogram.significant_figures
    low, high = histogram.lowest_trackable_value, histogram.highest_trackable_value
    if version == 1:
        inner = _V1_HEADER.pack(V1[0] | size, len(counts), 0, digits, low, high, 1.0) + counts
    else:
        inner = _V0_HEADER.pack(V0[0] | size, digits, low, high, histogram.total_count) + counts
    packed = zlib.compress(inner)
    outer = (V1 if version == 1 else V0)[1] | size
    return base64.b64encode(struct.pack(">ii", outer, len(packed)) + packed).decode("ascii")


def _library(encoded: str) -> HdrHistogram:
    try:
        return HdrHistogram.decode(encoded)
    except Exception as error:  # noqa: BLE001 - zlib, struct, the library's own: whatever it is, the content is damaged
        raise DamagedHistogramError(type(error).__name__) from None


def _inflated(content: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(content[8:], MAX_BYTES)
    except zlib.error as error:
        raise DamagedHistogramError(f"not zlib: {error}") from None
    if not unpacker.eof:
        raise DamagedHistogramError("the compressed part ends too early")
    return plain


def _older(plain: bytes) -> HdrHistogram:
    try:
        (cookie,) = struct.unpack_from(">i", plain)
        if cookie & ~_SIZE_BITS == V1[0]:
            _, length, offset, digits, low, high, ratio = _V1_HEADER.unpack_from(plain)
            payload = plain[_V1_HEADER.size : _V1_HEADER.size + length]
        elif cookie & ~_SIZE_BITS == V0[0]:
            _, digits, low, high, _ = _V0_HEADER.unpack_from(plain)
            length, offset, ratio, payload = None, 0, 1.0, plain[_V0_HEADER.size :]
        else:
            raise DamagedHistogramError("the part inside is of another kind than the part outside")
        histogram = HdrHistogram(low, high, digits)
    except (struct.error, ValueError, OverflowError) as error:
        raise DamagedHistogramError(f"the header: {error}") from None
    if offset or ratio != 1.0:
        raise UnknownVersionError("a shifted or scaled histogram; plain ones are read")
    if length is not None and len(payload) != length:
        raise DamagedHistogramError("the counts end too early")
    _fill(histogram, payload, ((cookie & _SIZE_BITS) >> 4) & 0xE)
    return histogram


def _fill(histogram: HdrHistogram, payload: bytes, word_bytes: int) -> None:
    if word_bytes not in _WORDS or len(payload) % word_bytes:
        raise DamagedHistogramError(f"{len(payload)} bytes of counts of {word_bytes} bytes each")
    counts = struct.unpack(f">{len(payload) // word_bytes}{_WORDS[word_bytes]}", payload)
    if any(counts[histogram.counts_len :]) or min(counts, default=0) < 0:
        raise DamagedHistogramError("counts outside the range of the header")
    for place, count in enumerate(counts[: histogram.counts_len]):
        if count:
            histogram.record_value(histogram.get_value_from_index(place), count)


def _counts(histogram: HdrHistogram) -> Counter[float]:
    counts: Counter[float] = Counter()
    for item in histogram.get_recorded_iterator():  # one object, changed at each step: it must not be kept
        counts[float(histogram.get_highest_equivalent_value(item.value_iterated_to))] += item.count_at_value_iterated_to
    return counts
