"""A server for a client's test: `verge serve` with the built-in model on a free port.

    with server.running() as url:
        client = ollama.Client(host=url)

VERGE names the program (build/app/verge by default); SERVER_URL a server that runs already.
"""
import contextlib
import os
import pathlib
import re
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).parent.parent.parent


@contextlib.contextmanager
def running(*args):
    if os.environ.get("SERVER_URL"):
        yield os.environ["SERVER_URL"]
        return
    verge = os.environ.get("VERGE", str(ROOT / "build/app/verge"))
    command = [verge, "serve", "--port", "0", *args]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            url, loaded = None, False
            while not (url and loaded):
                line = process.stderr.readline()
                if not line:
                    raise SystemExit(f"{' '.join(command)}: ended with {process.wait()}")
                found = re.search(r"listening on (http://[^\s\"]+)", line)
                url = found.group(1) if found else url
                loaded = loaded or "loaded" in line
            yield url
        finally:
            process.terminate()
            process.stderr.close()
            if process.wait(30) != 0:
                raise SystemExit(f"the server ended with {process.returncode}")


def get(url):
    with urllib.request.urlopen(url, timeout=30) as reply:
        return reply.read().decode()
