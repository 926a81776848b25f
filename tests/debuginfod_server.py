#!/usr/bin/env python3
"""debuginfod_server.py DIRECTORY LOG: servers as they should not be, for tests of clients.

Prints its port. The first part of the path says how it answers /PART/buildid/ID/debuginfo:
  files    with DIRECTORY/ID, or 404
  wrong    with DIRECTORY/wrong, whatever was asked for
  trickle  with one byte now and then, of very many
  hang     never
Each request is a line in LOG.
"""
import http.server
import os
import sys
import threading
import time

directory, log = sys.argv[1:]
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with lock, open(log, "a") as out:
            out.write(self.path + "\n")
        how, _, build_id = self.path.strip("/").split("/")[:3]
        getattr(self, "answer_" + how)(build_id)

    def answer_files(self, build_id):
        try:
            with open(os.path.join(directory, build_id), "rb") as file:
                self.answer(file.read())
        except FileNotFoundError:
            self.send_error(404)

    def answer_wrong(self, _):
        self.answer_files("wrong")

    def answer_trickle(self, _):
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 20))
        self.end_headers()
        while True:
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def answer_hang(self, _):
        time.sleep(3600)

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # clients that go away are what is tested


server = Server(("127.0.0.1", 0), Handler)
sys.stdout.write(f"{server.server_address[1]}\n")
sys.stdout.flush()
server.serve_forever()
