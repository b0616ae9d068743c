"""The online store in Redis or Valkey: guarded writes in scripts, reads in one call.

All keys begin with ``mlops:{PROJECT}:`` (the braces keep them together on a cluster). A row's value is its guard, two
doubles, which hold microseconds exactly up to the year 2255, and then the row, which is missing where it was removed.
"""

import secrets
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from mlops_assets.errors import StoreUnavailableError, words_of
from mlops_assets.features.online.contract import Entry, Guard, Layout, Outcome, Published, Space, SpaceGoneError
from mlops_assets.features.online.encoding import layout_from, text_of
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.write_points import write_point

SECONDS_TO_CONNECT, SECONDS_TO_ANSWER = 3, 10
SCRIPT_BATCH = 200
"""Rows in one script: readers wait no longer than for these, about a millisecond."""
PIPELINE_BATCH = 5_000
GUARD = struct.Struct(">dd")
GONE = b"gone"

WRITE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 'gone' end
local known, version = struct.unpack('>dd', ARGV[2])
local prefix, outcome, latest = tonumber(ARGV[3]), {}, 0
for place = 3, #KEYS do
  local row, event = ARGV[2 * place - 2], ARGV[2 * place - 1]
  local held = redis.call('GET', KEYS[place])
  local held_known, held_version = -1, -1
  if held then held_known, held_version = struct.unpack('>dd', held) end
  if known >= held_known and version >= held_version then
    redis.call('SET', KEYS[place], ARGV[2] .. row)
    redis.call('ZADD', KEYS[2], event, string.sub(KEYS[place], prefix + 1))
    local before = held and string.sub(held, 17) or ''
    if row == '' then outcome[#outcome + 1] = before == '' and '.' or 'r'
    else outcome[#outcome + 1] = row == before and 'u' or 'w' end
  elseif known <= held_known and version <= held_version then outcome[#outcome + 1] = 'o'
  else
    outcome[#outcome + 1] = 'c'
    latest = math.max(latest, held_known)
  end
end
return string.format('%s %.0f', table.concat(outcome), latest)
"""
EXPIRE = """
local keys = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, key in ipairs(keys) do
  local name = ARGV[2] .. key
  local held = redis.call('GET', name)
  if held then redis.call('SET', name, string.sub(held, 1, 16)) end
  redis.call('ZADD', KEYS[1], '+inf', key)
end
return #keys
"""
RECORD = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 'gone' end
for place = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[place], ARGV[place + 1]) end
return 'done'
"""
SERVE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 'gone' end
redis.call('SET', KEYS[2], ARGV[1])
for _, number in ipairs(redis.call('HKEYS', KEYS[1])) do
  if number ~= ARGV[1] then
    redis.call('SADD', KEYS[3], number)
    redis.call('HDEL', KEYS[1], number)
  end
end
return 'done'
"""


class RedisStore:
    """An `OnlineStore` in a Redis or Valkey server.

    Args:
        url: Where the server is; a password in it is never shown.
        project: Whose rows.

    Raises:
        ValueError: The URL is none; its words may hold the password.
    """

    def __init__(self, url: str, project: str) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        parts = urlsplit(url)
        self._shown = f"{parts.scheme}://{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"
        self._prefix = f"mlops:{{{project}}}:".encode()
        self._client: Any = redis.Redis.from_url(
            url,
            socket_connect_timeout=SECONDS_TO_CONNECT,
            socket_timeout=SECONDS_TO_ANSWER,
            retry=Retry(NoBackoff(), 1),  # a connection that the server closed meanwhile is opened again
        )
        self._errors = (redis.RedisError, OSError, AttributeError)  # the last its client raises over what is no Redis
        self._scripts = {
            name: self._client.register_script(text)
            for name, text in (("write", WRITE), ("expire", EXPIRE), ("record", RECORD), ("serve", SERVE))
        }
        self._numbered = False
        self._seen: dict[str, bytes] = {}
        self._pointers: dict[str, bytes] = {}

    def __str__(self) -> str:
        return self._shown

    def read(self, asked: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[int | None, list[bytes | None]]]:
        """See `OnlineStore.read`."""
        self._require_format()
        tables = list(dict.fromkeys([table for table, _ in asked]))
        pointers = [self._pointers.get(table) or self._pointer(table) for table in tables]
        while True:
            spaces = [self._seen.get(table, b"") for table in tables]
            prefixes = dict(zip(tables, map(self._rows_of, spaces), strict=True))
            names = [*pointers, *(prefixes[table] + key for table, keys in asked for key in keys)]
            try:
                found = self._client.mget(names)
            except self._errors as error:
                raise self._unavailable(error) from error
            served = [one or b"" for one in found[: len(tables)]]
            if served == spaces:
                break
            self._seen.update(zip(tables, served, strict=True))  # other spaces are served: their rows are asked for
        numbers = {table: int(space) if space else None for table, space in zip(tables, spaces, strict=True)}
        answers: list[tuple[int | None, list[bytes | None]]] = []
        values = iter(found[len(tables) :])
        for table, keys in asked:
            rows = [value[16:] or None if value else None for value in islice(values, len(keys))]
            answers.append((numbers[table], rows))
        return answers

    def _require_format(self) -> None:
        """See, once, that this release reads the store; what was published before there were numbers is format 1."""
        if self._numbered:
            return
        with self._failing():
            held = self._client.get(self._prefix + b"format")
        formats.require(int(held or formats.UNNUMBERED), formats.ONLINE, f"the online store {self._shown}")
        self._numbered = True

    def _pointer(self, table: str) -> bytes:
        return self._pointers.setdefault(table, self._name("served", table))

    def served(self, table: str) -> Space | None:
        """See `OnlineStore.served`."""
        self._require_format()
        with self._failing():
            while True:
                number = self._client.get(self._name("served", table))
                if not number:
                    return None
                text = self._client.hget(self._name("spaces", table), number)
                if text:  # or else another space was served in between
                    return Space(int(number), layout_from(text.decode()))

    def begin(self, layout: Layout, *, fresh: bool) -> Space:
        """See `OnlineStore.begin`."""
        spaces = self._name("spaces", layout.table)
        self._require_format()
        with self._failing():
            self._client.set(self._prefix + b"format", formats.ONLINE, nx=True)
            served = self._client.get(self._name("served", layout.table))
            for number, text in self._client.hgetall(spaces).items():
                if not fresh and number != served and layout_from(text.decode()) == layout:
                    return Space(int(number), layout)
            space = Space(secrets.randbits(53), layout)
            self._client.hset(spaces, str(space.number), text_of(layout))
        write_point(f"online {layout.table}: begin")
        return space

    def write(self, space: Space, entries: Sequence[Entry], guard: Guard) -> Outcome:
        """See `OnlineStore.write`."""
        total, packed, number = Outcome(), GUARD.pack(*guard), b"%d" % space.number
        prefix = self._rows_of(number)
        shared = [self._name("spaces", space.layout.table), self._name("index", number)]
        for start in range(0, len(entries), PIPELINE_BATCH):
            some = entries[start : start + PIPELINE_BATCH]
            parts = [some[place : place + SCRIPT_BATCH] for place in range(0, len(some), SCRIPT_BATCH)]
            with self._failing(), self._client.pipeline(transaction=False) as pipeline:
                for part in parts:
                    arguments: list[Any] = [number, packed, len(prefix)]
                    for entry in part:
                        arguments += (entry.row or b"", b"+inf" if entry.row is None else entry.event_us)
                    self._scripts["write"]([*shared, *(prefix + entry.key for entry in part)], arguments, pipeline)
                answers = pipeline.execute()
            for part, answer in zip(parts, answers, strict=True):
                if answer == GONE:
                    raise SpaceGoneError(space)
                _count(total, part, answer)
            write_point(f"online {space.layout.table}: rows")
        return total

    def expire(self, space: Space, until_us: int) -> int:
        """See `OnlineStore.expire`."""
        number, expired = b"%d" % space.number, 0
        while True:
            arguments: list[Any] = [until_us, self._rows_of(number), SCRIPT_BATCH]
            with self._failing():
                done = int(self._scripts["expire"]([self._name("index", number)], arguments))
            if not done:
                return expired
            expired += done
            write_point(f"online {space.layout.table}: expire")

    def published(self, space: Space, periods: Collection[str]) -> Mapping[str, Published]:
        """See `OnlineStore.published`."""
        if not periods:
            return {}
        with self._failing():
            found = self._client.hmget(self._name("published", b"%d" % space.number), list(periods))
        places = {period: map(int, text.split()) for period, text in zip(periods, found, strict=True) if text}
        return {period: Published(seq, Guard(*guard)) for period, (seq, *guard) in places.items()}

    def record(self, space: Space, published: Mapping[str, Published]) -> None:
        """See `OnlineStore.record`."""
        number = b"%d" % space.number
        arguments: list[Any] = [number]
        for period, done in published.items():
            arguments += (period, f"{done.seq} {done.guard.known_us} {done.guard.version}")
        self._run("record", space, [self._name("published", number)], arguments)
        write_point(f"online {space.layout.table}: record")

    def serve(self, space: Space) -> None:
        """See `OnlineStore.serve`."""
        table = space.layout.table
        self._run("serve", space, [self._name("served", table), self._name("gone", table)], [space.number])
        write_point(f"online {table}: serve")

    def clean(self, table: str) -> None:
        """See `OnlineStore.clean`."""
        gone = self._name("gone", table)
        with self._failing():
            for number in self._client.smembers(gone):
                index, prefix = self._name("index", number), self._rows_of(number)
                while keys := self._client.zrange(index, 0, PIPELINE_BATCH - 1):
                    self._client.unlink(*(prefix + key for key in keys))
                    self._client.zrem(index, *keys)
                    write_point(f"online {table}: clean")
                self._client.unlink(index, self._name("published", number))
                self._client.srem(gone, number)

    def rows(self, space: Space) -> Iterator[tuple[bytes, bytes]]:
        """See `OnlineStore.rows`."""
        number, cursor = b"%d" % space.number, None
        prefix = self._rows_of(number)
        while cursor != 0:
            with self._failing():
                cursor, some = self._client.zscan(self._name("index", number), cursor or 0, count=SCRIPT_BATCH)
                keys = [key for key, _ in some]
                values = self._client.mget([prefix + key for key in keys]) if keys else []
            yield from ((key, value[16:]) for key, value in zip(keys, values, strict=True) if value and value[16:])

    def check(self) -> None:
        """See `OnlineStore.check`."""
        with self._failing():
            self._client.ping()

    def _run(self, script: str, space: Space, keys: Sequence[bytes], arguments: Sequence[Any]) -> None:
        """Run a script that does nothing in a space that is gone."""
        with self._failing():
            answer = self._scripts[script]([self._name("spaces", space.layout.table), *keys], arguments)
        if answer == GONE:
            raise SpaceGoneError(space)

    def _name(self, what: str, of: str | bytes) -> bytes:
        return self._prefix + what.encode() + b":" + (of if isinstance(of, bytes) else of.encode())

    def _rows_of(self, number: bytes) -> bytes:
        return self._prefix + b"row:" + number + b":"

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Errors of the server and of the network as ours."""
        try:
            yield
        except self._errors as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"the online store {self._shown} does not answer ({words_of(error)})",
            "a Redis or Valkey server that answers, accepts the password, and has memory",
            "start it, or correct MLOPS_ONLINE_STORE; nothing has to be started again here",
        )


def _count(total: Outcome, entries: Sequence[Entry], answer: bytes) -> None:
    """Count what a script says of each entry, in a letter, and of the latest reading among those that cross."""
    letters, latest = answer.decode().split(" ")
    total.read_from_us = max(total.read_from_us, int(latest))
    total.written += letters.count("w")
    total.unchanged += letters.count("u")
    total.removed += letters.count("r")
    total.older += letters.count("o")
    if "c" in letters:
        total.crossing += [entry.key for entry, letter in zip(entries, letters, strict=True) if letter == "c"]
