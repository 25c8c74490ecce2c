"""A web server for a test, whose page has a digest, and a client to be run elsewhere."""
import hashlib
import http.server
import random
import threading

PAGE = random.Random(4).randbytes(2 << 20)
DIGEST = hashlib.sha256(PAGE).hexdigest()

# Prints the digest of the page, or the name of what went wrong.
FETCH = """
import hashlib, sys, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=%d) as page:
        print(hashlib.sha256(page.read()).hexdigest())
except OSError as e:
    print(getattr(e, "reason", e))
"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def server(address, port=0):
    return Server((address, port), Handler)


class Web:
    """Serves PAGE at an address of this process until it is closed."""

    def __init__(self, address="127.0.0.1"):
        self.server = server(address)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def fetch(node, url, seconds=20):
    """What FETCH says in a node."""
    return node.out("/usr/bin/python3", "-c", FETCH % seconds, url, timeout=2 * seconds).strip()
