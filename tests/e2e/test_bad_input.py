"""Bad input and bad days end in one clear sentence that names the thing: exit 2 for usage, 1
for the world's faults, and the right status over HTTP."""

import json
import os
import shutil
import socket
import subprocess

import harness

# arguments, what the message names
USAGE = [
    (["frobnicate"], "frobnicate"),
    (["serve", "--frobnicate"], "frobnicate"),
    (["serve", "--rate", "0"], "rate"),
    (["serve", "--rate", "fast"], "rate"),
    (["serve", "--rate", "-1"], "rate"),
    (["serve", "--rate", "99x"], "rate"),
    (["serve", "--rate", "99999999999999999999"], "rate"),
    (["serve", "--rate"], "rate"),
    (["serve", "surplus"], "surplus"),
    (["record", "-d", "soon"], "soon"),
    (["record", "-d", "-5"], "-5"),
    (["record", "-p", "one"], "one"),
    (["record", "-p", "0"], "0"),
    (["record", "--type", "disk"], "disk"),
    (["record", "--type", "wall", "--waiting", "off"], "--waiting off"),
    (["record", "--waiting", "maybe"], "maybe"),
    (["serve", "--wait-rate", "0"], "0"),
    (["record", "-o", "/tmp/file.unknown", "-d", "1"], "file.unknown"),
    (["query"], "query"),
    (["query", "frobnicate"], "frobnicate"),
    (["query", "top", "--from", "yesteryear"], "yesteryear"),
    (["query", "top", "--from", "now", "--until", "now-5m"], "from"),
    (["query", "top", "--type", "heat"], "heat"),
    (["query", "top", "{comm="], "column 7"),
    (["doctor", "--frobnicate"], "frobnicate"),
]

# path with parameters, status, what the message names
REQUESTS = [
    ("/api/v1/nothing", 404, ""),
    ("/nothing-here.html", 404, ""),
    ("/api/v1/top?query={", 400, "query"),
    ("/api/v1/top?query={comm}", 400, "query"),
    ("/api/v1/top?query={comm=%22a", 400, "query"),
    ("/api/v1/top?query={comm=~%22(%22}", 400, "query"),
    ("/api/v1/top?type=heat", 400, "heat"),
    ("/api/v1/top?from=yesteryear", 400, "from"),
    ("/api/v1/top?until=now-5x", 400, "until"),
    ("/api/v1/top?from=now&until=now-5m", 400, "from"),
    ("/api/v1/top?from=1e400", 400, "from"),
    ("/api/v1/top?limit=many", 400, "limit"),
    ("/api/v1/top?limit=-1", 400, "limit"),
    ("/api/v1/flame?format=png", 400, "format"),
    ("/api/v1/series?step=0s", 400, "step"),
    ("/api/v1/series?step=1s&from=0", 400, "points"),
    ("/api/v1/label-values", 400, "label"),
    ("/api/v1/export?format=docx", 400, "format"),
    ("/api/v1/top?query=%ff%fe", 400, ""),
    ("/api/v1/top?query=%zz", 400, ""),
    ("/debug/pprof/profile?seconds=never", 400, "seconds"),
    ("/../../etc/passwd", 404, ""),
    ("/%2e%2e/%2e%2e/etc/passwd", 404, ""),
]


