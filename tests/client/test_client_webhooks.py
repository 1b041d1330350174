"""Verifying webhooks."""

from __future__ import annotations

import base64

import pytest
from graphwire.webhooks import WebhookVerificationError, sign, verify

#: The test vector of the Standard Webhooks specification's libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIME = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
BODY = '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

OTHER = f"whsec_{base64.b64encode(b'x' * 24).decode()}"


def headers(**changed: str | None) -> dict[str, str]:
    given = {"id": ID, "timestamp": str(TIME), "signature": SIGNATURE, **changed}
    return {f"webhook-{name}": value for name, value in given.items() if value is not None}


def test_the_published_vector() -> None:
    assert sign(ID, TIME, BODY, SECRET) == SIGNATURE
    assert sign(ID, TIME, BODY.encode(), SECRET.removeprefix("whsec_")) == SIGNATURE
    assert verify(headers(), BODY, SECRET, now=TIME) == {"test": 2432232314}
    assert verify(headers(), BODY.encode(), SECRET, now=TIME + 299) == {"test": 2432232314}


def test_names_of_headers_are_the_same_in_upper_and_lower_case() -> None:
    given = {name.title(): value for name, value in headers().items()}
    assert verify(given, BODY, SECRET, now=TIME)


def test_one_of_several_signatures_and_one_of_several_secrets_will_do() -> None:
    several = headers(signature=f"v1a,{SIGNATURE[3:]} v1,bm8= {SIGNATURE}")
    assert verify(several, BODY, SECRET, now=TIME)
    assert verify(headers(), BODY, [OTHER, SECRET], now=TIME)


@pytest.mark.parametrize(
    "given, body, secret",
    [
        (headers(), BODY.replace("2", "3"), SECRET),
        (headers(), BODY + " ", SECRET),
        (headers(), BODY, OTHER),
        (headers(id="msg_other"), BODY, SECRET),
        (headers(timestamp=str(TIME + 1)), BODY, SECRET),
        (headers(signature=SIGNATURE[:-2] + "A="), BODY, SECRET),
        (headers(signature=SIGNATURE.replace("v1,", "v2,")), BODY, SECRET),
        (headers(signature=SIGNATURE.removeprefix("v1,")), BODY, SECRET),
        (headers(signature="v1,"), BODY, SECRET),
        (headers(signature="v1,ä"), BODY, SECRET),
    ],
)
def test_whatever_is_not_signed_is_refused(given: dict[str, str], body: str, secret: str) -> None:
    with pytest.raises(WebhookVerificationError, match="no signature of the request fits"):
        verify(given, body, secret, now=TIME)


@pytest.mark.parametrize("late, when", [(301, "301 s ago"), (-301, "301 s ahead")])
def test_what_is_not_of_now_is_refused(late: int, when: str) -> None:
    with pytest.raises(WebhookVerificationError, match=when):
        verify(headers(), BODY, SECRET, now=TIME + late)
    assert verify(headers(), BODY, SECRET, now=TIME + late, tolerance_seconds=302)


def test_the_clock_is_that_of_the_machine() -> None:
    with pytest.raises(WebhookVerificationError, match="s ago"):
        verify(headers(), BODY, SECRET)


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_missing_is_named(name: str, value: str | None) -> None:
    with pytest.raises(WebhookVerificationError, match=f"has no webhook-{name}"):
        verify(headers(**{name: value}), BODY, SECRET, now=TIME)


@pytest.mark.parametrize("time", ["soon", "-1", "1.5", " 1", "1_0", "١", "9" * 20])
def test_a_time_is_a_number_of_seconds(time: str) -> None:
    with pytest.raises(WebhookVerificationError, match="webhook-timestamp is no time"):
        verify(headers(timestamp=time), BODY, SECRET, now=TIME)


@pytest.mark.parametrize("body", ["no JSON", "[1]", '"text"'])
def test_a_body_that_is_signed_must_be_a_json_object(body: str) -> None:
    signed = headers(signature=sign(ID, TIME, body, SECRET))
    with pytest.raises(WebhookVerificationError, match="JSON"):
        verify(signed, body, SECRET, now=TIME)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base 64", "ä", []])
def test_a_secret_that_is_none_is_no_verification_error(secret: str | list[str]) -> None:
    with pytest.raises(ValueError, match="secret") as refused:
        verify(headers(), BODY, secret, now=TIME)
    assert not isinstance(refused.value, WebhookVerificationError)
