"""A route for requests that come often."""

from collections.abc import Callable, Coroutine
from inspect import get_annotations
from typing import Any, get_args

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError


class DirectRoute(APIRoute):
    """Calls `endpoint(request, query)` with a query of single values, checked by its model in one step.

    FastAPI's own way resolves dependencies for every request, of which there are none here: that is a fifth
    of what the service spends on a request beside the model. The OpenAPI document is the same.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint, behind the validation of its query."""
        endpoint = self.endpoint
        model: type[BaseModel] = get_args(get_annotations(endpoint)["query"])[0]

        async def handle(request: Request) -> Response:
            try:
                query = model.model_validate(dict(request.query_params))
            except ValidationError as error:
                found = [{**each, "loc": ("query", *each["loc"])} for each in error.errors(include_url=False)]
                raise RequestValidationError(found) from error
            answer: Response = await endpoint(request, query)
            return answer

        return handle