class CommandLine(harness.Case):
    def assert_said(self, done, code, text):
        where = f"{done.args[1:]}: exit {done.returncode}\n{done.stderr}{done.stdout}"
        self.assertEqual(done.returncode, code, where)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.assertTrue(lines, "says nothing: " + where)
        self.assertLessEqual(len(lines), 2, "one sentence, and at most a hint: " + where)
        self.assertIn(text.lower(), lines[0].lower(), where)
        self.assertEqual(done.stdout, "", "faults go to stderr: " + where)

    def test_usage(self):
        for args, text in USAGE:
            with self.subTest(args=args):
                done = harness.run(*args, env={**os.environ, "HOME": self.folder})
                self.assert_said(done, 2, text)
                self.assertIn("--help", done.stderr)

    def test_help_and_version_everywhere(self):
        for command in ([], ["serve"], ["record"], ["query"], ["doctor"]):
            with self.subTest(command=command):
                done = harness.run(*command, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("hearth " + " ".join(command), done.stdout + " ")
                for line in done.stdout.splitlines():
                    self.assertLessEqual(len(line), 100, line)
        done = harness.run("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^hearth \d+\.\d+")

    def test_port_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            done = harness.run("serve", "--listen", f"127.0.0.1:{port}", "--data", self.data)
        self.assert_said(done, 1, port)

    def test_no_address(self):
        for listen in ("nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:http", "[::1:1"):
            with self.subTest(listen=listen):
                done = harness.run("serve", "--listen", listen, "--data", self.data)
                self.assertIn(done.returncode, (1, 2), done.stderr)
                self.assert_said(done, done.returncode, listen)

    def test_beyond_loopback_needs_to_be_asked_for(self):
        done = harness.run("serve", "--listen", "0.0.0.0:0", "--data", self.data)
        self.assertIn(done.returncode, (1, 2), done.stderr)
        self.assert_said(done, done.returncode, "--insecure")

    def test_data_directory_is_a_file(self):
        with open(self.data, "w", encoding="utf-8") as file:
            file.write("precious")
        done = harness.run("serve", "--listen", "127.0.0.1:0", "--data", self.data)
        self.assert_said(done, 1, self.data)
        with open(self.data, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")

    def test_data_directory_is_someone_elses(self):
        os.mkdir(self.data)
        with open(os.path.join(self.data, "thesis.txt"), "w", encoding="utf-8") as file:
            file.write("precious")
        done = harness.run("serve", "--listen", "127.0.0.1:0", "--data", self.data)
        self.assert_said(done, 1, self.data)
        self.assertEqual(os.listdir(self.data), ["thesis.txt"])

    def test_data_directory_cannot_be_made(self):
        done = harness.run("serve", "--listen", "127.0.0.1:0", "--data", "/proc/hearth")
        self.assert_said(done, 1, "/proc/hearth")

    def test_data_directory_is_in_use(self):
        server = self.serve()
        done = harness.run("serve", "--listen", "127.0.0.1:0", "--data", self.data)
        self.assert_said(done, 1, self.data)
        self.assertIn(str(server.pid), done.stderr, "names the other process")

    def test_query_without_a_store(self):
        done = harness.run("query", "top", "--data", self.path("nowhere"))
        self.assert_said(done, 1, self.path("nowhere"))
        self.assertFalse(os.path.exists(self.path("nowhere")), "asking makes nothing")

    def test_record_what_is_not_there(self):
        done = harness.run("record", "-p", 4194304, "-d", 1, "-o", self.path("x.folded"))
        self.assert_said(done, 1, "4194304")
        done = harness.run("record", "-o", self.path("x.folded"), "--", self.path("no-command"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-command", done.stderr)
        done = harness.run("record", "-d", 1, "-o", self.path("no", "folder.folded"))
        self.assert_said(done, 1, self.path("no", "folder.folded"))

    def test_not_root(self):
        harness.need_tool("setpriv")
        binary = self.path("hearth")
        shutil.copy(harness.BIN, binary)
        os.chmod(self.folder, 0o755)
        own = self.path("own")
        os.mkdir(own)
        os.chown(own, 65534, 65534)
        for args in (["serve", "--listen", "127.0.0.1:0", "--data", own],
                     ["record", "-d", "1", "-o", os.path.join(own, "x.folded")]):
            with self.subTest(args=args):
                done = subprocess.run(
                    ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                     "--inh-caps=-all", "--bounding-set=-all", binary, *args],
                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    timeout=harness.PATIENCE, check=False)
                self.assert_said(done, 1, "root")
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534",
                               "--clear-groups", binary, "doctor"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=harness.PATIENCE,
                              check=False)
        self.assertIn(done.returncode, (0, 1), "doctor explains to anybody")
        self.assertTrue(done.stdout)


class Http(harness.Case):
    def test_malformed_requests(self):
        server = self.serve()
        for path, status, text in REQUESTS:
            with self.subTest(path=path):
                code, headers, body = server.get(path)
                self.assertEqual(code, status, body)
                if path.startswith("/api/"):
                    error = json.loads(body)["error"]
                    self.assertIn(text, error["message"].lower())
                    self.assertNotIn("\n", error["message"])
                    self.assertTrue(error["code"])
                self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(server.get("/healthz")[0], 200)

    def test_methods(self):
        server = self.serve()
        for method in ("POST", "PUT", "DELETE"):
            self.assertEqual(server.get("/api/v1/top", method=method)[0], 405, method)
        code, _, body = server.get("/api/v1/status", method="HEAD")
        self.assertEqual((code, body), (200, b""))

    def test_bytes_that_are_not_http(self):
        server = self.serve()
        host, port = server.url.removeprefix("http://").rsplit(":", 1)
        for data in (b"\0" * 4096, b"GET\r\n\r\n", b"GET " + b"/" * 70000 + b" HTTP/1.1\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20000 + b"\r\n", b"\x16\x03\x01\x02"):
            with socket.create_connection((host, int(port)), timeout=harness.PATIENCE) as client:
                try:
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
                except ConnectionError:
                    pass  # hanging up is an answer, too
        self.assertEqual(server.get("/healthz")[0], 200)
        self.assertIsNone(server.process.poll())

    def test_another_sites_name(self):
        """A page on the Internet must not read the server through a name of its own."""
        server = self.serve()
        self.assertEqual(server.get("/api/v1/status", headers={"Host": "evil.example"})[0], 403)

    def test_headers_that_protect(self):
        server = self.serve()
        code, headers, _ = server.get("/")
        self.assertEqual(code, 200)
        policy = headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe-eval", policy)
        self.assertTrue(headers["ETag"])
        self.assertEqual(server.get("/", headers={"If-None-Match": headers["ETag"]})[0], 304)


if __name__ == "__main__":
    harness.main()
