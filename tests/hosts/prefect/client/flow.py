"""A flow as anybody writes one, and what its client then reads of it, as JSON.

PREFECT_API_URL and PREFECT_API_AUTH_STRING say which server, and nothing else does.
"""

import asyncio
import json
import sys
import time
from datetime import datetime, timedelta, timezone

from prefect import flow, get_client, get_run_logger, task
from prefect.client.schemas.filters import LogFilter, TaskRunFilter
from prefect.events import emit_event
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventOccurredFilter
from prefect.runtime import flow_run

OCCURRED = "shop.orders.counted"


@task
def collect():
    get_run_logger().info("collected 3 orders")
    time.sleep(0.5)
    return [12, 30, 7]


@task
def count(orders):
    get_run_logger().info("counted %d", sum(orders))
    time.sleep(1)
    emit_event(OCCURRED, resource={"prefect.resource.id": f"shop.orders.{flow_run.get_id()}"}, payload={"sum": sum(orders)})
    return sum(orders)


@task
def tell(total):
    get_run_logger().warning("the sum is %d", total)
    time.sleep(0.5)
    return f"the sum is {total}"


@flow(name="daily-orders")
def daily_orders():
    return str(flow_run.get_id()), flow_run.get_name(), tell(count(collect()))


async def read(client, run):
    """States, logs and events of one run, as the API has them now."""
    tasks = await client.read_task_runs(task_run_filter=TaskRunFilter(flow_run_id={"any_": [run]}))
    logs = await client.read_logs(LogFilter(flow_run_id={"any_": [run]}), limit=200)
    wanted = EventFilter(
        any_resource=EventAnyResourceFilter(id=[f"prefect.flow-run.{run}", f"shop.orders.{run}"]),
        occurred=EventOccurredFilter(since=datetime.now(timezone.utc) - timedelta(hours=1)),
    )
    answer = await client._client.post("/events/filter", json={"filter": wanted.model_dump(mode="json"), "limit": 50})
    return {
        "state": (await client.read_flow_run(run)).state_name,
        "tasks": {each.name.rsplit("-", 1)[0]: each.state_name for each in tasks},
        "logs": [each.message for each in logs],
        "events": sorted({each["event"] for each in answer.json()["events"]}),
    }


async def listen(found, ready):
    """What a websocket is told while the flow runs."""
    async with get_events_subscriber(filter=EventFilter(event={"name": [OCCURRED]})) as events:
        ready.set()
        async for event in events:
            found.append(event.event)
            return


async def main():
    found, ready = [], asyncio.Event()
    listener = asyncio.create_task(listen(found, ready))
    await asyncio.wait_for(ready.wait(), 30)
    run, name, result = await asyncio.to_thread(daily_orders)
    await asyncio.wait([listener], timeout=30)
    listener.cancel()
    async with get_client() as client:
        # Logs and events are sent behind the run, and pass through Redis and the background.
        end = time.monotonic() + 60
        while True:
            seen = await read(client, run)
            arrived = {OCCURRED, "prefect.flow-run.Completed"} <= set(seen["events"])
            completed = list(seen["tasks"].values()) == ["Completed"] * 3
            if arrived and completed and "the sum is 49" in seen["logs"] or time.monotonic() > end:
                break
            await asyncio.sleep(1)
    json.dump({"run": run, "name": name, "result": result, "heard": found, **seen}, sys.stdout)


asyncio.run(main())
