"""What statements on several subjects are made of."""

from __future__ import annotations

from collections.abc import Sequence

from graphwire_server.storage.access import Access


def insert(table: str, columns: str) -> str:
    """Returns an INSERT of one row; `columns` is a list with commas."""
    return f"INSERT INTO {table} ({columns}) VALUES ({marks(columns.count(',') + 1)})"


def locked(select: str, tables: str, *, skip: bool = False) -> str:
    """Returns a SELECT that locks the rows it finds, for databases where others may write.

    They can't be changed until the end of the transaction, but be referred to by new rows.

    Args:
        select: The SELECT.
        tables: Of which of its tables: aliases with commas.
        skip: Pass over rows that are locked by others, instead of waiting for them.
    """
    return f"{select} FOR NO KEY UPDATE OF {tables}{' SKIP LOCKED' if skip else ''}"


def marks(count: int) -> str:
    return ", ".join("?" * count)


#: How many conditions stand side by side.
_JOINED = 200


def access_conditions(access: Access, table: str) -> tuple[list[str], list[object]]:
    """Returns the conditions that a table's rows are for somebody to see, and their parameters.

    Args:
        access: What he may see.
        table: The alias of the table; that of threads, unless the access is to any owner's.
    """
    conditions, parameters = owned(table, access)
    for contained in (access.metadata, access.also):
        if contained:
            conditions.append(f"graphwire_contains({table}.metadata, ?)")
            parameters.append(contained)
    for key, elements in access.lists:
        conditions.append(f"graphwire_has_all({table}.metadata, ?, ?)")
        parameters += [key, elements]
    choices: list[str] = []
    for choice in access.choices:
        ways: list[str] = []
        for each in choice:
            all_of, values = access_conditions(each, table)
            ways.append(_joined("AND", all_of or ["TRUE"]))
            parameters += values
        choices.append(_joined("OR", ways))
    if choices:
        conditions.append(_joined("AND", choices))
    return conditions, parameters


def owned(table: str, access: Access) -> tuple[list[str], list[object]]:
    """Returns the conditions that a table's rows have the owner that is asked for, if one is."""
    if access.owner is None:
        return [], []
    # As the index of those that have one has it.
    has_one = [f"{table}.owner <> ''"] if access.owner else []
    return [f"{table}.owner = ?", *has_one], [access.owner]


def _joined(word: str, conditions: Sequence[str]) -> str:
    """Returns conditions joined, of a depth that SQLite bears (1000) however many they are."""
    while len(conditions) > _JOINED:
        parts = range(0, len(conditions), _JOINED)
        conditions = [_joined(word, conditions[at : at + _JOINED]) for at in parts]
    return f"({f' {word} '.join(conditions)})"


def of_thread(table: str, access: Access) -> tuple[list[str], list[object]]:
    """Returns the condition that a row's thread is for somebody to see, if not all are."""
    conditions, parameters = access_conditions(access, "t")
    if not conditions:
        return [], []
    there = f"EXISTS (SELECT 1 FROM gw_threads t WHERE t.thread_id = {table}.thread_id AND "
    return [f"{there}{' AND '.join(conditions)})"], parameters
