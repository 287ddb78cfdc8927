import asyncio

from service.api.bulletin import Bulletin


def test_followers_of_a_source_are_woken_and_no_others() -> None:
    async def scene() -> tuple[bool, bool]:
        bulletin = Bulletin()
        with bulletin.follow("kitchen") as kitchen, bulletin.follow("hall") as hall:
            bulletin.post("kitchen")
            return await kitchen.wait(10), await hall.wait(0.01)

    assert asyncio.run(scene()) == (True, False)


def test_what_is_posted_between_two_waits_is_not_missed() -> None:
    async def scene() -> list[bool]:
        bulletin = Bulletin()
        with bulletin.follow("kitchen") as kitchen:
            bulletin.post("kitchen")
            first = await kitchen.wait(10)
            bulletin.post_all()
            return [first, await kitchen.wait(10), await kitchen.wait(0.01)]

    assert asyncio.run(scene()) == [True, True, False]


def test_closing_wakes_everybody_those_who_come_late_too() -> None:
    async def scene() -> tuple[bool, bool]:
        bulletin = Bulletin()
        with bulletin.follow("kitchen") as early:
            bulletin.close()
            with bulletin.follow("hall") as late:
                return await early.wait(10), await late.wait(10)

    assert asyncio.run(scene()) == (True, True)


def test_nothing_is_left_of_those_who_have_gone() -> None:
    bulletin = Bulletin()
    with bulletin.follow("kitchen"), bulletin.follow("kitchen"):
        pass
    assert not bulletin._waiting
