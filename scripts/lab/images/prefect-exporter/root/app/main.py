"""A Prefect server's deployments, flows, runs, pools and queues as Prometheus metrics.

The names, labels and settings are those that prometheus-prefect-exporter publishes.
"""

import base64
import collections
import datetime
import json
import logging
import os
import time
import urllib.request
import uuid

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import GaugeMetricFamily

log = logging.getLogger("prometheus-prefect-exporter")


def is_true(name, default):
    return os.environ.get(name, default).strip().lower() == "true"


class Server:
    def __init__(self):
        self.url = os.environ.get("PREFECT_API_URL", "http://localhost:4200/api").rstrip("/")
        self.retries = int(os.environ.get("MAX_RETRIES", "3"))
        self.limit = int(os.environ.get("PAGINATION_LIMIT", "200"))
        self.all_pages = is_true("PAGINATION_ENABLED", "True")
        self.csrf = is_true("PREFECT_CSRF_ENABLED", "False")
        self.client = str(uuid.uuid4())
        self.headers = {"Accept": "application/json", "Content-Type": "application/json"}
        key, auth = os.environ.get("PREFECT_API_KEY"), os.environ.get("PREFECT_API_AUTH_STRING")
        if key:
            self.headers["Authorization"] = f"Bearer {key}"
        elif auth:
            self.headers["Authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()

    def ask(self, path, body=None, headers=None):
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(self.retries):
            try:
                request = urllib.request.Request(
                    f"{self.url}/{path}", data=data, headers={**self.headers, **(headers or {})}
                )
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except OSError as error:
                log.error("%s/%s: %s", self.url, path, error)
                if attempt == self.retries - 1:
                    raise
                time.sleep(2**attempt)

    def all(self, kind, **wanted):
        """Everything of a kind, page by page."""
        headers = {}
        if self.csrf:
            token = self.ask(f"csrf-token?client={self.client}")
            headers = {"Prefect-Csrf-Token": token["token"], "Prefect-Csrf-Client": self.client}
        found = []
        while True:
            body = {**wanted, "limit": self.limit, "offset": len(found)}
            page = self.ask(f"{kind}/filter", body, headers)
            found += page
            if not self.all_pages or len(page) < self.limit:
                return found


def text(thing, key):
    return str(thing.get(key, "null"))


def gauge(name, told, labels=(), values=()):
    family = GaugeMetricFamily(name, told, labels=labels)
    for own, value in values:
        family.add_metric([str(label) for label in own], value)
    return family


def count(name, told, things):
    return gauge(name, told, values=[([], len(things))])


class Metrics:
    def __init__(self, server):
        self.server = server
        self.minutes = int(os.environ.get("OFFSET_MINUTES", "5"))
        self.failed_minutes = int(os.environ.get("FAILED_RUNS_OFFSET_MINUTES", "10080"))
        self.failed_limit = int(os.environ.get("FAILED_RUNS_LIMIT", "10"))

    def collect(self):
        # A server that is away leaves a scrape without these metrics, and no more.
        try:
            families = list(self.families())
        except Exception:
            log.exception("Failed to collect metrics, skipping this scrape")
            families = []
        yield from families

    def runs_since(self, minutes, **wanted):
        after = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)
        return self.server.all(
            "flow_runs",
            flow_runs={"operator": "and_", "start_time": {"after_": after.isoformat()}, **wanted},
            sort="START_TIME_DESC",
        )

    def families(self):
        deployments = self.server.all("deployments")
        flows = self.server.all("flows")
        runs = self.server.all("flow_runs")
        flow_names = {each["id"]: each["name"] for each in flows}
        deployment_names = {each["id"]: each["name"] for each in deployments}

        def flow(thing):
            return flow_names.get(thing.get("flow_id"), "null")

        def deployment(thing):
            return deployment_names.get(thing.get("deployment_id"), "null")

        yield count("prefect_deployments_total", "Prefect total deployments", deployments)
        yield gauge(
            "prefect_info_deployment",
            "Prefect deployment info",
            [
                "flow_name",
                "is_schedule_active",
                "deployment_name",
                "path",
                "paused",
                "work_pool_name",
                "work_queue_name",
                "status",
                "tags",
            ],
            [
                (
                    [
                        flow(each),
                        not each.get("paused"),
                        text(each, "name"),
                        text(each, "path"),
                        text(each, "paused"),
                        text(each, "work_pool_name"),
                        text(each, "work_queue_name"),
                        text(each, "status"),
                        ",".join(sorted(each.get("tags") or [])),
                    ],
                    1,
                )
                for each in deployments
            ],
        )

        yield count("prefect_flows_total", "Prefect total flows", flows)
        yield gauge(
            "prefect_info_flows", "Prefect flow info", ["flow_name"], [([text(each, "name")], 1) for each in flows]
        )

        yield count("prefect_flow_runs_total", "Prefect total flow runs", runs)
        seconds = collections.Counter()
        for each in runs:
            seconds[flow(each)] += each.get("total_run_time") or 0
        yield gauge(
            "prefect_flow_runs_total_run_time",
            "Prefect flow-run total run time in seconds",
            ["flow_name"],
            [([name], total) for name, total in seconds.items()],
        )
        recent = collections.Counter(
            (deployment(each), flow(each), text(each, "state_name"), text(each, "work_queue_name"))
            for each in self.runs_since(self.minutes)
        )
        yield gauge(
            "prefect_info_flow_runs",
            "Prefect flow runs info",
            ["deployment_name", "flow_name", "state_name", "work_queue_name"],
            recent.items(),
        )

        failed = []
        if self.failed_minutes:
            failed = self.runs_since(self.failed_minutes, state={"type": {"any_": ["FAILED", "CRASHED"]}})
        seen = collections.Counter()
        last_failed = []
        for each in failed:
            key = (deployment(each), flow(each), text(each, "state_name"))
            seen[key] += 1
            if seen[key] <= self.failed_limit:
                last_failed.append(([key[0], key[1], each["id"], key[2]], 1))
        yield gauge(
            "prefect_deployment_failed_flow_runs",
            "Last failed or crashed flow run ID per deployment within the FAILED_RUNS_OFFSET_MINUTES window",
            ["deployment_name", "flow_name", "last_failed_run_id", "state_name"],
            last_failed,
        )

        pools = self.server.all("work_pools")
        yield count("prefect_work_pools_total", "Prefect total work pools", pools)
        yield gauge(
            "prefect_info_work_pools",
            "Prefect work pools info",
            ["is_paused", "work_pool_name", "type", "status"],
            [
                (
                    [text(each, "is_paused"), text(each, "name"), text(each, "type"), text(each, "status")],
                    0 if each.get("is_paused") else 1,
                )
                for each in pools
            ],
        )

        queues = self.server.all("work_queues")
        yield count("prefect_work_queues_total", "Prefect total work queues", queues)
        labels = [
            "is_paused",
            "work_queue_name",
            "priority",
            "type",
            "work_pool_name",
            "status",
            "healthy",
            "health_check_policy_maximum_late_runs",
            "health_check_policy_maximum_seconds_since_last_polled",
        ]
        info, late = [], []
        for each in queues:
            status = each.get("status_info") or {}
            policy = status.get("health_check_policy") or {}
            own = [text(each, key) for key in ("is_paused", "name", "priority", "type", "work_pool_name", "status")]
            own += [text(status, "healthy"), text(policy, "maximum_late_runs")]
            own.append(text(policy, "maximum_seconds_since_last_polled"))
            info.append((own, 0 if each.get("is_paused") else 1))
            late.append((own, status.get("late_runs_count") or 0))
        yield gauge("prefect_info_work_queues", "Prefect work queues info", labels, info)
        yield gauge("prefect_work_queues_late_runs_count", "Prefect work queues late runs count", labels, late)


def main():
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s - %(name)s - [%(levelname)s] %(message)s",
    )
    server = Server()
    # As the published one: without its server it does not start.
    server.ask("health")
    REGISTRY.register(Metrics(server))
    port = int(os.environ.get("METRICS_PORT", "8000"))
    start_http_server(port, addr=os.environ.get("METRICS_ADDR", "0.0.0.0"))
    log.info("Exporter listening on port :%s", port)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
