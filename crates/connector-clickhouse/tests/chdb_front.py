"""ClickHouse's own engine (chdb) behind a small HTTP front, for the tests of the sink.

The engine is real: parsing, types, MergeTree, deduplication by token. The front stands in for the server's HTTP interface: `query` and settings in the
URL, data in the body, the error's code in a header. Of the settings those are passed on that the engine has.

    python chdb_front.py FOLDER
prints the port. POST /__drop?n=3 makes it carry the next three inserts into `d` out and close the connections without an answer.
"""

import gzip
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import session

engine = session.Session(sys.argv[1])
lock = threading.Lock()
drops = 0


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global drops
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the client is gone: as the server does, nothing is carried out
            self.close_connection = True
            return
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        where = urlsplit(self.path)
        words = dict(parse_qsl(where.query))
        if where.path == "/__drop":
            drops = int(words["n"])
            return self.answer(200, b"")
        sql = words.pop("query", "")
        settings = ", ".join(f"{k} = '{v}'" for k, v in words.items() if k not in ("wait_end_of_query", "database"))
        if sql.startswith("INSERT"):
            settings = f" SETTINGS {settings}" if settings else ""
            sql = sql.replace(" FORMAT ", f"{settings} FORMAT ", 1) + "\n" + body.decode()
        else:
            sql = body.decode()
        with lock:
            try:
                answer, error = engine.query(sql, "TabSeparated").bytes(), None
            except Exception as e:
                answer, error = b"", str(e)
            if drops > 0 and sql.startswith("INSERT INTO `d`.") and "wharf_positions" not in sql:
                drops -= 1
                self.close_connection = True
                return
        if error is None:
            return self.answer(200, answer or b"")
        code = re.search(r"Code: (\d+)", error)
        self.answer(500, error.encode(), {"X-ClickHouse-Exception-Code": code.group(1)} if code else {})

    def answer(self, status, body, headers={}):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Quiet(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that went away is what the tests are about."""


server = Quiet(("127.0.0.1", 0), Front)
print(server.server_port, flush=True)
server.serve_forever()
