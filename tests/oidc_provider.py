"""A small OpenID provider on a real socket. It signs in whoever comes, with the claims that a test sets, and can be
told to make each mistake that a verifier has to notice."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import threading
import time
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey


class OidcProvider:
    def __init__(self) -> None:
        self.client_id, self.secret = "ragstone", "shh"
        self.claims: dict[str, Any] = {}
        self.flaw = ""
        self.down = False
        self.asks = False
        """Whether a page comes on which somebody signs in; else everybody is sent back at once."""
        self.keys = [RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})]
        self.strangers: dict[str, Any] = {"RS256": RSAKey.generate_key(2048), "ES256": ECKey.generate_key("P-256")}
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.get(self)

            def do_POST(self) -> None:
                provider.post(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}/realm"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rotate(self) -> None:
        """The next tokens are signed with another kind of key under another name."""
        self.keys.insert(0, ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig", "alg": "ES256"}))

    def get(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        self.asked.append(parts.path)
        if self.down:
            handler.send_error(500)
        elif parts.path == "/realm/.well-known/openid-configuration":
            self.json(handler, 200, {
                "issuer": self.issuer + ("/other" if self.flaw == "discovery" else ""), "jwks_uri": f"{self.issuer}/keys",
                "authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token",
            })  # fmt: skip
        elif parts.path == "/realm/keys":
            self.json(handler, 200, KeySet(self.keys).as_dict())
        elif parts.path == "/realm/authorize":
            asked = dict(parse_qsl(parts.query))
            if self.asks and "yes" not in asked:
                self.html(handler, f"{handler.path}&yes=1")
                return
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked
            handler.send_response(302)
            back = {"code": code, "state": asked["state"], "iss": self.issuer}
            handler.send_header("Location", f"{asked['redirect_uri']}?{urlencode(back)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            handler.send_error(404)

    def html(self, handler: http.server.BaseHTTPRequestHandler, onwards: str) -> None:
        name = self.claims.get("email", "")
        body = f'<title>Sign in</title><h1>The provider</h1><a href="{escape(onwards)}">Continue as {name}</a>'.encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html; charset=utf-8")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def post(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        form = dict(parse_qsl(handler.rfile.read(int(handler.headers["Content-Length"])).decode()))
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
        good = asked is not None and asked["code_challenge"] == challenge and asked["redirect_uri"] == form["redirect_uri"]
        if not good or (form["client_id"], form.get("client_secret")) != (self.client_id, self.secret):
            self.json(handler, 400, {"error": "invalid_grant"})
            return
        self.json(handler, 200, {"token_type": "Bearer", "access_token": "x", "id_token": self.token(asked["nonce"])})

    def token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": self.client_id, "sub": "user-1", "nonce": nonce, "iat": now, "exp": now + 300, **self.claims,
        }  # fmt: skip
        wrong = {
            "issuer": {"iss": "https://evil.example"}, "audience": {"aud": "another"}, "nonce": {"nonce": "old"},
            "expired": {"exp": now - 3_600}, "early": {"nbf": now + 3_600}, "party": {"aud": [self.client_id, "b"], "azp": "b"},
        }  # fmt: skip
        claims |= wrong.get(self.flaw, {})
        if self.flaw in ("no nonce", "no exp"):
            del claims[self.flaw.removeprefix("no ")]
        key: Any = self.keys[0]
        header = {"alg": key.alg, "kid": key.kid}
        if self.flaw == "signature":
            key = self.strangers[key.alg]
        if self.flaw == "unknown key":
            key, header = self.strangers["RS256"], {"alg": "RS256", "kid": "nobody"}
        if self.flaw == "secret":
            key, header = OctKey.import_key(self.secret * 20), {"alg": "HS256", "kid": header["kid"]}
        if self.flaw == "none":
            parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in ({"alg": "none"}, claims)]
            return ".".join([*parts, ""])
        return jwt.encode(header, claims, key, algorithms=[header["alg"]])

    def json(self, handler: http.server.BaseHTTPRequestHandler, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
