"""Which flows somebody looks for, as a condition on the table `flows`.

A filter says what the index can answer by itself. Text inside of heads and bodies is not in
the index on purpose; `ledger.reader` looks there. Called by `index`; made by the commands.
"""

from dataclasses import dataclass
from datetime import datetime

from doorward.store.rows import format_time

_KINDS_OF_RULES = ("role", "hold", "deny")  # entries write rules with what they are: "hold delete"


@dataclass(frozen=True, slots=True)
class FlowFilter:
    """What a flow must be; a field that is None means any."""

    request: str | None = None
    principal: str | None = None
    target: str | None = None
    decision: str | None = None
    executed: str | None = None
    rule: str | None = None  # of the decision, with or without its kind, or a mask that replaced something
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive

    def condition(self) -> tuple[list[str], list[object]]:
        """Return the parts of a WHERE, to be joined by AND, and their values."""
        where: list[str] = []
        values: list[object] = []
        for name in ("request", "principal", "target", "decision", "executed"):
            if (value := getattr(self, name)) is not None:
                where.append(f"{name} = ?")
                values.append(value)
        # `seq` grows with `time`: as bounds of `seq` they fit the order in which rows are read
        if self.since is not None:
            where.append("seq >= (SELECT seq FROM flows WHERE time >= ? ORDER BY time, seq LIMIT 1)")
            values.append(format_time(self.since))
        if self.until is not None:
            where.append("seq <= (SELECT seq FROM flows WHERE time < ? ORDER BY time DESC, seq DESC LIMIT 1)")
            values.append(format_time(self.until))
        if self.rule is not None:
            names = (self.rule, *(f"{kind} {self.rule}" for kind in _KINDS_OF_RULES))
            marks = ", ".join("?" * len(names))
            where.append(
                f"(EXISTS (SELECT 1 FROM json_each(flows.rules) WHERE value IN ({marks}))"  # noqa: S608 # question marks
                " OR request IN (SELECT request FROM masks WHERE rule = ?))"
            )
            values += [*names, self.rule]
        return where, values
