"""What the models of queries have in common: refusals that say what would be right."""

import re
from typing import Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError


class QueryModel(BaseModel):
    """A query without parameters that are not described; one that is unknown is told those that are known."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_known(cls, value: Any, handler: ModelWrapValidatorHandler["QueryModel"]) -> "QueryModel":
        try:
            return handler(value)
        except ValidationError as error:
            known = f"is no parameter here; there are {', '.join(cls.model_fields)}"
            details = [
                _saying(known if each["type"] == "extra_forbidden" else each["msg"], each)
                for each in error.errors(include_url=False)
            ]
            raise ValidationError.from_exception_data(error.title, details) from None


def _saying(text: str, error: ErrorDetails) -> InitErrorDetails:
    kind = PydanticCustomError(error["type"], "{text}", {"text": text})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"])


def written(pattern: str, otherwise: str, **schema: Any) -> tuple[AfterValidator, Any]:
    """Annotations of a text that must match `pattern`: machines read the pattern, people `otherwise`."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(otherwise)
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern, **schema})
