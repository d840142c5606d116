"""Progress bars for requests under way, one each."""

import asyncio
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from daemon.status import Stage, Standing, Watcher

LOOK_PERIOD_SECONDS = 0.5

BARS_MAX = 12
"""With more requests than this, only those being transcribed are shown."""

_WORDS = {
    Stage.UNSEEN: "in the queue",
    Stage.ORDERED: "ordered",
    Stage.RUNNING: "transcribing",
    Stage.RETRYING: "waiting to retry",
    Stage.DONE: "[green]done[/]",
    Stage.DEAD_LETTERED: "[red]failed[/]",
}


class RequestBars:
    """Bars for some requests, by request id, and one over all when they are many."""

    def __init__(self, console: Console, titles: Mapping[str, str]) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            console=console,
        )
        few = len(titles) <= BARS_MAX
        self._bars: dict[str, TaskID] = {
            request_id: self._progress.add_task(
                title, total=1.0, visible=few, words=_WORDS[Stage.UNSEEN]
            )
            for request_id, title in titles.items()
        }
        self._few = few
        self._all = self._progress.add_task(
            "all", total=len(titles), visible=not few, words=f"of {len(titles)} requests"
        )

    async def follow(self, watcher: Watcher) -> Sequence[Standing]:
        """Show the requests until each has found its end; returns where they stand then."""
        with self._progress:
            while True:
                standings = await watcher.look()
                self._show(standings)
                if all(standing.stage.final for standing in standings):
                    return standings
                await asyncio.sleep(LOOK_PERIOD_SECONDS)

    def _show(self, standings: Sequence[Standing]) -> None:
        for standing in standings:
            self._progress.update(
                self._bars[standing.request_id],
                completed=_share(standing),
                words=_WORDS[standing.stage],
                visible=self._few or standing.stage is Stage.RUNNING,
            )
            if standing.stage.final:
                self._progress.stop_task(self._bars[standing.request_id])
        ended = sum(standing.stage.final for standing in standings)
        self._progress.update(self._all, completed=ended)


def _share(standing: Standing) -> float:
    if standing.stage is Stage.DONE:
        return 1.0
    if standing.stage is Stage.RUNNING and standing.audio_seconds:
        return min(standing.seconds_done / standing.audio_seconds, 1.0)
    return 0.0
