"""The clients, one row each. What stands here is what tests/end_to_end/test_clients.py proves."""

from tests.parts.clients.client import Client

_VARIABLES = "variables"
_NODE_REQUEST = 'const {version} = require("undici/package.json"); console.log(version)'

CURL = Client(
    key="curl",
    name="curl {}",
    version="curl --version",
    wants=("curl",),
    line='bash curl.sh "$@"',
    proxy=_VARIABLES,
    root=_VARIABLES,
    http="2",
    bad_token="CONNECT tunnel failed, response 407",
    but="`-f` hides the body of a refusal; `--fail-with-body` shows it",
)
WGET = Client(
    key="wget",
    name="GNU Wget {} (GnuTLS)",
    version="wget --version",
    suits=r"(\d+\.\d+)[^+]*\+(?s:.*)\+ssl/gnutls",
    wants=("wget",),
    line='bash wget.sh "$@"',
    proxy=_VARIABLES,
    root='`--ca-certificate="$SSL_CERT_FILE"`, or `ca_certificate` in `.wgetrc`: it reads no variable',
    http="1.1",
    bad_token="Proxy tunneling failed",
    but="shows the body of a refusal only with `--content-on-error`",
)
GIT = Client(
    key="git",
    name="git {}",
    version="git --version",
    wants=("git",),
    proxy=_VARIABLES,
    root=_VARIABLES,
    http="2",
    bad_token="407",
    shows_body=False,
    token_at_once=False,
    but="`The requested URL returned error: 403` is all it tells of a refusal; the record has the rest",
)
REQUESTS = Client(
    key="requests",
    name="Python requests {}",
    version="python -c 'import requests; print(requests.__version__)'",
    line='python with_requests.py "$@"',
    proxy=_VARIABLES,
    root=_VARIABLES,
    http="1.1",
    bad_token="407",
)
HTTPX = Client(
    key="httpx",
    name="Python httpx {}",
    version="python -c 'import httpx; print(httpx.__version__)'",
    line='python with_httpx.py "$@"',
    proxy=_VARIABLES,
    root=_VARIABLES,
    http="1.1",
    bad_token="407",
    but="gives up after 5 s if it is not told otherwise: a held request looks like a time-out. Set `timeout=60`",
)
AIOHTTP = Client(
    key="aiohttp",
    name="Python aiohttp {}",
    version="python -c 'import aiohttp; print(aiohttp.__version__)'",
    line='python with_aiohttp.py "$@"',
    proxy="`ClientSession(trust_env=True)`, or `proxy=` at each request",
    root=_VARIABLES,
    http="1.1",
    bad_token="407",
    past='sed s/trust_env=True// with_aiohttp.py >past.py && python past.py "$@"',
    but="without either it goes past the gateway",
)
URLLIB = Client(
    key="urllib",
    name="Python {} `urllib`",
    version="python --version",
    line='python with_urllib.py "$@"',
    proxy=_VARIABLES,
    root=_VARIABLES,
    http="1.1",
    bad_token="Tunnel connection failed: 407",
    keeps_alive=False,
    but="a connection for each request",
)
GO = Client(
    key="go",
    name="Go {} `net/http`",
    version="go version",
    wants=("go",),
    prepare="go build -o agent agent.go",
    line='./agent "$@"',
    proxy=_VARIABLES,
    root=_VARIABLES,
    http="2",
    bad_token="Proxy Authentication Required",
    goes_past=True,
    but="asks `localhost` and loopback addresses itself, whatever the variables say",
)
NODE_OLD = Client(
    key="node-old",
    name="Node {} `fetch`",
    version="node --version",
    suits=r"v(20\.\d+)",
    wants=("node",),
    modules="undici",
    line='node --import ./proxy.mjs fetch.mjs "$@"',
    proxy="**none of the variables: it goes past the gateway.** `node --import` of a module that calls "
    "`setGlobalDispatcher(new EnvHttpProxyAgent())` of npm's undici",
    root=_VARIABLES,
    http="1.1",
    bad_token="407",
    past='node fetch.mjs "$@"',
    but="undici 7 wants Node 20.18.1 or later",
)
NODE = Client(
    key="node",
    name="Node {} `fetch`",
    version="node --version",
    suits=r"v(2[4-9]\.\d+)",
    modules="node26",
    line='node fetch.mjs "$@"',
    proxy=_VARIABLES,
    root=_VARIABLES,
    http="1.1",
    bad_token="407",
)
UNDICI = Client(
    key="undici",
    name="Node undici {}",
    version=f"node -e '{_NODE_REQUEST}'",
    wants=("node",),
    modules="undici",
    line='node undici.mjs "$@"',
    proxy="`dispatcher: new ProxyAgent(process.env.HTTPS_PROXY)`, or `new EnvHttpProxyAgent()`",
    root=_VARIABLES,
    http="1.1",
    bad_token="407",
    past="sed 's/dispatcher, //' undici.mjs >past.mjs && node past.mjs \"$@\"",
    but="without either it goes past the gateway",
)
JAVA = Client(
    key="java",
    name="Java {} `HttpClient`",
    version="java -version 2>&1",
    suits=r'version "(\d+)',
    wants=("java", "keytool"),
    prepare='keytool -importcert -noprompt -alias doorward -file "$SSL_CERT_FILE" -keystore trust.p12 '
    "-storetype PKCS12 -storepass changeit",
    line='at=${HTTPS_PROXY##*@} && java -Dhttps.proxyHost="${at%:*}" -Dhttps.proxyPort="${at##*:}" '
    '-Dhttp.proxyHost="${at%:*}" -Dhttp.proxyPort="${at##*:}" -Dhttp.nonProxyHosts= '
    "-Djdk.http.auth.tunneling.disabledSchemes= "
    '-Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit Agent.java "$@"',
    proxy="none of the variables: properties and an `Authenticator`, see below",
    root="none of the variables: a store made by `keytool`, see below",
    http="2",
    bad_token="too many authentication attempts",
    token_at_once=False,
    past='java -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=9 Agent.java "$@"',
    but="without `-Dhttp.nonProxyHosts=` it asks hosts on loopback itself",
)

CLIENTS = (CURL, WGET, GIT, REQUESTS, HTTPX, AIOHTTP, URLLIB, GO, NODE_OLD, NODE, UNDICI, JAVA)
WITH_PROGRAM = tuple(client for client in CLIENTS if client.line)
