"""A Flask application that tells what it takes for its own URL, with the middleware that Flask names for proxies."""

import contextlib
import threading
from collections.abc import Iterator

import flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server
from werkzeug.wrappers import Response


def make_app() -> flask.Flask:
    """Return the application, which believes one proxy in front of it."""
    app = flask.Flask(__name__)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_port=1)  # type: ignore[method-assign]  # as documented

    @app.get("/where")
    def where() -> flask.Response:
        request = flask.request
        told = {
            "url": request.url,
            "link": flask.url_for("where", _external=True),
            "client": request.remote_addr,
            "secure": request.is_secure,
        }
        return flask.jsonify(told)

    @app.get("/old")
    def old() -> Response:
        return flask.redirect(flask.url_for("where", _external=True))

    return app


@contextlib.contextmanager
def flask_server() -> Iterator[int]:
    """Serve the application with werkzeug's server and yield its port on 127.0.0.1."""
    server = make_server("127.0.0.1", 0, make_app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
