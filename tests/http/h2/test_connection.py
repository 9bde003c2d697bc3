import asyncio
import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hushbell.http.h2.connection import client_context


async def test_an_authority_that_an_operator_made_by_hand_is_trusted_on_every_python(tmp_path: Path) -> None:
    authority, server = _by_hand(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]

    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=client_context(str(authority), ""), server_hostname="push.example.net"
    )

    assert await reader.read() == b""
    writer.close()
    listening.close()


def _by_hand(folder: Path) -> tuple[Path, Path]:
    """Return an authority with no extension but the one that makes it an authority, and a server's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "by hand")])
    authority, server = folder / "ca.pem", folder / "server.pem"
    for path, subject, extension in (
        (authority, name, x509.BasicConstraints(ca=True, path_length=None)),
        (server, x509.Name([]), x509.SubjectAlternativeName([x509.DNSName("push.example.net")])),
    ):
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(key, SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return authority, server
