"""The person's terminal, lent to a shell elsewhere: what is typed goes there, what it prints comes here."""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios
import tty
from contextlib import suppress

_CHUNK = 1 << 16
_LOOK = 0.3
"""Seconds between two looks at the window's size."""


def lend(master: int) -> None:
    """Connect standard input and output with the terminal's master side, until its other side is closed."""
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setraw(keyboard, termios.TCSADRAIN)  # what has been typed already is for the shell
        _pass_on(keyboard, screen, master)
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)


def _pass_on(keyboard: int, screen: int, master: int) -> None:
    size = b""
    sources = [keyboard, master]
    while True:
        size = _resized(keyboard, master, size)
        ready, _, _ = select.select(sources, [], [], _LOOK)
        if master in ready:
            try:
                data = os.read(master, _CHUNK)
            except OSError:
                return  # Linux says EIO where the other side is closed
            if not data:
                return
            _write(screen, data)
        if keyboard in ready:
            data = os.read(keyboard, _CHUNK)
            if data:
                _write(master, data)
            else:
                sources.remove(keyboard)


def _resized(keyboard: int, master: int, known: bytes) -> bytes:
    """Let the shell's terminal be as large as the window."""
    with suppress(OSError):
        size = fcntl.ioctl(keyboard, termios.TIOCGWINSZ, bytes(8))
        if size != known:
            fcntl.ioctl(master, termios.TIOCSWINSZ, size)
        return size
    return known


def _write(descriptor: int, data: bytes) -> None:
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
