"""What we rely on in mitmproxy's and tornado's insides: when a new version moves it, this fails first."""

import re

import pytest
from mitmproxy.test.tflow import tflow
from mitmproxy.tools.web import app as mitmweb
from mitmproxy.tools.web.web_columns import AVAILABLE_WEB_COLUMNS

from doorward.console.mitm import ConsoleMaster
from doorward.console.stock import MITMWEB_FILES, SHOWN_OPTIONS

PAGE = (MITMWEB_FILES / "index.html").read_text("utf-8")
SCRIPT = next((MITMWEB_FILES / "static").glob("index-*.js")).read_text("utf-8")


def test_the_page_has_the_places_where_ours_goes_in() -> None:
    assert PAGE.count("<head>") == 1
    assert PAGE.count("<title>mitmproxy</title>") == 1
    assert 'type="module"' in PAGE, "our script must run before mitmweb's"
    assert not re.search(r"<script(?![^>]*\ssrc=)", PAGE), "an inline script would need another policy"


@pytest.mark.parametrize(
    "words",
    [
        '`/flows/${e.id}/resume`,{method:"POST"}',
        '`/flows/${e.id}/kill`,{method:"POST"}',
        't.startsWith("/")&&(t="."+t),fetch(t,',
        'title:"[a]ccept intercepted flow"',
        'title:"kill intercepted flow [x]"',
        'title:"Export flow."',
        'title:"Upload a file to replace the content."',
        'className:"flow-menu"',
        'className:"main-menu"',
        "inline-input",
        "kv-add-row",
        "nav-tabs nav-tabs-lg",
    ],
)
def test_the_frontend_has_what_our_script_and_style_name(words: str) -> None:
    assert words in SCRIPT


def test_the_columns_that_we_ask_for_exist() -> None:
    assert set(SHOWN_OPTIONS["web_columns"]) <= set(AVAILABLE_WEB_COLUMNS)  # type: ignore[call-overload]  # a list


async def test_the_master_has_no_proxy_and_none_of_its_addons() -> None:
    master = ConsoleMaster()
    names = set(master.addons.lookup)
    assert names == {"webauth", "view"}
    assert master.options.server is False
    assert not set(master.commands.commands) & {"script.run", "save.file", "replay.client", "options.load", "set"}
    await master.done()


def test_stock_json_has_the_fields_that_we_replace() -> None:
    flow = mitmweb.flow_to_json(tflow(resp=True))
    assert "modified" in flow
    for side in ("request", "response"):
        assert {"contentLength", "contentHash"} <= set(flow[side])
