"""Puts the block types of this version of Prefect into the database.

The API does that itself at its start; replicas that start together on a new database then
get into each other's way, and some of them end with "duplicate key value violates unique
constraint uq_block_type__slug". So prefect-migrate does it, once, before they start.
"""

import asyncio

from prefect.server.database import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration


async def main():
    async with await provide_database_interface().session() as session:
        await run_block_auto_registration(session=session)


asyncio.run(main())
print("Block types are registered")
