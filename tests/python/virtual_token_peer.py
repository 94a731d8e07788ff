#!/usr/bin/env python3
"""Drives the virtual token with python-fido2, an independent client: what holds here holds for any client.

ROOTSEAL_VIRTUAL_TOKEN names the binary. Runs as a script (exit status 1 on failure) or under pytest.
"""
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback

from fido2.attestation import PackedAttestation
from fido2.cose import ES256
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, Ctap2
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2
from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor
from fido2.utils import sha256

RP = "rootseal.test"
PIN = "4711-oranges"
HASH = sha256(b"client data")
SALT1, SALT2 = b"\x01" * 32, b"\x02" * 32
AAGUID = "3e4397f3-8eea-4889-b1cd-777f61d20db1"
PERMISSIONS = ClientPin.PERMISSION.MAKE_CREDENTIAL | ClientPin.PERMISSION.GET_ASSERTION
PATIENCE = 60  # Only ends a test that hangs.


class SocketConnection(CtapHidConnection):
    """One report for each datagram of a SOCK_SEQPACKET socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)

    def read_packet(self):
        packet = self.socket.recv(64)
        if not packet:
            raise ConnectionResetError("the token was removed")
        return packet

    def write_packet(self, data):
        self.socket.send(data)

    def close(self):
        self.socket.close()


class Token:
    """A running virtual token, and a user's hands on its control socket."""

    def __init__(self, directory, *options):
        self.path, self.state = f"{directory}/token", f"{directory}/state"
        self.hands = f"{directory}/control"
        reader, writer = os.pipe()
        self.process = subprocess.Popen(
            [os.environ["ROOTSEAL_VIRTUAL_TOKEN"], "--socket", self.path, "--state", self.state]
            + ["--control", self.hands, "--ready-fd", str(writer), *options],
            pass_fds=[writer],
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writer)
        with open(reader, "rb") as ready:
            self.ready = ready.read()
        if self.ready == b"READY=1\n":
            self.control = self.hand()
        else:
            self.errors = self.process.communicate(timeout=PATIENCE)[1]

    def hand(self):
        """Another connection to the control socket."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE)
        connection.connect(self.hands)
        return connection.makefile("rw")

    def say(self, line):
        self.control.write(line + "\n")
        self.control.flush()
        return self.control.readline().strip()

    def status(self):
        return json.loads(self.say("status"))

    def device(self):
        return CtapHidDevice(HidDescriptor(self.path, 0, 0, 64, 64, None, None), SocketConnection(self.path))

    def ctap(self):
        return Ctap2(self.device())

    def stop(self, by=signal.SIGTERM):
        self.process.send_signal(by)
        self.errors = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode


@contextlib.contextmanager
def running(*options, directory=None):
    with tempfile.TemporaryDirectory() as fresh:
        token = Token(directory or fresh, *options)
        try:
            yield token
        finally:
            if token.process.poll() is None:
                token.stop(signal.SIGKILL)


def refused(code, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except CtapError as error:
        assert error.code == code, f"{error} instead of {code!r}"
    else:
        raise AssertionError(f"not refused, though {code!r} was due")


def pin_arguments(ctap, protocol):
    token = ClientPin(ctap, protocol).get_pin_token(PIN, PERMISSIONS, RP)
    return {"pin_uv_param": protocol.authenticate(token, HASH), "pin_uv_protocol": protocol.VERSION}


def create(ctap, protocol=None, extensions=None, options=None, **kwargs):
    """makeCredential with hmac-secret; gives back the answer and the credential's id."""
    if protocol:
        kwargs |= pin_arguments(ctap, protocol)
    answer = ctap.make_credential(
        HASH,
        {"id": RP, "name": "rootseal"},
        {"id": b"user", "name": "user"},
        [{"type": "public-key", "alg": ES256.ALGORITHM}],
        extensions={"hmac-secret": True} | (extensions or {}),
        options=options,
        **kwargs,
    )
    return answer, answer.auth_data.credential_data.credential_id


def allow(*credentials):
    return [{"type": "public-key", "id": credential} for credential in credentials]


def secret(ctap, credential, salts, protocol, uv=False, **kwargs):
    """getAssertion with hmac-secret; gives back the decrypted output."""
    key_agreement, shared = ClientPin(ctap, protocol)._get_shared_secret()
    sealed = protocol.encrypt(shared, salts)
    tag = protocol.authenticate(shared, sealed)
    if uv:
        kwargs |= pin_arguments(ctap, protocol)
    inputs = {"hmac-secret": {1: key_agreement, 2: sealed, 3: tag, 4: protocol.VERSION}}
    answer = ctap.get_assertion(RP, HASH, allow(credential), extensions=inputs, **kwargs)
    return protocol.decrypt(shared, answer.auth_data.extensions["hmac-secret"])


