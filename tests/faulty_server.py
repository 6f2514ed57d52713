"A small HTTP server on this machine that fails on demand: every way a download has to survive, told for each path."
import hashlib, math, re, socket, threading, time
from collections import namedtuple
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b'<!DOCTYPE html>\n<html><body>Please log in to go on.</body></html>'
Request = namedtuple('Request', 'method path range')

@dataclass
class Served:
    "What stands under a path, and what goes wrong with it"
    body: bytes
    times: float = math.inf     # how many requests `cut`, `status`, `refuse`, `wrong`, `slow` and `hold` strike; then all is well
    then: int = None            # a status for all requests after those
    cut: int = None             # hangs up after so many bytes of an answer
    status: int = None          # answers with this status and nothing else
    retry_after: int = None     # seconds, said along with the status
    refuse: bool = False        # hangs up without an answer
    wrong: bool = False         # an HTML page with status 200
    slow: float = 0             # seconds before each 8 KiB
    hold: int = None            # stops after so many bytes until `server.go` is set
    announce: int = 0           # added to the true length: above 0 'short', the body ends early; below 0 'under'
    changed: bytes = None       # the body from the second request on
    no_ranges: bool = False     # always the whole file
    no_version: bool = False    # says neither ETag nor Last-Modified
    moved: int = 0              # added to where an asked range begins
    chunked: bool = False       # says no length
    requests: int = 0           # counted

class _Handler(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = 'HTTP/1.1', True
    def log_message(self, *args): pass

    def handle(self):
        try: super().handle()
        except ConnectionError: pass         # the client has left
    def do_HEAD(self): self.do_GET()
    def do_GET(self):
        server, asked = self.server.faulty, self.headers.get('Range')
        with server.lock:
            server.log.append(Request(self.command, self.path, asked))
            served = server.files.get(self.path)
            if served: served.requests += 1
        if served is None: self.head(404, {'Content-Length': 0})
        else: self.fail_or_send(served, asked, served.requests <= served.times)

    def head(self, status, headers):
        self.send_response(status)
        for name,value in headers.items():
            if value is not None: self.send_header(name, str(value))
        self.end_headers()

    def hang_up(self):
        self.close_connection = True
        try: self.connection.shutdown(socket.SHUT_RDWR)
        except OSError: pass

    def fail_or_send(self, served, asked, failing):
        if failing and served.refuse: return self.hang_up()
        if failing and served.status: return self.head(served.status, {'Retry-After': served.retry_after, 'Content-Length': 0})
        if failing and served.wrong: return self.send(served, PAGE, 200, {'Content-Type': 'text/html', 'Content-Length': len(PAGE)}, False)
        if not failing and served.then: return self.head(served.then, {'Content-Length': 0})
        body = served.changed if served.changed is not None and served.requests > 1 else served.body
        version = None if served.no_version else f'"{hashlib.md5(body).hexdigest()}"'
        total, start = len(body) + served.announce, 0
        if asked and not served.no_ranges and self.headers.get('If-Range') in (None, version): start = int(re.fullmatch(r'bytes=(\d+)-', asked)[1])
        if start >= total > 0: return self.head(416, {'Content-Range': f'bytes */{total}', 'Content-Length': 0})
        start += served.moved if start else 0
        headers = {'Content-Type': 'application/octet-stream', 'ETag': version, 'Accept-Ranges': 'none' if served.no_ranges else 'bytes'}
        if start: headers['Content-Range'] = f'bytes {start}-{total-1}/{total}'
        headers |= {'Transfer-Encoding': 'chunked'} if served.chunked else {'Content-Length': total - start}
        self.send(served, body[start:], 206 if start else 200, headers, failing)

    def send(self, served, body, status, headers, failing):
        self.head(status, headers)
        if self.command == 'HEAD': return
        end = served.cut if failing and served.cut is not None else len(body)
        stops = sorted({*range(0, end, 8192), end, *([served.hold] if served.hold and served.hold < end else [])})
        for a,b in zip(stops, stops[1:]):
            if failing and a == served.hold: self.server.faulty.go.wait(60)
            if failing and served.slow: time.sleep(served.slow)
            piece = body[a:b]
            self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece) if served.chunked and piece else piece)
        if end < len(body) or served.announce: self.hang_up()
        elif served.chunked: self.wfile.write(b'0\r\n\r\n')

class FaultyServer:
    "Serves on a free port of this machine while the `with` block lasts"
    def __init__(self):
        self.files, self.log, self.lock, self.go = {}, [], threading.Lock(), threading.Event()
        self.http = ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
        self.http.faulty, self.http.daemon_threads = self, True
        self.address = f'http://127.0.0.1:{self.http.server_port}'
    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, kwargs=dict(poll_interval=.05), daemon=True).start()
        return self
    def __exit__(self, *args): self.go.set(); self.http.shutdown(); self.http.socket.close()

    def serve(self, path, body, **faults):
        "Put bytes under a path, with its faults; returns the address"
        self.files[path] = Served(body, **faults)
        return self.address + path
    def ranges(self, path):
        "What each GET of a path asked for: None for the whole file"
        return [r.range for r in self.log if r.method == 'GET' and r.path == path]

def nobody():
    "An address on this machine where nobody listens"
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return f'http://127.0.0.1:{s.getsockname()[1]}/a.bin'
