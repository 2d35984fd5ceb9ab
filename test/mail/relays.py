"""SMTP relays that are not ours (aiosmtpd): TLS, AUTH, and a line of JSON for whatever happens. Arguments: configuration, log.

The configuration is a list of {name, port, wrapper, certificate, key, user, password}; user null: no AUTH offered or needed.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

log = open(sys.argv[2], "a", buffering=1)


def tell(**event):
    log.write(json.dumps(event) + "\n")


class Handler:
    def __init__(self, relay):
        self.relay = relay

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        # Before MAIL, so that a client that goes on without TLS is seen.
        tell(relay=self.relay["name"], event="ehlo", tls=encrypted(self.relay, session))
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        tell(relay=self.relay["name"], event="mail", sender=address, tls=encrypted(self.relay, session))
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        tell(
            relay=self.relay["name"],
            event="message",
            tls=encrypted(self.relay, session),
            user=session.auth_data,
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            content=envelope.content.decode("latin-1"),
        )
        return "250 OK"


def encrypted(relay, session):
    return relay["wrapper"] or session.ssl is not None


async def serve(relay):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(relay["certificate"], relay["key"])
    needs = relay["user"] is not None

    def authenticate(server, session, envelope, mechanism, data):
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        right = given == (relay["user"], relay["password"])
        tell(relay=relay["name"], event="auth", mechanism=mechanism, right=right, tls=encrypted(relay, session))
        return AuthResult(success=right, handled=False, auth_data=given[0] if right else None)

    def make():
        return SMTP(
            Handler(relay),
            hostname=relay["name"],
            require_starttls=not relay["wrapper"],
            tls_context=None if relay["wrapper"] else context,
            auth_required=needs,
            auth_require_tls=not relay["wrapper"],
            authenticator=authenticate,
            auth_exclude_mechanism=[] if needs else ["PLAIN", "LOGIN"],
        )

    loop = asyncio.get_running_loop()
    return await loop.create_server(
        make, "127.0.0.1", relay["port"], ssl=context if relay["wrapper"] else None
    )


async def main():
    with open(sys.argv[1]) as file:
        servers = [await serve(relay) for relay in json.load(file)]
    tell(event="ready")
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
