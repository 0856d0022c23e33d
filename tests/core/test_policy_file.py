import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core.policy_file import lint_policy, load_policy, policy_digest, run_policy_tests
from doorward.errors import Misconfigured

DESIGN = """
targets:
  billing:
    kind: http
    url: https://billing.internal
    hosts: [billing.internal]
    ca: certs/billing-ca.pem          # else the system's store
    credential: billing-token         # a name from doorward.yaml
roles:
  billing-reader:
    - {methods: [GET], paths: ["/v1/customers", "/v1/customers/**"], query: [page, limit]}
  billing-editor:
    - {methods: [PATCH, DELETE], paths: ["/v1/customers/*"]}
bindings:                              # principals are written ISSUER-ALIAS:VALUE
  - {role: billing-reader, target: billing, groups: [corp:agents]}
  - {role: billing-editor, target: billing, groups: [corp:agents]}
holds:
  - name: change a customer
    match: {target: billing, methods: [PATCH, DELETE]}
    approvers: {groups: [corp:billing-owners], count: 1}
    expires: 15m
masks:
  - name: personal data
    match: {target: billing}
    fields: ["$..email", "$..iban", "$.customers[?(@.vip == true)].phone"]
    query: [email]
    replace_with: sentinel
owners: {"corp:agent-7": "corp:alice"}
tests:
  - given: {principal: "corp:agent-7", groups: [agents], target: billing, method: DELETE, path: /v1/customers/1}
    expect: hold
"""
POLICIES = Path(__file__).parents[2] / "policies"


def load(**files: str) -> object:
    return load_policy(
        {f"{name}.yaml": text for name, text in files.items()}, issuers=["corp"], credentials=["billing-token"]
    )


def problems(**files: str) -> list[str]:
    found = lint_policy(
        {f"{name}.yaml": text for name, text in files.items()}, issuers=["corp"], credentials=["billing-token"]
    )
    assert all(problem.hint for problem in found)
    return [problem.message for problem in found]


def test_the_example_of_the_design() -> None:
    policy = load_policy({"p.yaml": DESIGN}, issuers=["corp"], credentials=["billing-token"])
    assert all(outcome.passed for outcome in run_policy_tests(policy))
    assert policy.owners == {"corp:agent-7": "corp:alice"}
    assert policy.digest == policy_digest({"p.yaml": DESIGN})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "targets:\n  prod:\n    kind: kubernetes\n    url: https://10.0.0.1:6443\n"
            '    hosts: ["prod.k8s.internal:6443"]\n    impersonate: {prefix: "doorward:"}\n',
            "p.yaml:3: targets of kind kubernetes are not supported yet",
        ),
        (
            "roles:\n  discovery:\n    - {verbs: [get], nonresource: [/api]}\n",
            "p.yaml:3: 'verbs' is a word of rules for Kubernetes, which are not supported yet",
        ),
        (
            "bindings:\n  - {role: viewer, target: prod, subjects: ['corp:agent-7'], grant: {longest: 1h}}\n",
            "p.yaml:2: a binding by grant is not supported yet",
        ),
        (
            "denies:\n  - name: never touch kube-system\n    match: {target: prod, namespaces: [kube-system]}\n",
            "p.yaml:3: 'namespaces' is a word of rules for Kubernetes, which are not supported yet",
        ),
    ],
)
def test_what_comes_later_is_refused_in_so_many_words(text: str, message: str) -> None:
    assert problems(p=text) == [message]
    with pytest.raises(Misconfigured) as caught:
        load(p=text)
    assert caught.value.cause == "not-supported-yet"


def test_sections_may_lie_in_any_files() -> None:
    head, tail = DESIGN.split("bindings:", 1)
    one, two = load(p=DESIGN), load(a="bindings:" + tail, b=head)
    assert one != two  # the digest is of the texts
    assert getattr(one, "roles", None) == getattr(two, "roles", 0)
    assert getattr(one, "bindings", None) == getattr(two, "bindings", 0)


def test_no_files_allow_nothing() -> None:
    assert problems() == []
    assert problems(p="# nothing yet\n") == []


