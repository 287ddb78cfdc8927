"""What the engine tells about its work, for metrics; the engine itself knows no metrics library."""

from typing import Literal

Stage = Literal["decode", "wait", "infer", "stitch"]
Shed = Literal["overload", "draining", "unhealthy", "deadline", "abandoned"]


class Observer:
    """Nobody listens to this one; others override what they want to hear.

    Called from any thread: must be quick and must not raise.
    """

    def stage(self, stage: Stage, seconds: float) -> None:
        """One recording spent so long in a stage: `wait` and `infer` are sums over its windows."""

    def group(self, windows: int, seconds: float) -> None:
        """The graph ran once, over so many windows."""

    def shed(self, reason: Shed) -> None:
        """A recording was refused or given up."""

    def decoder_replaced(self, reason: str) -> None:
        """A decoder process hung or died, and a new one takes its place."""
