"""Lets statuses follow each send by the script in force. Not here: the plan (statuses.py), posting (outbox.py)."""

import asyncio
from random import Random
from typing import Any, Final

from services.simulator.envelope import render, status_envelope
from services.simulator.numbers import App
from services.simulator.outbox import Outbox
from services.simulator.statuses import Script, Sent, Step, plan, shown, update

EARLY_SECONDS: Final = 0.5  # a status comes at most so long before our own answer (issue: 0-500 ms)
EARLY_ANSWER_SECONDS: Final = 2.0  # a webhook that takes longer does not hold the answer up


class StatusDesk:
    """One per Graph simulator."""

    def __init__(self, outbox: Outbox, dice: Random) -> None:
        self._outbox = outbox
        self._dice = dice
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._count = 0
        self._homeless = 0
        self.script = Script()

    async def follow(self, sent: Sent) -> None:
        """Start the statuses of a message. Returns when our own answer may go out."""
        script = self.script
        if not script.sequence:
            return
        app = sent.number.app
        if app is None:
            self._homeless += 1
            return
        steps = plan(script, self._dice)
        early = self._dice.random() < script.before_answer
        for step in steps[1:] if early else steps:
            self._later(app, sent, step, script)
        if early:
            await self._overtake(app, sent, steps[0], script)

    def _later(self, app: App, sent: Sent, step: Step, script: Script) -> None:
        self._count += 1
        name = self._count
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(step.due, self._post, name, app, sent, step, script)

    def _post(self, name: int, app: App, sent: Sent, step: Step, script: Script) -> None:
        del self._timers[name]
        self._outbox.put(app, update(sent, step, script), script.batch)

    async def _overtake(self, app: App, sent: Sent, step: Step, script: Script) -> None:
        """Post a status and let it win against our own answer."""
        body = render(status_envelope([update(sent, step, script)]))
        delivery = self._outbox.deliver(app, body)
        await asyncio.sleep(self._dice.uniform(0, EARLY_SECONDS))
        await asyncio.wait([delivery], timeout=EARLY_ANSWER_SECONDS)

    def shown(self) -> dict[str, Any]:
        """`without_app`: sends whose number has no app secret or no webhook URL, so that nothing could be posted."""
        return {"script": shown(self.script), "pending": len(self._timers), "without_app": self._homeless}

    def forget(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._homeless = 0
        self.script = Script()
