"""Every error that the platform raises on purpose: what was found, what was expected, what to do."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """A place in a file that a user wrote; ``line`` counts from 1, or is None for the file as a whole."""

    file: Path
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


class PlatformError(Exception):
    """Base of all errors raised on purpose; its text says what was found, what was expected, what to do.

    Args:
        found: What is there, as a clause without a full stop.
        expected: What should be there, as a noun phrase.
        cure: What the reader can do, as an imperative.
        where: The place in a user's file, when there is one.

    Example:
        >>> print(PlatformError("column 'cots' is not in table 'sales'", "one of: cost, units", "correct the name"))
        Found: column 'cots' is not in table 'sales'. Expected: one of: cost, units. What to do: correct the name.
    """

    def __init__(self, found: str, expected: str, cure: str, *, where: Location | None = None) -> None:
        self.found = found
        self.expected = expected
        self.cure = cure
        self.where = where
        prefix = f"{where}: " if where else ""
        told, wanted, advice = (text.rstrip(".") for text in (found, expected, cure))  # what it quotes may have its own
        super().__init__(f"{prefix}Found: {told}. Expected: {wanted}. What to do: {advice}.")

    def __reduce__(self) -> tuple[Callable[..., Exception], tuple[object, ...]]:
        """How another process is told of it, whatever its kind is made of."""
        return _told_again, (type(self), self.args, self.__dict__)

    def at(self, where: Location) -> "PlatformError":
        """The same error, with the place where it was found."""
        return type(self)(self.found, self.expected, self.cure, where=where)


def _told_again(kind: type[Exception], told: tuple[object, ...], members: Mapping[str, object]) -> Exception:
    error = kind.__new__(kind, *told)
    error.__dict__.update(members)
    return error


class DefinitionError(PlatformError):
    """Something a user wrote (YAML or SQL) is wrong; nothing was run."""


class ContractError(PlatformError):
    """Data that was delivered or computed breaks its contract; the last good state stays as it was."""


class ReusedKeyError(ContractError):
    """Other rows came under an idempotency key that was used before; nothing was accepted."""


class MissingDataError(PlatformError):
    """A table, partition, version or file that is needed is not there."""


class ConflictError(PlatformError):
    """Another writer was faster; nothing was written, and trying again is safe."""


class UnusableEnvironmentError(PlatformError):
    """The machine cannot do what is asked: a home that cannot be written, too little disk, a port in use."""


class DamagedStateError(UnusableEnvironmentError):
    """State is not what the platform wrote, or its clock went back: nothing is decided by it until it is mended."""


class ForbiddenError(PlatformError):
    """Who asks may not do it: no role of theirs has the scope that it needs."""


class StoreUnavailableError(UnusableEnvironmentError):
    """The online store does not answer; readers and writers recover by themselves once it does."""


class SeveralFailuresError(PlatformError):
    """Several things failed, each for a reason of its own, which is told once and as it is.

    Args:
        what: What failed, as a clause, such as "2 of the replay's runs failed".
        cure: What to do, as an imperative.
        messages: Why, each a whole message; empty where they were told before.

    Example:
        >>> print(SeveralFailuresError("1 of 3 runs failed", "go on", [str(PlatformError("no rows", "some", "wait"))]))
        1 of 3 runs failed; go on: Found: no rows. Expected: some. What to do: wait.
    """

    MAX_TOLD = 10

    def __init__(self, what: str, cure: str, messages: Sequence[str] = ()) -> None:
        super().__init__(what, "what succeeds", cure)
        told = list(dict.fromkeys(messages))
        more = [f"and {len(told) - self.MAX_TOLD} more"] if len(told) > self.MAX_TOLD else []
        self.args = (listed(f"{what}; {cure}{':' if told else ''}", [*told[: self.MAX_TOLD], *more]),)


def listed(heading: str, messages: Sequence[str]) -> str:
    """Whole messages below a heading, each on a line of its own; a single one follows it.

    Example:
        >>> print(listed("2 faults:", [str(PlatformError("a", "b", "c")), str(PlatformError("d", "e", "f"))]))
        2 faults:
          Found: a. Expected: b. What to do: c.
          Found: d. Expected: e. What to do: f.
    """
    between = "\n  " if len(messages) > 1 else " "
    return between.join([heading, *(message.replace("\n", "\n  ") for message in messages)])


@contextmanager
def told_once(refusal: Callable[[BaseException], PlatformError]) -> Iterator[None]:
    """Make what a library, or a user's code, raises inside the block one error of ours; one of ours passes as it is.

    Args:
        refusal: Our error, by what was raised; `words_of` quotes that.
    """
    try:
        yield
    except PlatformError:
        raise
    except BaseException as error:
        # What is no Exception would end the process: a user's exit(), and the panic of a library written in Rust.
        if not isinstance(error, Exception | SystemExit) and type(error).__name__ != "PanicException":
            raise
        raise refusal(error) from error


def words_of(error: BaseException) -> str:
    """What a library raised, by its kind and its own words."""
    return f"{type(error).__name__}: {error}"


def cannot_open(file: object, reason: str) -> UnusableEnvironmentError:
    """The error for a file or folder that the system does not let this user read or write."""
    return UnusableEnvironmentError(
        f"{file} cannot be read or written ({reason})",
        "files and folders that this user may read and write",
        "give this user its permissions, or run the command as the user whose it is",
    )


def nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    """A cure for a name that does not exist: the names that it was likely meant to be."""
    near = get_close_matches(name, list(names), n=2)
    return f"write {' or '.join(repr(one) for one in near)}" if near else otherwise


def none_of(
    found: str, name: str, names: Iterable[str], cure: str = "correct the name", *, empty: str = ""
) -> DefinitionError:
    """The error of a name that is none of those there are: they are listed, and what was likely meant is proposed.

    Args:
        found: What is there, with the name.
        name: The name.
        names: Those there are.
        cure: What to do where none of them is near.
        empty: What is listed where there are none at all.
    """
    there = list(names)
    return DefinitionError(found, f"one of: {', '.join(there) or empty}", nearest(name, there, cure))


class AnswerError(PlatformError):
    """A server answered with an error, or not at all.

    Args:
        found: As in every error.
        expected: As in every error.
        cure: As in every error.
        where: As in every error.
        status: HTTP status; None where no answer came.
        problem: The problem document (RFC 9457) that came with it, or empty.
    """

    def __init__(
        self,
        found: str,
        expected: str,
        cure: str,
        *,
        where: Location | None = None,
        status: int | None = None,
        problem: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(found, expected, cure, where=where)
        self.status = status
        self.problem = problem or {}
