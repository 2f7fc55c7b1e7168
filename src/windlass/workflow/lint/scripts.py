"""Which outputs a shell script sets, as far as that can be read from it."""

from __future__ import annotations

import re

from windlass.workflow.lint.words import words

_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_SEPARATOR = re.compile(r"\|\||&&|[;\n|&()]|\$\(|`")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=(?:\"[^\"]*\"|'[^']*'|[^\s\"']*)\s*")
_KEYWORDS = words("if then else elif fi for in do done while until case esac ! { } time")
_KNOWN = words(  # commands that set no output by themselves
    "echo printf cd pwd mkdir rmdir rm cp mv ln touch ls cat tee test [ [[ ]] ] true false exit set export unset "
    "local declare readonly read shift return date jq git curl wget grep egrep sed awk tr cut sort uniq head tail wc "
    "sleep basename dirname sha256sum md5sum tar unzip zip gzip chmod chown sudo apt-get apt brew docker gh which "
    "command type uname whoami id env df du kill wait trap break continue seq rev diff stat realpath mktemp"
)
_PLAIN = frozenset({"echo", "printf"})
_FILE = "GITHUB_OUTPUT"
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"`$\\]|\\.|\$(?!\())*\"")
_DYNAMIC = re.compile(r"[\"'\s](?:\$\{\{[^}]*\}\}|\$\{?\w+\}?)\s*(?:=|<<)")


def may_set(script: str, name: str) -> bool:
    """Whether a bash script may set the output `name`; True where that cannot be told.

    It cannot be told as soon as the script runs something that may write to the file itself, or writes there
    what stands elsewhere.
    """
    words = {word.lower() for word in _WORD.findall(script)}
    if name.lower() in words | {part for word in words for part in re.split(r"[.-]", word)}:
        return True
    if _DYNAMIC.search(script):
        return True
    before = ""
    for command, part in _commands(script):
        if command not in _KNOWN and command:
            return True
        writes = command in _PLAIN or (command == "tee" and before in _PLAIN)
        if _FILE in part and not writes:
            return True
        before = command
    return False


def _commands(script: str) -> list[tuple[str, str]]:
    """Return each simple command as its first word (empty where it has none) and its text.

    What cannot be read gives words that are no command.
    """
    joined = re.sub(r"\\\n", " ", re.sub(r"\$\{\{.*?\}\}", "X", script, flags=re.DOTALL))
    return [(_first_word(part.strip()), part) for part in _SEPARATOR.split(_without_quotes(joined))]


def _first_word(rest: str) -> str:
    while rest:
        word = rest.split(None, 1)[0]
        if word.startswith("#"):
            break
        if assigned := _ASSIGNMENT.match(rest):
            rest = rest[assigned.end() :].strip()
        elif word in _KEYWORDS:
            rest = "" if word in {"for", "case", "in"} else rest[len(word) :].strip()
        else:
            return "" if word.startswith((">", "<", "2>")) else word.strip("\"'")
    return ""


def _without_quotes(script: str) -> str:
    """Blank out quoted text without `$(` or backticks, which hides separators that are none."""
    return _QUOTED.sub(lambda match: _FILE if _FILE in match[0] else "Q", script)
