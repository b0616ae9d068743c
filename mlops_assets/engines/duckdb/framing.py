"""How the sandbox is asked and answers: a line of JSON, and behind it rows in Arrow's format where there are any."""

import json
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def send(file: IO[bytes], head: dict[str, Any], rows: "pa.Table | None" = None) -> None:
    """Write one message."""
    import pyarrow as pa

    file.write(json.dumps({**head, "rows": rows is not None}).encode() + b"\n")
    if rows is not None:
        with pa.ipc.new_stream(file, rows.schema) as writer:
            writer.write_table(rows)
    file.flush()


def receive(file: IO[bytes]) -> "tuple[dict[str, Any], pa.Table | None] | None":
    """Read one message; None where the other side has ended."""
    import pyarrow as pa

    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    if not head.pop("rows"):
        return head, None
    with pa.ipc.open_stream(file) as reader:
        return head, reader.read_all()
