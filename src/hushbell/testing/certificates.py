"""A certificate authority for one test run."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOSTS = (
    "localhost",
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
)


def new_key() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Return a new P-256 key, and its PEM as in Apple's .p8 files."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def server_context(directory: Path, *, alpn: tuple[str, ...] = ("h2",)) -> tuple[ssl.SSLContext, Path]:
    """Return a TLS context for a stand-in server, and the file with the authority to trust."""
    authority_key, _ = new_key()
    authority = _certificate("hushbell test authority", authority_key, None, authority_key)
    key, key_pem = new_key()
    certificate = _certificate("localhost", key, authority, authority_key)
    ca_file = directory / "ca.pem"
    ca_file.write_bytes(authority.public_bytes(Encoding.PEM))
    server_file = directory / "server.pem"
    server_file.write_bytes(certificate.public_bytes(Encoding.PEM) + key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(server_file)
    context.set_alpn_protocols(list(alpn))
    return context, ca_file


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in HOSTS]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, SHA256())
