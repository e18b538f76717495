"""A real S3 over HTTP for tests: moto, with a log of its requests and a way to refuse some.

    python tests/s3_server.py PORT

``GET /-/requests`` gives the requests since the last time as a JSON list of ``METHOD /path?query``,
``PUT /-/refuse?PATTERN`` refuses all that match a regular expression from now on; none if empty.
"""

import json
import re
import sys
import threading
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

_DENIED = b"<Error><Code>AccessDenied</Code><Message>refused by the test</Message></Error>"


class LoggedS3:
    """WSGI application: moto, and what tests need beside it."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._requests: list[str] = []
        self._refused = ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        url = environ["PATH_INFO"] + (f"?{query}" if query else "")
        request = f"{environ['REQUEST_METHOD']} {url}"
        if environ["PATH_INFO"] == "/-/refuse":
            self._refused = unquote(query)
            return _answer(start_response, HTTPStatus.OK, b"")
        with self._lock:
            if environ["PATH_INFO"] == "/-/requests":
                log, self._requests = self._requests, []
                return _answer(start_response, HTTPStatus.OK, json.dumps(log).encode())
            self._requests.append(request)
        if self._refused and re.search(self._refused, request):
            body = environ["wsgi.input"]
            if environ.get("wsgi.input_terminated"):
                body.read()
            else:
                body.read(int(environ.get("CONTENT_LENGTH") or 0))
            return _answer(start_response, HTTPStatus.FORBIDDEN, _DENIED)
        if request.startswith("POST") and "uploadId=" in query:
            return self._complete(environ, start_response)
        return self._moto(environ, start_response)

    def _complete(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Give the answer its name in S3; with moto's the AWS SDK takes it for an error."""
        answered: list[Any] = []
        body = b"".join(self._moto(environ, lambda *args: answered.extend(args)))
        body = body.replace(b"CompleteMultipartUploadResponse", b"CompleteMultipartUploadResult")
        status, headers, *_ = answered
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Say nothing: the log is asked for."""


def _answer(start_response: Any, status: HTTPStatus, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Length", str(len(body))), ("Content-Type", "application/xml")]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]


if __name__ == "__main__":
    make_server(
        "127.0.0.1", int(sys.argv[1]), LoggedS3(), threaded=True, request_handler=_Quiet
    ).serve_forever()
