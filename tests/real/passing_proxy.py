"""A proxy between millraced and a real peer, which keeps what both said: the peer's own counts are in its answers."""

import collections
import http.client
import http.server
import json
import threading

Passed = collections.namedtuple("Passed", "path question status answer")  # the answer as bytes


class PassingProxy(http.server.ThreadingHTTPServer):
    """Passes requests on, without the members `leave_out`. An answer is passed on when it is whole."""

    def __init__(self, peer_port, leave_out=()):
        self.passed = passed = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                question = json.loads(body) if body else {}
                for name in leave_out:
                    question.pop(name, None)
                headers = {name: self.headers[name] for name in ("Content-Type", "Authorization") if name in self.headers}
                connection = http.client.HTTPConnection("127.0.0.1", peer_port, timeout=60)
                connection.request(self.command, self.path, json.dumps(question) if body else None, headers)
                response = connection.getresponse()
                answer = response.read()
                connection.close()
                passed.append(Passed(self.path, question, response.status, answer))
                self.send_response(response.status)
                self.send_header("Content-Type", response.headers.get("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = pass_on

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def questions(self, path):
        """The questions that were asked at this path."""
        return [passed.question for passed in self.passed if passed.path == path]
