"""PyJWT, asked by: redoubt conformance -- python3 examples/conformance/pyjwt.py (pip install "pyjwt[crypto]")"""

import json
import sys
from datetime import datetime
from unittest import mock

import jwt


class Clock(datetime):
    """PyJWT has no option for the time; it asks datetime.now()."""

    seconds = 0

    @classmethod
    def now(cls, tz=None):
        return datetime.fromtimestamp(cls.seconds, tz)


def verify(question):
    kid = jwt.get_unverified_header(question["token"]).get("kid")
    for jwk in question["keys"]["keys"]:
        if jwk["kid"] == kid:
            break
    else:
        raise jwt.InvalidKeyError("No such key")
    jwt.decode(
        question["token"],
        jwt.PyJWK(jwk),
        algorithms=question["algorithms"],
        issuer=question["issuer"],
        audience=question["audience"],
        leeway=question["clockToleranceSeconds"],
        options={"require": ["exp", "iat", "sub", "jti"]},
    )


with mock.patch("jwt.api_jwt.datetime", Clock):
    for line in sys.stdin:
        question = json.loads(line)
        Clock.seconds = question["now"]
        answer = {"id": question["id"], "accepted": True}
        try:
            verify(question)
        except Exception as error:
            answer = {"id": question["id"], "accepted": False, "error": type(error).__name__}
        print(json.dumps(answer), flush=True)
