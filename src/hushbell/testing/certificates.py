"""A certificate authority for one test run."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

HOSTS = (
    "localhost",
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "fcm.googleapis.com",
    "oauth2.googleapis.com",
    "oauth-login.cloud.huawei.com",
    "push-api.cloud.huawei.com",
    "api.pushy.me",
    "sns.eu-west-1.amazonaws.com",
    "sns.us-east-1.amazonaws.com",
    "push.example.net",
    "*.push.example.net",
)


def new_key() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Return a new P-256 key, and its PEM as in Apple's .p8 files."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_secret(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can read, and return its path."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


class Authority:
    """Issues certificates for one test run."""

    def __init__(self, folder: Path) -> None:
        """Make the authority's own certificate and write it into the folder."""
        self._folder = folder
        self._key, _ = new_key()
        self._certificate = _certificate("hushbell test authority", self._key, None, self._key)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def server_context(self, *, alpn: tuple[str, ...] = ("h2",), ask: bool = False) -> ssl.SSLContext:
        """Return the TLS context of a server; ``ask`` lets clients show certificates of this authority."""
        path = self._folder / "server.pem"
        self._write(path, "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(path)
        context.set_alpn_protocols(list(alpn))
        if ask:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client_files(self, stem: str, name: str, password: bytes = b"") -> tuple[Path, Path]:
        """Write a client's certificate with its key, and return the .pem and the .p12 file."""
        pem, p12 = self._folder / f"{stem}.pem", self._folder / f"{stem}.p12"
        key, certificate = self._write(pem, name)
        lock = BestAvailableEncryption(password) if password else NoEncryption()
        write_secret(p12, pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, None, lock))
        return pem, p12

    def _write(self, path: Path, name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key, key_pem = new_key()
        certificate = _certificate(name, key, self._certificate, self._key)
        write_secret(path, certificate.public_bytes(Encoding.PEM) + key_pem)
        return key, certificate


def server_context(directory: Path, *, alpn: tuple[str, ...] = ("h2",)) -> tuple[ssl.SSLContext, Path]:
    """Return a TLS context for a mock server, and the file with the authority to trust."""
    authority = Authority(directory)
    return authority.server_context(alpn=alpn), authority.ca_file


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
        .add_extension(_usage(is_authority=issuer is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, SHA256())


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    """Return what the key is for. Python from 3.13 on trusts no authority that does not say so."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
