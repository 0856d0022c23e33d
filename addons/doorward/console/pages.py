"""The console's own HTML: templates that escape everything, and nothing else.

What goes in are plain values made by `cards`; handlers ask for a page by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from doorward.console.sessions import Session


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page, as the frame of every page shows it."""

    name: str
    role: str
    token: str


def viewer_of(session: Session | None) -> Viewer | None:
    """Return what a page may know of the session; None for somebody who is not logged in."""
    if session is None:
        return None
    return Viewer(session.person.name, "reviewer" if session.may_decide else "viewer", session.token)


class Pages:
    """The templates of the console."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("doorward.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, name: str, session: Session | None, values: Mapping[str, object]) -> str:
        """Return the page `name` for this session."""
        return self._templates.get_template(f"{name}.html").render(viewer=viewer_of(session), **values)
