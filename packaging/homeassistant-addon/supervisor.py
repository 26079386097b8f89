"""A Home Assistant Supervisor for the tests: it knows one service, as the real one answers for it."""
import http.server
import json
import threading

TOKEN = "a token"


class Supervisor:
    """Listens on 127.0.0.1:port; `mqtt` is the service's data, None where no add-on provides it."""

    def __init__(self, mqtt):
        self.mqtt = mqtt
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                ok = outer.mqtt and self.path == "/services/mqtt" and self.headers["Authorization"] == f"Bearer {TOKEN}"
                body = json.dumps({"result": "ok", "data": outer.mqtt} if ok else {"result": "error", "message": "Service not enabled"})
                self.send_response(200 if ok else 400)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()


def service(host, port, username, password, ssl=False):
    return {"addon": "core_mosquitto", "host": host, "port": port, "ssl": ssl, "protocol": "3.1.1", "username": username, "password": password}
