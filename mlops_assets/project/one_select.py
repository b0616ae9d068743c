"""Whether a text in some database's SQL is one SELECT that changes nothing, as far as its words tell.

Which database it is for only the environment says, so that no parser reads it: words outside of quotation marks and
comments are looked at. Where the database can, it reads in a transaction that cannot write, too.
"""

import re

_QUOTED = re.compile(
    r"""(?P<text>\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"""
    r"""|"(?:[^"]|"")*"|`[^`]*`|(?P<comment>--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)""",
    re.DOTALL,
)
_WRITING = re.compile(
    r"\b(insert|update|delete|merge|truncate|into|alter|create|drop|grant|revoke|copy|call|execute|exec|attach|detach"
    r"|pragma|vacuum|lock\s+in\s+share\s+mode|for\s+(?:no\s+key\s+)?(?:update|share|key\s+share))\b",
    re.IGNORECASE,
)
_ACTING = re.compile(
    r"\b(nextval|setval|set_config|pg_notify|pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile"
    r"|pg_(?:try_)?advisory\w*|pg_(?:read|write|ls|stat|file|create|drop|promote|switch|replication|logical)_?\w*"
    r"|lo_\w+|dblink\w*|query_to_xml\w*|load_extension|writefile|readfile|load_file|get_lock|release_\w*locks?|benchmark"
    r"|xp_\w+|openrowset|openquery|opendatasource|utl_\w+|dbms_\w+)\s*\(",
    re.IGNORECASE,
)


def without_quotes(text: str) -> str:
    """A text with a space for each comment and quoted text, and quoted names as ``"q"``."""
    return _QUOTED.sub(lambda found: " " if _is_told(found) else ' "q" ', text)


def _is_told(found: re.Match[str]) -> bool:
    """Whether it is a text, or a comment that is none to MySQL."""
    return bool(found["text"] or (found["comment"] and not found[0].startswith("/*!")))


def what_is_no_select(text: str) -> str | None:
    r"""What in a text is not of one SELECT that changes nothing, in words; None where nothing is.

    Example:
        >>> what_is_no_select("WITH x AS (DELETE FROM sales RETURNING *) SELECT * FROM x")
        'DELETE'
        >>> what_is_no_select("SELECT 'delete; all' AS \"update\" FROM sales -- into")
    """
    bare = without_quotes(text)
    if ";" in bare:
        return "a second statement"
    if not re.match(r"\s*\(*\s*(select|with|values|table)\b", bare, re.IGNORECASE):
        return f"{(bare.split() or ['nothing'])[0][:40]} where SELECT should stand"
    depth = 0
    for sign in re.findall(r"[()]", bare):
        depth += 1 if sign == "(" else -1
        if depth < 0:
            return "a parenthesis that nothing opens"
    if depth or "'" in bare or '"' in bare.replace('"q"', "") or "/*" in bare or "/*!" in text:
        return "a parenthesis, text or comment that does not end"
    if found := _WRITING.search(bare):
        return " ".join(found[1].upper().split())
    names = _QUOTED.sub(lambda found: " " if _is_told(found) else found[0].strip('"`'), text)
    if found := _ACTING.search(names):
        return f"{found[1].lower()}(), which does something or reads elsewhere"
    return None
