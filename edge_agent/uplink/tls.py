"""TLS towards a platform: the context of a connection from its credentials, and what went wrong in plain words."""

import ssl

from typing_extensions import override

from edge_agent.errors import RetryUplink
from edge_agent.uplink.credentials import Credentials

# What the library says when the other side, or we, refuse a certificate -> what it means and what to do.
WORDS: tuple[tuple[str, str], ...] = (
    (
        "certificate revoked",
        "证书已被吊销,请换发 / a certificate has been revoked: have a new one issued",
    ),
    (
        "alert certificate expired",
        "平台认为本机证书已过期,请换发 / the platform says that our certificate has expired: have a new one issued",
    ),
    (
        "certificate has expired",
        "平台的证书已过期,或本机时钟不对 / the platform's certificate has expired, or our clock is wrong",
    ),
    (
        "certificate is not yet valid",
        "平台的证书尚未生效,本机时钟可能不对 / the platform's certificate is not valid yet; our clock may be wrong",
    ),
    (
        "alert unknown ca",
        "平台不认本机证书的签发机构 / the platform does not know the authority of our certificate",
    ),
    (
        "certificate required",
        "平台要求客户端证书,缺少凭据文件 .crt 和 .key / the platform wants a client certificate (.crt, .key)",
    ),
    (
        "hostname mismatch",
        "平台证书上的名字与地址不符 / the platform's certificate carries another name than the address",
    ),
    (
        "certificate verify failed",
        "平台的证书不可信,缺少其签发机构(凭据文件 .ca) / the platform's authority is not known here (.ca)",
    ),
)


class _TidySocket(ssl.SSLSocket):
    """Closes itself when nobody can be agreed with: the MQTT library forgets such a socket, open."""

    @override
    def do_handshake(self, block: bool = False) -> None:
        """Agrees with the other side."""
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise


def client_context(credentials: Credentials | None) -> ssl.SSLContext:
    """The context of one connection: the platform is always checked, we name ourselves where there is a certificate.

    Raises:
        RetryUplink: a file of the credentials is missing or makes no sense; mended, the next attempt works.
    """
    authorities = None if credentials is None else credentials.text(".ca")
    try:
        context = ssl.create_default_context(cadata=authorities)
        context.sslsocket_class = _TidySocket
        if credentials is None:
            return context
        revoked = credentials.path(".crl")
        if revoked is not None:
            context.load_verify_locations(cafile=revoked)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
        certificate, key = credentials.path(".crt"), credentials.path(".key")
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        name = "-" if credentials is None else credentials.name
        raise RetryUplink(
            f"凭据 {name} 的证书用不了 / the certificates of credential {name} do not work: {error}"
        ) from error
    return context


def worded(error: BaseException) -> str:
    """An error of a connection in words; one of a certificate with what to do."""
    said = f"{error} {error.__cause__ or ''} {error.__context__ or ''}".lower().replace("_", " ")
    for mark, words in WORDS:
        if mark in said:
            return f"{words} ({error})"
    return str(error)
