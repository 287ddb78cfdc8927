"""Events of a live sound under names that stay, told when they change."""

from dataclasses import dataclass, replace

from service.engine.analysis import Event
from service.engine.live import News

# An event that reaches so near the end of what is heard may well go on.
OPEN_S = 0.25
# Smaller changes of a confidence nobody sees.
_NOTABLE = 0.02


@dataclass(frozen=True, slots=True)
class Announcement:
    """The state of one event.

    Attributes:
        id: stays the same as long as it is the same event.
        event: times from the start of the sound.
        open: it reaches the end of what is heard and may go on.
        final: it will not change any more, nor be heard of again.
    """

    id: str
    event: Event
    open: bool
    final: bool


class Announcer:
    """Compares each news with the one before."""

    def __init__(self) -> None:
        self._known: dict[str, Announcement] = {}
        self._given = 0

    def changes(self, news: News) -> tuple[list[Announcement], list[str]]:
        """Events that are new or have changed, and ids of those that were none after all."""
        unmatched = dict(self._known)
        told: list[Announcement] = []
        for event in news.events:
            known = next((each for each in unmatched.values() if _same(each.event, event)), None)
            if known is None:
                self._given += 1
            else:
                del unmatched[known.id]
            now = Announcement(
                id=f"e{self._given}" if known is None else known.id,
                event=event,
                open=event.offset_s >= news.heard_s - OPEN_S and event.offset_s > news.decided_s,
                final=event.offset_s <= news.decided_s,
            )
            if known is not None and known.final:
                continue
            if known is None or _differs(known, now):
                told.append(now)
                self._known[now.id] = now
        retracted = [each.id for each in unmatched.values() if not each.final]
        for gone in unmatched:
            del self._known[gone]
        return told, retracted


def _same(one: Event, other: Event) -> bool:
    return one.label == other.label and one.onset_s < other.offset_s and other.onset_s < one.offset_s


def _differs(one: Announcement, other: Announcement) -> bool:
    # Where an open event ends for the moment is no news: it is where the sound has got to.
    if one.open and other.open:
        one = replace(one, event=replace(one.event, offset_s=other.event.offset_s))
    louder = abs(one.event.confidence - other.event.confidence) > _NOTABLE
    one_state = (one.open, one.final, one.event.onset_s, one.event.offset_s)
    return louder or one_state != (other.open, other.final, other.event.onset_s, other.event.offset_s)