TARGET = "targets: {{{0}: {{kind: http, url: 'https://{0}', hosts: [{1}]}}}}\n"
HOLD = "holds: [{name: h, match: {}, approvers: {groups: ['corp:o']}, expires: 1m}]\n"
TWICE = {
    "a target": (TARGET.format("x", "x"), TARGET.format("x", "y"), "target 'x' is given twice"),
    "a host": (TARGET.format("x", "x"), TARGET.format("y", "X"), "host 'x:443' is given twice"),
    "a role": ("roles: {r: [{}]}\n", "roles: {r: [{}]}\n", "role 'r' is given twice"),
    "a hold": (HOLD, HOLD, "hold 'h' is given twice"),
    "a deny": ("denies: [{name: d, match: {}}]\n",) * 2 + ("deny 'd' is given twice",),
    "a mask": ("masks: [{name: m, match: {}, headers: [a]}]\n",) * 2 + ("mask 'm' is given twice",),
    "an owner": ("owners: {'corp:a': 'corp:b'}\n",) * 2 + ("owner of 'corp:a' is given twice",),
}


@pytest.mark.parametrize(("first", "second", "message"), TWICE.values(), ids=TWICE)
def test_a_name_given_twice_in_two_files(first: str, second: str, message: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(a=first, b="# one line down\n" + second)
    assert str(caught.value) == f"b.yaml:2: {message}; hint: the first stands at a.yaml:1; keep one"


def test_a_name_given_twice_in_one_file() -> None:
    assert problems(p="denies:\n- {name: d, match: {}}\n- {name: d, match: {}}\n") == [
        "p.yaml:3: deny 'd' is given twice"
    ]


def test_a_hold_and_a_deny_may_have_one_name() -> None:
    text = DESIGN + "denies: [{name: change a customer, match: {methods: [POST]}}]\n"
    assert problems(p=text) == []


def test_everything_that_is_wrong_is_listed() -> None:
    text = (
        "unknown: 1\n"
        "holds:\n  - {name: h}\n  - {nam: h}\n"
        "owners: {agent: 'corp:a', 'corp:b': c}\n"
        "bindings: {}\n"
        "roles: {r: []}\n"
    )
    assert problems(a=text, b="a: b: c", c="[]") == [
        "a.yaml:1: unknown key 'unknown' in a policy file",
        "a.yaml:3: a hold lacks 'match'",
        "a.yaml:4: unknown key 'nam' in a hold",
        "a.yaml:5: an agent 'agent' names no issuer",
        "a.yaml:5: an owner 'c' names no issuer",
        "a.yaml:6: bindings is not a list",
        "a.yaml:7: role r is an empty list",
        "b.yaml:1: this is not YAML",
        "c.yaml:1: a policy file is not a mapping",
    ]


def test_unreadable_items_are_not_reported_as_unknown() -> None:
    assert problems(p="roles: {r: []}\nbindings: [{role: r, target: t, groups: ['corp:a']}]\n") == [
        "p.yaml:1: role r is an empty list"
    ]


def test_the_digest_is_what_two_commands_print(tmp_path: Path) -> None:
    files = {"a.yaml": "x: é\n", "b.yaml": "", "Z.yaml": "y"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = "LC_ALL=C; export LC_ALL; sha256sum *.yaml | sha256sum"
    printed = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == policy_digest(files)
    assert len({policy_digest(files), policy_digest(files | {"b.yaml": " "}), policy_digest({})}) == 3


def test_the_shipped_policies_are_good() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in POLICIES.glob("*.yaml")}
    policy = load_policy(files, issuers=["corp"], credentials=["crm-token"])
    outcomes = run_policy_tests(policy)
    assert len(outcomes) >= 5
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert {outcome.verdict for outcome in outcomes} == {"allow", "hold", "deny"}


_LINES = DESIGN.splitlines()


@given(st.text(max_size=80))
def test_no_text_raises_anything_else(text: str) -> None:
    lint_policy({"p.yaml": text}, issuers=["corp"], credentials=[])


@given(st.lists(st.sampled_from(_LINES), max_size=30), st.integers(0, 5))
def test_no_shuffled_policy_raises_anything_else(lines: list[str], indent: int) -> None:
    text = "\n".join(" " * (indent if i % 3 else 0) + line for i, line in enumerate(lines))
    lint_policy({"p.yaml": text}, issuers=["corp"], credentials=["billing-token"])


@given(st.integers(0, len(DESIGN)), st.integers(0, 40), st.text("{}[]:,'\"-*&!|#~ 1a\n$.?@()", max_size=6))
def test_no_damaged_policy_raises_anything_else(start: int, length: int, inserted: str) -> None:
    text = DESIGN[:start] + inserted + DESIGN[start + length :]
    lint_policy({"p.yaml": text}, issuers=["corp"], credentials=["billing-token"])