@contextlib.contextmanager
def waiting_for_touch(token, call, *args, **kwargs):
    """Runs `call` in a thread and enters when the client was told that a touch is needed."""
    needed, outcome = threading.Event(), {}

    def on_keepalive(status):
        if status == 2:
            needed.set()

    def run():
        try:
            outcome["result"] = call(*args, on_keepalive=on_keepalive, **kwargs)
        except (CtapError, OSError) as error:
            outcome["error"] = error
        needed.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert token.say("wait-touch") == "ok"
    assert needed.wait(PATIENCE) and not outcome, outcome
    yield outcome
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the call is still waiting"


def test_info():
    with running("--pin", PIN) as token:
        info = token.ctap().info
        assert {"FIDO_2_0", "FIDO_2_1"} <= set(info.versions), info.versions
        assert {"hmac-secret", "credProtect"} <= set(info.extensions), info.extensions
        assert info.pin_uv_protocols == [2, 1], info.pin_uv_protocols
        assert info.max_msg_size == 3072 and str(info.aaguid) == AAGUID, info
        assert info.options["clientPin"] and info.options["pinUvAuthToken"] and info.options["rk"], info.options
    with running() as token:
        assert token.ctap().info.options["clientPin"] is False


def test_attestation_is_well_formed():
    with running() as token:
        answer, _ = create(token.ctap())
        assert answer.fmt == "packed" and answer.att_stmt["x5c"]
        PackedAttestation().verify(answer.att_stmt, answer.auth_data, HASH)


def test_hmac_secret():
    with running("--pin", PIN) as token:
        ctap = token.ctap()
        answer, credential = create(ctap, PinProtocolV2())
        assert answer.auth_data.extensions["hmac-secret"] is True
        seen = {}
        for protocol in (PinProtocolV1(), PinProtocolV2()):
            for uv in (False, True):
                one = secret(ctap, credential, SALT1, protocol, uv)
                two = secret(ctap, credential, SALT2, protocol, uv)
                both = secret(ctap, credential, SALT1 + SALT2, protocol, uv)
                assert len(one) == 32 and one != two and both == one + two
                assert seen.setdefault(uv, both) == both, "the PIN/UV protocol must not change the secret"
        assert seen[False] != seen[True], "the secret must differ with and without UV"


def test_two_tokens_have_nothing_in_common():
    with running() as first, running() as second:
        (_, a), (_, b) = create(first.ctap()), create(second.ctap())
        assert a != b
        refused(CtapError.ERR.NO_CREDENTIALS, second.ctap().get_assertion, RP, HASH, allow(a))
        assert secret(first.ctap(), a, SALT1, PinProtocolV2()) != secret(second.ctap(), b, SALT1, PinProtocolV2())


def test_wrong_pin_costs_a_try():
    with tempfile.TemporaryDirectory() as directory:
        with running("--pin", PIN, directory=directory) as token:
            for protocol, left in ((PinProtocolV1(), 7), (PinProtocolV2(), 6)):
                pin = ClientPin(token.ctap(), protocol)
                refused(CtapError.ERR.PIN_INVALID, pin.get_pin_token, "wrong")
                assert pin.get_pin_retries()[0] == left
            refused(CtapError.ERR.PIN_AUTH_BLOCKED, pin.get_pin_token, "wrong")
            refused(CtapError.ERR.PIN_AUTH_BLOCKED, pin.get_pin_token, PIN)
            assert token.say("unplug") == token.say("plug") == "ok"
            pin = ClientPin(token.ctap())
            assert pin.get_pin_retries()[0] == 5, "counted, and kept without power"
            refused(CtapError.ERR.PIN_INVALID, pin.get_pin_token, "wrong")
            token.stop(signal.SIGKILL)
        with running("--pin", "ignored, as there is one", directory=directory) as token:
            pin = ClientPin(token.ctap())
            assert pin.get_pin_retries()[0] == 4
            assert pin.get_pin_token(PIN) and pin.get_pin_retries()[0] == 8


def test_silent_probe():
    with running() as token:
        ctap = token.ctap()
        _, ours = create(ctap)
        _, hidden = create(ctap, extensions={"credProtect": 3})
        touches = token.status()["touches"]
        assert token.say("mode never") == "ok"
        quiet = {"options": {"up": False}}
        answer = ctap.get_assertion(RP, HASH, allow(b"\x55" * len(ours), ours), **quiet)
        assert answer.credential["id"] == ours and not answer.auth_data.is_user_present()
        refused(CtapError.ERR.NO_CREDENTIALS, ctap.get_assertion, RP, HASH, allow(b"\x55" * len(ours)), **quiet)
        refused(CtapError.ERR.NO_CREDENTIALS, ctap.get_assertion, RP, HASH, allow(hidden), **quiet)
        refused(CtapError.ERR.UNSUPPORTED_OPTION, secret, ctap, ours, SALT1, PinProtocolV2(), **quiet)
        assert token.status()["touches"] == touches


