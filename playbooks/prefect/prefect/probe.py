"""Measures how long Prefect's API takes to answer, and tells Prometheus on port 8000.

Every replica is asked by its own address, and nginx once more for what a client sees:
  health  the process answers
  ready   it reaches the database
  count   a query, with authentication
"""

import base64
import os
import socket
import time
import urllib.request

from prometheus_client import Gauge, Histogram, start_http_server

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SECONDS = Histogram("prefect_probe_seconds", "Time until the API answered", ["target", "request"], buckets=BUCKETS)
UP = Gauge("prefect_probe_up", "Whether the API's last answer was a good one", ["target", "request"])
REPLICAS = Gauge("prefect_probe_replicas", "API replicas that the name prefect-api resolves to")

REQUESTS = {"health": ("/api/health", None), "ready": ("/api/ready", None), "count": ("/api/flows/count", b"{}")}
AUTH = "Basic " + base64.b64encode(os.environ["PREFECT_API_AUTH_STRING"].encode()).decode()


def measure(target, address, request):
    path, body = REQUESTS[request]
    headers = {"Authorization": AUTH, "Content-Type": "application/json"}
    began = time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, body, headers), timeout=10) as answer:
            answer.read()
        UP.labels(target, request).set(1)
    except OSError as error:
        print(f"{target} {request}: {error}", flush=True)
        UP.labels(target, request).set(0)
    SECONDS.labels(target, request).observe(time.monotonic() - began)


def replicas():
    try:
        found = socket.getaddrinfo("prefect-api", 4200, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return set()
    return {each[4][0] for each in found}


def forget(target):
    for request in REQUESTS:
        SECONDS.remove(target, request)
        UP.remove(target, request)


def main():
    start_http_server(8000)
    known = set()
    while True:
        began = time.monotonic()
        now = replicas()
        REPLICAS.set(len(now))
        for gone in known - now:
            forget(gone)
        known = now
        targets = {address: f"http://{address}:4200" for address in now} | {"nginx": "http://nginx:8080"}
        for target, address in targets.items():
            for request in REQUESTS:
                measure(target, address, request)
        time.sleep(max(1, float(os.environ.get("PROBE_INTERVAL", "15")) - (time.monotonic() - began)))


main()
