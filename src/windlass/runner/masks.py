"""Hide secrets in what a job prints: every written form of a value, at the speed of the log.

A job may have hundreds of *needles* (twenty secrets, each also in base64 at three alignments, as URL, JSON,
XML and shell text). Looking for each is one pass over the log per needle. Long needles are therefore found
together, by their aligned words: a needle of 23 bytes holds, wherever it stands, four bytes that start at a
multiple of twenty (of 15: of twelve, and so on). One set intersection of every fifth word of the text with the
words of all needles says which needles can be there at all; only those are searched for. Of short needles only
what several have in common is searched for. What is cheapest for the needles at hand, `_Plan` works out.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

MASK = b"***"
_BYTE_ORDER = sys.byteorder
_WORD = 4
_PASSES = {7: 10.0, 5: 14.0, 3: 23.0, 2: 34.0, 1: 66.0}
"""What one look at every so many words costs, in arbitrary units for a megabyte, in which one search for four bytes
costs 4, for sixteen 2, for forty 1 (as measured)."""
_SMALL = 1 << 11  # in blocks up to here one search per needle is faster than anything
_SAFE = re.compile(rb"[A-Za-z0-9._~-]{4,}")
_LINE_LENGTH = 76  # of `base64` and MIME
_SHORTEST_LINE = 3  # "}" as a line of a JSON secret tells nothing, and would hide every "}"
_SHORTEST_ENCODED = 4
_SHELL_SPECIAL = re.compile(r"([^\w@%+=:,./-])")


def forms(value: str) -> set[bytes]:
    """Return the written forms of a secret that are to be hidden; empty where it is only white space."""
    if not value.strip():
        return set()
    texts = {value, value.strip()} | _escaped(value)
    lines = [line.strip("\r") for line in value.split("\n")]
    if len(lines) > 1:
        for line in lines:
            if len(line.strip()) >= _SHORTEST_LINE:
                texts |= {line, line.strip()} | _escaped(line)
    found = {text.encode("utf-8", "surrogateescape") for text in texts}
    return {form for form in found if form.strip()} | _base64_forms(value.encode("utf-8", "surrogateescape"))


def _escaped(value: str) -> set[str]:
    plain = value.encode("utf-8", "replace").decode()
    url = quote(plain, safe="")
    double_quoted = re.sub(r'([\\"$`])', r"\\\1", value)
    return {
        url,
        quote(plain),
        quote_plus(plain),
        re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), url),
        json.dumps(plain)[1:-1],
        json.dumps(plain, ensure_ascii=False)[1:-1],
        json.dumps(plain)[1:-1].replace("/", "\\/"),
        escape(value),
        escape(value, {'"': "&quot;", "'": "&apos;"}),
        escape(value, {'"': "&quot;", "'": "&#39;"}),
        escape(value, {'"': "&#34;", "'": "&#x27;"}),
        value.replace("'", "'\"'\"'"),
        value.replace("'", "'\\''"),
        _SHELL_SPECIAL.sub(r"\\\1", value),
        double_quoted,
        repr(value)[1:-1],
        value.replace("\n", "\\n"),
        value.replace("\n", "%0A"),
        value.replace("\n", " "),
    }


def _base64_forms(value: bytes) -> set[bytes]:
    """Return what base64 makes of the value at each of three alignments, without what its neighbours decide."""
    found: set[bytes] = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + value)
        core = encoded[(0, 2, 3)[shift] : 8 * (shift + len(value)) // 6]
        found |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    whole = base64.b64encode(value)
    found |= {whole, whole.rstrip(b"="), whole.translate(bytes.maketrans(b"+/", b"-_"))}
    if len(whole) > _LINE_LENGTH:
        found |= {whole[at : at + _LINE_LENGTH] for at in range(0, len(whole), _LINE_LENGTH)}
    return {form for form in found if len(form) >= _SHORTEST_ENCODED}


class _Plan:
    """How to tell which needles can be in a block: a look at its words, and some searches."""

    def __init__(self, needles: frozenset[bytes]) -> None:
        self.needles = needles
        options = [_Option(stride, needles) for stride in (*_PASSES, 0)]
        best = min(options, key=lambda option: option.cost)
        self._stride = best.stride
        self._handles = best.handles
        self._of_word: dict[int, set[bytes]] = {}
        for needle in best.together:
            for offset in range(_WORD * best.stride):
                word = int.from_bytes(needle[offset : offset + _WORD], _BYTE_ORDER)
                self._of_word.setdefault(word, set()).add(needle)
        self._words = frozenset(self._of_word)

    def candidates(self, block: bytes) -> Iterator[bytes]:
        """Yield the needles that may be in the block, all those that are among them."""
        if self._words:
            words = memoryview(block)[: len(block) // _WORD * _WORD].cast("I")[:: self._stride]
            if hits := self._words.intersection(words):
                yield from set().union(*(self._of_word[hit] for hit in hits))
        for handle, needles in self._handles.items():
            if handle in block:
                yield from needles


class _Option:
    """Looking at every `stride`-th word for the needles that are long enough, and searching for all others."""

    def __init__(self, stride: int, needles: Collection[bytes]) -> None:
        self.stride = stride
        shortest = _WORD * stride + _WORD - 1 if stride else sys.maxsize
        self.together = [needle for needle in needles if len(needle) >= shortest]
        self.handles: dict[bytes, list[bytes]] = {}
        for needle in needles:
            if len(needle) < shortest:
                self.handles.setdefault(_handle(needle), []).append(needle)
        searches = sum(8 / min(len(handle), 40) ** 0.5 for handle in self.handles)
        self.cost = searches + (_PASSES[stride] if self.together else 0)


def _handle(needle: bytes) -> bytes:
    """Return the part of a needle that is the same in most written forms of a value."""
    return max(_SAFE.findall(needle), key=len, default=needle)


class Masker:
    """All secrets of one job. `add` as they become known; `mask` whole lines. May be used from several threads."""

    def __init__(self, values: list[str] | None = None) -> None:
        self._known: frozenset[bytes] = frozenset()
        self._plan: _Plan | None = None
        self._lock = threading.Lock()
        self.longest = 0
        for value in values or []:
            self.add(value)

    def add(self, value: str) -> None:
        """Hide this value, and its written forms, from now on."""
        with self._lock:
            self._known |= forms(value)
            self.longest = max((self.longest, *map(len, self._known)))

    def mask(self, block: bytes) -> bytes:
        """Return the block with every secret replaced; secrets that cross its ends are the caller's matter."""
        spans = self.spans(block)
        if not spans:
            return block
        parts, at = [], 0
        for start, end in spans:
            parts += [block[at:start], MASK]
            at = end
        return b"".join([*parts, block[at:]])

    def mask_text(self, text: str) -> str:
        """Return the text with every secret replaced."""
        return self.mask(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def hides(self, text: str) -> bool:
        """Return whether the text holds a secret."""
        return bool(self.spans(text.encode("utf-8", "surrogateescape")))

    def spans(self, block: bytes) -> list[tuple[int, int]]:
        """Return where secrets stand, in order, those that overlap or touch made one."""
        found: list[tuple[int, int]] = []
        for needle in self._candidates(block):
            at = block.find(needle)
            while at >= 0:
                found.append((at, at + len(needle)))
                at = block.find(needle, at + 1)
        return _merged(found) if found else found

    def _candidates(self, block: bytes) -> Iterable[bytes]:
        known, plan = self._known, self._plan
        if len(block) <= _SMALL:
            return known
        if plan is None or plan.needles is not known:
            plan = self._plan = _Plan(known)
        return plan.candidates(block)


class LineMasker:
    """Cuts a stream of chunks into blocks of whole lines, so that no secret crosses a block's border.

    A line longer than `limit` bytes is let go in pieces; a piece never ends inside a secret.
    """

    def __init__(self, masker: Masker, *, limit: int = 1 << 18) -> None:
        self._masker = masker
        self._limit = limit
        self._pending = b""

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Return (whole lines, piece of an overlong line that follows them), both still unmasked."""
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            self._pending += chunk
            return b"", self._overflow()
        lines = self._pending + chunk[:cut]
        self._pending = chunk[cut:]
        return lines, self._overflow()

    def rest(self) -> bytes:
        """Return the last line, which has no line end."""
        rest, self._pending = self._pending, b""
        return rest

    def _overflow(self) -> bytes:
        if len(self._pending) <= self._limit:
            return b""
        cut = len(self._pending) - self._masker.longest
        for start, end in self._masker.spans(self._pending):
            if start < cut < end:
                cut = start
        if cut <= 0:
            return b""
        piece, self._pending = self._pending[:cut], self._pending[cut:]
        return piece


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    spans.sort()
    merged = [spans[0]]
    for start, end in spans[1:]:
        if start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
