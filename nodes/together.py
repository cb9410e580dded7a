"""Model calls side by side: when one fails, the others end at once."""

from asyncio import TaskGroup
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")


@asynccontextmanager
async def siblings() -> AsyncIterator[TaskGroup]:
    """A task group that fails with the first failure itself instead of a group of one."""
    try:
        async with TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def together(calls: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """What all calls return, in their order."""
    async with siblings() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]
