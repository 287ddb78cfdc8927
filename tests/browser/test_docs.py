import re
from pathlib import Path

import httpx
import pytest

from tests.browser.conftest import Sound
from tests.browser.visit import Visit

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = re.findall(r"^```js browser\n(.*?)^```", (DOCS / "api.md").read_text(), re.M | re.S)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_for_browsers_run(visit: Visit, client: httpx.Client, sound: Sound, text: str) -> None:
    content = sound.path.read_bytes()
    posted = client.post(
        "/tag", params={"source": "kitchen"}, content=content, headers={"content-type": "audio/wav"}
    )
    events = len(posted.json()["events"])
    assert events
    with visit.page.expect_console_message(lambda message: message.text == f"{events} events"):
        stream = visit.page.evaluate_handle(f"() => {{ {text} return stream; }}")
    stream.evaluate("(stream) => stream.close()")


def test_there_is_an_example_for_browsers() -> None:
    assert EXAMPLES
