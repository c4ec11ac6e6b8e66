"""All rows of the attack table, by name."""

from tests.attacks import rows_backends, rows_floods, rows_slow, rows_unread
from tests.attacks.row import Row

ROWS: dict[str, Row] = {
    row.name: row for rows in (rows_unread.ROWS, rows_floods.ROWS, rows_slow.ROWS, rows_backends.ROWS) for row in rows
}
