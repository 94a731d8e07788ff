"""Writes get_session_token.json beside this file: requests made and signed by botocore."""

import datetime
import json
import pathlib
import unittest.mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.session

CASES = [
    # name, region, endpoint, Unix seconds, duration, serial, code
    ("global", "us-east-1", "https://sts.amazonaws.com/", 1440938160, 3600,
     "arn:aws:iam::111122223333:mfa/root-account-mfa-device", "123456"),
    ("regional", "eu-central-1", "https://sts.eu-central-1.amazonaws.com/", 1795486923, 900,
     "arn:aws:iam::111122223333:mfa/team/alice+x=1,2@example.com", "000000"),
    ("china", "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/", 951782400, 3600,
     "arn:aws-cn:iam::111122223333:mfa/root-account-mfa-device", "99999999"),
    ("hardware token", "us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com/", 4102444799, 1800,
     "GAHT12345678", "654321"),
    ("loopback", "us-east-1", "http://127.0.0.1:5555/", 1795486923, 3600,
     "arn:aws:iam::111122223333:mfa/root-account-mfa-device", "123456"),
]
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"


class Sent(Exception):
    """Carries the request out of botocore instead of sending it."""


def body_of(region, endpoint, duration, serial, code):
    client = botocore.session.get_session().create_client(
        "sts", region_name=region, endpoint_url=endpoint,
        aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET)

    def catch(request, **_):
        raise Sent(request)

    client.meta.events.register("before-send.sts.GetSessionToken", catch)
    try:
        client.get_session_token(DurationSeconds=duration, SerialNumber=serial, TokenCode=code)
    except Sent as sent:
        request = sent.args[0]
        assert request.headers["Content-Type"] in (CONTENT_TYPE, CONTENT_TYPE.encode())
        body = request.body
        return body if isinstance(body, str) else body.decode()
    raise AssertionError("botocore sent nothing")


def vector(name, region, endpoint, now, duration, serial, code):
    body = body_of(region, endpoint, duration, serial, code)
    request = botocore.awsrequest.AWSRequest(
        method="POST", url=endpoint, data=body, headers={"Content-Type": CONTENT_TYPE})
    credentials = botocore.credentials.Credentials(KEY_ID, SECRET)
    moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    with unittest.mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        botocore.auth.SigV4Auth(credentials, "sts", region).add_auth(request)
    return {
        "name": name, "region": region, "endpoint": endpoint, "now": now, "duration": duration,
        "serial": serial, "code": code, "body": body,
        "x_amz_date": request.headers["X-Amz-Date"], "authorization": request.headers["Authorization"],
    }


document = {
    "access_key_id": KEY_ID, "secret_access_key": SECRET,
    "requests": [vector(*case) for case in CASES],
}
target = pathlib.Path(__file__).with_name("get_session_token.json")
target.write_text(json.dumps(document, indent=2) + "\n")
