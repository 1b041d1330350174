"""The conditions of breakpoints: expressions in CEL, the Common Expression Language.

`compile_condition` checks a text when it arrives; `Condition.holds` asks it about a task. The
language is that of https://github.com/google/cel-spec, with its standard functions and macros,
but for message types. One thing is ours: a negative index counts from the end of a list.
"""

from graphwire_server.graphs.conditions.condition import (
    MAX_LENGTH,
    Condition,
    compile_condition,
)
from graphwire_server.graphs.conditions.errors import ConditionError, ConditionFailed, Position
from graphwire_server.graphs.conditions.frame import BUDGET, TOGETHER, Purse, Variables
from graphwire_server.graphs.conditions.syntax import MAX_NESTING

__all__ = [
    "BUDGET",
    "MAX_LENGTH",
    "MAX_NESTING",
    "TOGETHER",
    "Condition",
    "ConditionError",
    "ConditionFailed",
    "Position",
    "Purse",
    "Variables",
    "compile_condition",
]