def test_touch_on_demand():
    with running("--touch", "demand") as token:
        ctap = token.ctap()
        assert token.say("touch").startswith("error: "), "no touch in advance"
        with waiting_for_touch(token, create, ctap) as outcome:
            assert token.status()["waiting"] is True
            assert token.say("touch") == "ok"
            assert token.say("touch").startswith("error: "), "one touch for one wait"
        assert "result" in outcome, outcome
        status = token.status()
        assert (status["touches"], status["waiting"]) == (1, False), status
        assert token.say("mode after:1") == "ok"
        create(ctap)
        assert token.say("nonsense").startswith("error: ")


def test_idle_is_when_the_last_request_has_its_answer():
    with running("--touch", "demand") as token:
        assert token.say("wait-idle") == "ok", "nothing has been asked yet"
        with waiting_for_touch(token, create, token.ctap()), token.hand() as other:
            other.write("wait-idle\nstatus\n")
            other.flush()
            assert token.say("status") and token.say("touch") == "ok"
            assert other.readline() == "ok\n"
            assert json.loads(other.readline())["touches"] == 1, "answered before the touch"


def test_cancel_ends_the_wait():
    for mode in ("never", "demand", "after:3600000"):
        with running("--touch", mode) as token:
            ctap, stop = token.ctap(), threading.Event()
            with waiting_for_touch(token, create, ctap, event=stop) as outcome:
                stop.set()
            assert outcome["error"].code == CtapError.ERR.KEEPALIVE_CANCEL, outcome
            assert token.status()["waiting"] is False and token.status()["touches"] == 0
            assert token.say("mode auto") == "ok"
            create(ctap)


def test_a_client_that_vanishes_blocks_nobody():
    with running("--touch", "never") as token:
        gone = token.ctap()
        with waiting_for_touch(token, create, gone):
            gone.device._connection.socket.shutdown(socket.SHUT_RDWR)
        assert token.say("wait-idle") == "ok"
        half = token.device()
        assert half._do_call(0x10, b"\x04", threading.Event(), None)[0] == 0, "getInfo has its turn"
        assert token.status()["waiting"] is False and token.status()["touches"] == 0
        assert token.say("mode auto") == "ok"
        half._connection.write_packet(struct.pack(">IBH", half._channel_id, 0x90, 1024).ljust(64, b"\0"))
        half.close()
        create(token.ctap())


def test_one_client_at_a_time():
    with running("--touch", "demand") as token:
        second = token.device()
        with waiting_for_touch(token, create, token.ctap()) as outcome:
            refused(CtapError.ERR.CHANNEL_BUSY, second._do_call, 0x10, b"\x04", threading.Event(), None)
            assert token.say("touch") == "ok"
        assert "result" in outcome, outcome
        assert second.call(0x10, b"\x04")[0] == 0
        assert second.ping(bytes(range(256)) * 12) == bytes(range(256)) * 12


def test_unplug():
    with running("--touch", "demand") as token:
        with waiting_for_touch(token, create, token.ctap()) as outcome:
            assert token.say("unplug") == "ok"
        assert isinstance(outcome["error"], OSError), outcome
        assert not os.path.exists(token.path) and token.status()["plugged"] is False
        assert token.say("plug") == "ok" and token.say("mode auto") == "ok"
        _, credential = create(token.ctap())
        assert token.say("unplug") == token.say("unplug") == token.say("plug") == token.say("plug") == "ok"
        assert len(secret(token.ctap(), credential, SALT1, PinProtocolV1())) == 32


def test_state_survives():
    with tempfile.TemporaryDirectory() as directory:
        with running("--pin", PIN, directory=directory) as token:
            _, plain = create(token.ctap(), PinProtocolV2())
            _, resident = create(token.ctap(), PinProtocolV2(), options={"rk": True})
            before = [secret(token.ctap(), c, SALT1, PinProtocolV2(), True) for c in (plain, resident)]
            assert token.stop() == 0 and token.errors == ""
            assert sorted(os.listdir(directory)) == ["state"], "the sockets are gone"
        with running(directory=directory) as token:
            after = [secret(token.ctap(), c, SALT1, PinProtocolV2(), True) for c in (plain, resident)]
            assert after == before
            token.stop(signal.SIGKILL)
        with running(directory=directory) as token:
            assert token.ctap().info, "the sockets of a killed token are replaced"


def test_damaged_state_is_refused():
    with tempfile.TemporaryDirectory() as directory:
        with running(directory=directory) as token:
            token.stop()
        with open(f"{directory}/state", "r+b") as state:
            state.seek(5000)
            byte = state.read(1)
            state.seek(5000)
            state.write(bytes([byte[0] ^ 1]))
        with running(directory=directory) as token:
            assert token.ready == b"" and token.process.returncode == 1
            assert "is damaged" in token.errors and token.errors.count("\n") == 1, token.errors


def main():
    failed = 0
    for name, test in [item for item in globals().items() if item[0].startswith("test_")]:
        try:
            test()
            print(f"ok      {name}")
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
