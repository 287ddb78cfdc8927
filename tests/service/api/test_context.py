import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.context import RequestContext, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def context_of(**headers: str) -> RequestContext:
    return RequestContext.of(
        (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
    )


def test_a_sane_request_id_is_kept() -> None:
    assert context_of(x_request_id="order-66.b_7").request_id == "order-66.b_7"


@pytest.mark.parametrize("given_id", ["", "a b", "a\nb", "x" * 65, "<script>", "ü"])
def test_any_other_is_replaced(given_id: str) -> None:
    one, two = context_of(x_request_id=given_id), context_of(x_request_id=given_id)
    assert given_id not in (one.request_id, two.request_id)
    assert one.request_id != two.request_id


def test_a_trace_is_read() -> None:
    context = context_of(traceparent=f"00-{TRACE}-{SPAN}-01")
    assert (context.trace_id, context.parent_id) == (TRACE, SPAN)


def test_a_later_version_may_say_more() -> None:
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more".encode()) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "value",
    [
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        "",
    ],
)
def test_a_malformed_trace_is_no_trace(value: str) -> None:
    assert parse_traceparent(value.encode()) == (None, None)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_header_can_break_it(request_id: bytes, trace: bytes) -> None:
    context = RequestContext.of([(b"x-request-id", request_id), (b"traceparent", trace)])
    assert 1 <= len(context.request_id) <= 64
