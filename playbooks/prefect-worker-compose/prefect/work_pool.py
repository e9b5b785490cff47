"""Makes the work pool of type docker, where there is none of that name.

Flows' containers get the network in which the server has its name, and the server's image. One
that is there already stays as it is: `prefect work-pool create --overwrite` would lose its
limits. Only the image goes with the server's, until a person names another one.
"""

import asyncio
import os

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect_docker.worker import DockerWorker

POOL = os.environ["WORKER_POOL"]
IMAGE = os.environ["FLOW_IMAGE"]


def about(image):
    """The pool's description, by which its image is known to be from here."""
    return f"Each flow run in a container of its own, of {image} where it names none."


async def follow(client, pool):
    template = pool.base_job_template
    image = template.get("variables", {}).get("properties", {}).get("image", {})
    former = image.get("default")
    if former == IMAGE or pool.description != about(former):
        return
    image["default"] = IMAGE
    changes = WorkPoolUpdate(base_job_template=template, description=about(IMAGE))
    await client.update_work_pool(POOL, changes)
    print(f"the work pool {POOL} takes {IMAGE} instead of {former}")


async def main():
    async with get_client() as client:
        try:
            pool = await client.read_work_pool(POOL)
        except ObjectNotFound:
            pass
        else:
            print(f"the work pool {POOL} is there, of type {pool.type}")
            if pool.type != "docker":
                return f"the work pool {POOL} is of type {pool.type}, not docker"
            await follow(client, pool)
            return 0
        template = DockerWorker.get_default_base_job_template()
        properties = template["variables"]["properties"]
        properties["networks"]["default"] = [os.environ["FLOW_NETWORK"]]
        properties["image"]["default"] = IMAGE
        properties["auto_remove"]["default"] = True
        await client.create_work_pool(
            WorkPoolCreate(name=POOL, type="docker", description=about(IMAGE), base_job_template=template)
        )
        print(f"made the work pool {POOL}")


raise SystemExit(asyncio.run(main()))
