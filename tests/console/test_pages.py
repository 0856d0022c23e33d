"""Templates escape everything and know the person, or that there is none."""

import pytest

from doorward.console.pages import Pages, viewer_of
from doorward.console.routes import Role
from doorward.console.sessions import Session
from doorward.model import Principal

VERA = Session("k", "tok", Principal("corp", "<b>vera</b>"), frozenset({Role.VIEWER}), 0)
PROBLEM = {"status": 404, "message": "there is <nothing> here", "hint": "look elsewhere", "login": False}


def test_a_page_for_somebody() -> None:
    page = Pages().render("problem", VERA, PROBLEM)
    assert "There is &lt;nothing&gt; here." in page
    assert "corp:&lt;b&gt;vera&lt;/b&gt;" in page
    assert 'value="tok"' in page


def test_a_page_for_nobody() -> None:
    page = Pages().render("problem", None, PROBLEM)
    assert "Log out" not in page
    assert viewer_of(None) is None


@pytest.mark.parametrize("session", [VERA, None])
def test_no_page_has_anything_inline(session: Session | None) -> None:
    pages = [
        Pages().render("problem", session, PROBLEM),
        Pages().render("logged_out", session, {}),
        Pages().render("approvals", session, {"open": [], "decided": [], "seen": ""}),
    ]
    for page in pages:
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page
        assert "<script>" not in page
        assert "http://" not in page
        assert "https://" not in page
