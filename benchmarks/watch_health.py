"""Ask a server for its health again and again, in a process of its own.

    python benchmarks/watch_health.py http://127.0.0.1:8000

It asks every 50 ms until its standard input is closed, and then prints the seconds that each
answer took, as JSON. `bench_serve.py` starts it, so that the clients of its crowd, threads of
one Python process, do not hold up the clock.
"""

import json
import sys
import threading
import time

import requests


def main() -> None:
    """Watch the server whose address is the first argument."""
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    seconds = []
    with requests.Session() as session:
        while not ended.wait(0.05):
            start = time.perf_counter()
            session.get(f"{sys.argv[1]}/api/health", timeout=60).raise_for_status()
            seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
