"""Makes the work pool of type docker, where there is none of that name.

Flows' containers get the network in which the server has its name. One that is there already
stays as it is: `prefect work-pool create --overwrite` would lose its limits.
"""

import asyncio
import os

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect_docker.worker import DockerWorker

POOL = os.environ["WORKER_POOL"]


async def main():
    async with get_client() as client:
        try:
            pool = await client.read_work_pool(POOL)
            print(f"the work pool {POOL} is there, of type {pool.type}")
            return 0 if pool.type == "docker" else f"the work pool {POOL} is of type {pool.type}, not docker"
        except ObjectNotFound:
            pass
        template = DockerWorker.get_default_base_job_template()
        properties = template["variables"]["properties"]
        properties["networks"]["default"] = [os.environ["FLOW_NETWORK"]]
        properties["image"]["default"] = os.environ["FLOW_IMAGE"]
        properties["auto_remove"]["default"] = True
        await client.create_work_pool(
            WorkPoolCreate(name=POOL, type="docker", base_job_template=template)
        )
        print(f"made the work pool {POOL}")


raise SystemExit(asyncio.run(main()))
