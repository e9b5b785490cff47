"""Proves that this stack works, one line a proof, from where a client stands: through nginx
where there is one.

    sudo docker compose --profile selftest run --rm -T selftest

Exit code 0: everything is proven. What it makes in Prefect it removes again.
"""

import asyncio
import base64
import gzip
import json
import os
import pathlib
import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from datetime import datetime, timezone

import websockets

AUTH = os.environ["PREFECT_API_AUTH_STRING"]
SWITCHES = os.environ.get("SWITCHES", "").split(",")
# Where clients go in, and the name that all replicas have.
SERVER = os.environ.get("SERVER", "http://nginx:4200")
REPLICAS = urllib.parse.urlsplit(SERVER).hostname if "SERVER" in os.environ else "prefect-api"
NAME = f"selftest-{uuid.uuid4().hex[:12]}"
# The certificate's name is not nginx's name in here.
ANY_CERTIFICATE = ssl._create_unverified_context()


class Failed(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Failed(what)


def ask(method, url, body=None, auth=AUTH):
    """The status and the decoded answer."""
    headers = {"Content-Type": "application/json"}
    if auth:
        headers["Authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30, context=ANY_CERTIFICATE) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, content.decode(errors="replace")


def eventually(seconds, attempt):
    """Tries again until it does not fail any more, or the time is over."""
    end = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except (Failed, OSError):
            if time.monotonic() > end:
                raise
        time.sleep(2)


def find_api():
    base = os.environ.get("PREFECT_BASE_PATH", "")
    address = f"{SERVER}{base}/api"
    status, _ = ask("GET", f"{address}/health", auth=None)
    # nginx says 400 to plain HTTP on a port that speaks TLS.
    return address.replace("http", "https", 1) if status == 400 else address


API = ""


def api(method, path, body=None, wanted=(200, 201, 204)):
    status, answer = ask(method, f"{API}/{path}", body)
    require(status in wanted, f"{method} {path} answered {status}: {str(answer)[:300]}")
    return answer


def health():
    for path in ("health", "ready"):
        status, answer = ask("GET", f"{API}/{path}", auth=None)
        require(status == 200, f"/api/{path} answered {status}: {str(answer)[:300]}")
    return f"health and ready answer at {API}"


def page():
    """Each replica has files of the page of its own."""
    base = os.environ.get("PREFECT_BASE_PATH", "")
    found = {each[4][0] for each in socket.getaddrinfo(REPLICAS, 4200, type=socket.SOCK_STREAM)}
    for address in (API.removesuffix("/api"), *(f"http://{each}:4200{base}" for each in found)):
        status, answer = ask("GET", f"{address}/", auth=None)
        require(status == 200 and "<title>Prefect" in str(answer), f"{address}/ answered {status}: {str(answer)[:300]}")
    at = urllib.parse.urlsplit(API).hostname
    return f"the page is there, at {at}" + ("" if at == REPLICAS else f" and at each replica ({len(found)})")


def closed():
    for auth, whose in ((None, "no password"), ("prefect:wrong", "a wrong password")):
        status, _ = ask("POST", f"{API}/flows/count", {}, auth)
        require(status == 401, f"with {whose} the API answered {status} instead of 401")
    if "SERVER" in os.environ:
        return "without the password the API answers 401"
    # nginx sees to it: Prefect itself shows them to anybody.
    parts = urllib.parse.urlsplit(API)
    for path in ("/docs", "/redoc", "/openapi.json"):
        for auth, wanted in ((None, 401), (AUTH, 200)):
            status, _ = ask("GET", f"{parts.scheme}://{parts.netloc}{path}", auth=auth)
            require(status == wanted, f"{path} answered {status} instead of {wanted}")
    return "without the password the API answers 401, and so does its description"


def flow_run():
    pool = flow = run = None
    try:
        pool = api("POST", "work_pools/", {"name": NAME, "type": "process"})
        require(api("GET", f"work_pools/{NAME}")["id"] == pool["id"], "the work pool reads back differently")
        flow = api("POST", "flows/", {"name": NAME})
        run = api("POST", "flow_runs/", {"flow_id": flow["id"], "name": NAME, "state": {"type": "PENDING"}})
        for state in ("RUNNING", "COMPLETED"):
            answer = api("POST", f"flow_runs/{run['id']}/set_state", {"state": {"type": state}})
            require(answer["status"] == "ACCEPT", f"the state {state} was not accepted: {answer}")
        found = api("GET", f"flow_runs/{run['id']}")["state_type"]
        require(found == "COMPLETED", f"the flow run reads back as {found}")
        states = [each["type"] for each in api("GET", f"flow_run_states/?flow_run_id={run['id']}")]
        require(len(states) == 3, f"the flow run has the states {states}")
    finally:
        if run:
            api("DELETE", f"flow_runs/{run['id']}")
        if flow:
            api("DELETE", f"flows/{flow['id']}")
        if pool:
            api("DELETE", f"work_pools/{NAME}")
    api("GET", f"flow_runs/{run['id']}", wanted=(404,))
    api("GET", f"work_pools/{NAME}", wanted=(404,))
    return "a work pool and a flow run were made, run through their states, read back and deleted"


EVENT = str(uuid.uuid4())


async def send_event(token):
    secure = {"ssl": ANY_CERTIFICATE} if API.startswith("https") else {}
    address = API.replace("http", "ws", 1) + "/events/in"
    async with websockets.connect(address, subprotocols=["prefect"], open_timeout=15, **secure) as socket:
        await socket.send(json.dumps({"type": "auth", "token": token}))
        answer = json.loads(await asyncio.wait_for(socket.recv(), 15))
        require(answer.get("type") == "auth_success", f"the websocket answered {answer}")
        event = {
            "id": EVENT,
            "occurred": datetime.now(timezone.utc).isoformat(),
            "event": "provision.selftest",
            "resource": {"prefect.resource.id": f"provision.{NAME}"},
        }
        await socket.send(json.dumps(event))


def websocket():
    asyncio.run(asyncio.wait_for(send_event(AUTH), 40))
    try:
        asyncio.run(asyncio.wait_for(send_event("prefect:wrong"), 40))
    except websockets.ConnectionClosed:
        return "a websocket on /api/events/in took an event, and refuses a wrong password"
    raise Failed("the websocket takes a wrong password")


def background():
    """The event goes through Redis and the background process into the database."""
    wanted = {"filter": {"id": {"id": [EVENT]}, "occurred": {"since": "2020-01-01T00:00:00Z"}}}

    def look():
        found = api("POST", "events/filter", wanted)["events"]
        require(any(each["id"] == EVENT for each in found), "the event does not arrive in the database")

    began = time.monotonic()
    eventually(60, look)
    return f"the background put that event into the database within {time.monotonic() - began:.0f} s"


def targets():
    replicas = int(os.environ.get("REPLICAS", "3"))

    def look():
        status, answer = ask("GET", "http://prometheus:9090/api/v1/targets?state=active", auth=None)
        require(status == 200, f"Prometheus answered {status}")
        found = answer["data"]["activeTargets"]
        down = [f"{each['labels']['job']} {each['scrapeUrl']}: {each['lastError'] or 'not scraped yet'}"
                for each in found if each["health"] != "up"]
        require(not down, "Prometheus does not reach " + "; ".join(down))
        apis = sum(each["labels"]["job"] == "prefect-api" for each in found)
        require(apis == replicas, f"Prometheus sees {apis} API replicas instead of {replicas}")
        # An exporter may answer without having reached what it tells of.
        for metric in ("pg_up", "redis_up", "nginx_up", "prefect_flow_runs_total", 'prefect_probe_up{target="nginx"}'):
            query = urllib.parse.urlencode({"query": f"min({metric})"})
            _, answer = ask("GET", f"http://prometheus:9090/api/v1/query?{query}", auth=None)
            result = answer["data"]["result"]
            require(result, f"Prometheus has no {metric} yet")
            require(metric == "prefect_flow_runs_total" or result[0]["value"][1] == "1", f"{metric} is not 1")
        return len(found)

    return f"Prometheus has all {eventually(90, look)} targets up"


def backup():
    def look():
        found = [each for each in pathlib.Path("/backups/last").glob("*.sql.gz") if not each.is_symlink()]
        require(found, "there is no backup in the backup folder")
        newest = max(found, key=lambda each: each.stat().st_mtime)
        tail = b""
        try:
            with gzip.open(newest) as content:
                while part := content.read(1 << 20):
                    tail = (tail + part)[-4096:]
        except EOFError as error:
            raise Failed(f"the backup {newest.name} is cut off") from error
        require(b"PostgreSQL database dump complete" in tail, f"the backup {newest.name} is not complete")
        return newest

    newest = eventually(90, look)
    return f"the backup {newest.name} is complete ({newest.stat().st_size / 1e6:.1f} MB)"


def main():
    global API
    try:
        API = eventually(30, find_api)
    except (Failed, OSError) as error:
        print(f"FAILED  the server does not answer: {error}")
        return 1
    proofs = [health, page, closed, flow_run, websocket, background]
    if "monitoring" in SWITCHES:
        proofs.append(targets)
    if "backup" in SWITCHES:
        proofs.append(backup)
    failures = 0
    for proof in proofs:
        try:
            print(f"ok      {proof()}", flush=True)
        except Exception as error:
            failures += 1
            print(f"FAILED  {proof.__name__}: {error}", flush=True)
    return 1 if failures else 0


sys.exit(main())
