"""Makes the attestations anew."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

HERE = Path(__file__).parent
# Yubico's, below 1.3.6.1.4.1.41482.3: firmware, serial number, policies (PIN once, touch always), form factor.
STATEMENTS = {3: bytes([5, 7, 1]), 7: bytes.fromhex("020400bc614e"), 8: bytes([2, 2]), 9: bytes([1])}
BEGIN, END = datetime.datetime(2016, 3, 14), datetime.datetime(2052, 4, 17)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, issuer, key, signer, hash_, authority=None, statements=None):
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(name(issuer), name(subject), key.public_key(), serial, BEGIN, END)
    if authority is not None:
        constraints = x509.BasicConstraints(authority, 0 if authority else None)
        builder = builder.add_extension(constraints, critical=True)
    for number, value in (statements or {}).items():
        oid = ObjectIdentifier(f"1.3.6.1.4.1.41482.3.{number}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(signer, hash_)


def save(file, made):
    form = serialization.Encoding.PEM if file.endswith(".pem") else serialization.Encoding.DER
    (HERE / file).write_bytes(made.public_bytes(form))


root, stranger = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
for file, key, authority in (
    ("root.pem", root, True),
    ("stranger.pem", stranger, True),
    ("no-authority.pem", root, False),
):
    save(file, certificate("root", "root", key, key, hashes.SHA384(), authority))
for kind, slot, attester, key in (
    ("rsa", "9d", rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())),
    ("p384", "82", ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)),
):
    save(f"{kind}-attester.der", certificate("attester", "root", attester, root, hashes.SHA384(), True))
    subject = f"YubiKey PIV Attestation {slot}"
    made = certificate(subject, "attester", key, attester, hashes.SHA256(), statements=STATEMENTS)
    save(f"{kind}-attested.der", made)
