"""Reasons: each one is an exception, with the status that the contract says, and is used."""

from __future__ import annotations

import re

import pytest
from graphwire import errors
from graphwire.v1.error_reason_pb2 import ErrorReason
from graphwire_server.rpc.interceptor import MUTATING

from tests.e2e.bad_input.case import paths, value_type
from tests.e2e.bad_input.test_refusals import CASES
from tests.e2e.wire import METHODS, PATHS

REASONS = [name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if number]
MUTATING_NAMES = {path.rpartition("/")[2] for path in MUTATING}

#: What any call may be answered, and so is not said of each.
OF_ANY_CALL = {
    "INTERNAL",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "KEYS_UNAVAILABLE",
    "DATABASE_UNAVAILABLE",
}


def classes(root: type[errors.GraphwireError]) -> list[type[errors.GraphwireError]]:
    """A class and all below it."""
    return [root, *(found for child in root.__subclasses__() for found in classes(child))]


def named(comments: dict[str, str], rpc: str) -> dict[str, str]:
    """The reasons that the comment of an RPC names, each with its status."""
    comment = comments[rpc]
    if "Statuses and reasons: as StreamRun." in comment:
        return named(comments, "StreamRun")
    result: dict[str, str] = {}
    # "INVALID_ARGUMENT: INVALID_FIELD, MISSING_FIELD. NOT_FOUND: THREAD_NOT_FOUND."
    for status, listed in re.findall(r"\b([A-Z_]{5,}): ((?:[A-Z_]+, )*[A-Z_]+)\.", comment):
        for reason in listed.split(", "):
            assert reason not in result
            result[reason] = status
    return result


def test_every_reason_is_exactly_one_exception() -> None:
    own = [c.reason for c in classes(errors.GraphwireError) if "reason" in vars(c) and c.reason]
    assert sorted(own) == sorted(REASONS)
    assert {reason: c.reason for reason, c in errors.BY_REASON.items()} == {r: r for r in REASONS}


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_has_the_status_that_its_comment_says(
    comments: dict[str, str], reason: str
) -> None:
    status, _, why = comments[f"ERROR_REASON_{reason}"].partition(": ")
    assert errors.BY_REASON[reason].code == status
    assert why


@pytest.mark.parametrize("rpc", PATHS)
def test_the_reasons_that_an_rpc_names_are_there_and_under_their_status(
    comments: dict[str, str], rpc: str
) -> None:
    reasons = named(comments, rpc)
    assert reasons == {reason: errors.BY_REASON[reason].code for reason in reasons}
    words = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", comments[rpc]))
    codes = {c.code for c in classes(errors.GraphwireError)}
    assert words - codes - set(REASONS) == set()


def test_every_reason_is_named_by_an_rpc(comments: dict[str, str]) -> None:
    used = {reason for rpc in PATHS for reason in named(comments, rpc)}
    assert used == set(REASONS) - OF_ANY_CALL


@pytest.mark.parametrize("rpc", PATHS)
def test_what_follows_from_the_fields_of_a_request_is_named(
    comments: dict[str, str], rpc: str
) -> None:
    reasons = set(named(comments, rpc))
    fields = dict(paths(METHODS[PATHS[rpc]].input_type))
    kinds = [value_type(field) for field in fields.values()]
    has_payload = any(kind is not None and kind.name == "Payload" for kind in kinds)
    expected = {
        "UNKNOWN_FIELD": rpc in MUTATING_NAMES,
        "REQUEST_ID_REUSED": "request_id" in fields,
        "INVALID_PAGE_TOKEN": "page_token" in fields,
        "INVALID_PAYLOAD": has_payload,
    }
    assert {reason: reason in reasons for reason in expected} == expected


@pytest.mark.parametrize("rpc", PATHS)
def test_an_rpc_names_every_reason_with_which_it_is_known_to_refuse(
    comments: dict[str, str], rpc: str
) -> None:
    known = {bad.reason for bad in CASES if bad.rpc == rpc}
    assert known - set(named(comments, rpc)) == set()
