"""The docs know each command, setting, key of the policy, cause and dependency, and their examples load."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from doorward.cli.main import commands
from doorward.core.policy_file import lint_policy, load_policy, run_policy_tests
from doorward.settings import Settings, parse_settings
from tests.parts.causes import causes_in
from tests.parts.clients.rows import CLIENTS
from tests.parts.clients.table import is_of, tables, with_tables, written

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted({*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "certs" / "README.md"})


def text(name: str) -> str:
    return (DOCS / name).read_text()


def examples(name: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", text(name), re.M | re.S)


def rows(part: str) -> dict[str, list[str]]:
    """Rows of the tables in a part of a page, by each code word of their first cell."""
    found: dict[str, list[str]] = {}
    for line in part.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for word in re.findall(r"`([^`]+)`", cells[0]) if cells else []:
            found[word] = cells
    return found


# Commands


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield " ".join(("doorward", *path)), command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from leaves(inner, (*path, name))


@pytest.mark.parametrize(("path", "command"), [pytest.param(*each, id=each[0]) for each in leaves(commands)])
def test_a_command_is_described_with_its_options(path: str, command: click.Command) -> None:
    of_command = [line for line in text("commands.md").splitlines() if re.match(rf"\| `{path}(`| [A-Z\[-])", line)]
    assert len(of_command) == 1
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert re.search(rf"(?<![\w-]){option.opts[0]}(?![\w-])", of_command[0]), option.opts[0]


def test_options_of_every_command_and_exit_codes_are_described() -> None:
    page = text("commands.md")
    for option in commands.params:
        if isinstance(option, click.Option) and option.name != "version":
            assert option.opts[0] in page
    assert {"0", "1", "2", "3"} <= {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}


# Settings


def model_of(field: FieldInfo) -> tuple[type[BaseModel] | None, bool]:
    """The model that a field holds, if it does, and whether by name."""
    kinds = [field.annotation, *get_args(field.annotation)]
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind, get_origin(field.annotation) is Mapping
    return None, False


def fields(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, str, FieldInfo]]:
    for name, field in model.model_fields.items():
        yield at, name, field
        inner, _ = model_of(field)
        if inner is not None:
            yield from fields(inner, f"{at}.{name}".strip("."))


def sections() -> dict[str, str]:
    """Parts of the page by the path that their heading names, aliases left out."""
    parts = re.split(r"^## (.+)$", text("settings.md"), flags=re.M)
    named = zip(parts[1::2], parts[2::2], strict=True)
    return {head.strip("`").partition(".")[0] if head != "Top level" else "": part for head, part in named}


@pytest.mark.parametrize(
    ("at", "name", "field"), [pytest.param(*each, id=f"{each[0]}.{each[1]}".strip(".")) for each in fields(Settings)]
)
def test_a_setting_is_described_with_its_default(at: str, name: str, field: FieldInfo) -> None:
    known = sections()
    if at not in known:  # a small part, told in the row of its key
        above, _, key = at.rpartition(".")
        assert re.search(rf"\b{name}: ", rows(known[above])[key][2])
        return
    default = rows(known[at])[name][1]
    if field.is_required():
        assert default == "must be there"
    elif model_of(field)[0] is None and field.default not in (None, ""):
        written = default.strip("`") if field.annotation is str else YAML(typ="safe").load(default.strip("`"))
        adapter: TypeAdapter[Any] = TypeAdapter(Settings if field.annotation is None else field.annotation)
        settings = adapter.validate_python(_converted(field, written))
        assert settings == field.default


def _converted(field: FieldInfo, written: object) -> object:
    """What the field's own validators make of a written value, before its type is looked at."""
    for each in field.metadata:
        if hasattr(each, "func"):
            written = each.func(written)
    return written


def test_no_setting_is_described_that_is_not_there() -> None:
    there = {(at, name) for at, name, _ in fields(Settings)}
    known = sections()
    for at in {at for at, _ in there} & known.keys():
        assert {(at, name) for name in rows(known[at])} <= there


def test_the_examples_of_settings_load() -> None:
    assert examples("settings.md")
    for example in examples("settings.md"):
        assert parse_settings(example, ROOT / "doorward.yaml").issuers


# The policy

# An unknown key in each place of a file, which makes the reader name all keys that it knows there.
PLACES = {
    "a file": "zzz: 1",
    "a target": "targets: {a: {zzz: 1}}",
    "a rule of a role": "roles: {a: [{zzz: 1}]}",
    "a binding": "bindings: [{zzz: 1}]",
    "a hold": "holds: [{zzz: 1}]",
    "approvers": "holds: [{name: a, match: {}, expires: 1h, approvers: {zzz: 1}}]",
    "a deny": "denies: [{zzz: 1}]",
    "match": "denies: [{name: a, match: {zzz: 1}}]",
    "to": "denies: [{name: a, match: {to: {zzz: 1}}}]",
    "a mask": "masks: [{zzz: 1}]",
    "a test": "tests: [{zzz: 1}]",
    "given": "tests: [{expect: deny, given: {zzz: 1}}]",
}


@pytest.mark.parametrize("place", PLACES)
def test_each_key_of_the_policy_is_described(place: str) -> None:
    (problem,) = lint_policy({"a.yaml": PLACES[place]}, issuers=["corp"], credentials=[])
    assert "unknown key 'zzz'" in problem.message
    keys = problem.hint.removeprefix("known: ").split(", ")
    assert len(keys) > 1
    page = text("policy.md")
    for key in keys:
        assert re.search(rf"`(given\.)?{key}[`.]", page), key


def test_the_examples_of_policies_load_and_pass() -> None:
    assert examples("policy.md")
    for example in examples("policy.md"):
        policy = load_policy({"example.yaml": example}, issuers=["corp"], credentials=["billing-token"])
        assert policy.tests
        assert [each for each in run_policy_tests(policy) if not each.passed] == []


# Causes


def test_each_cause_is_described() -> None:
    described = set(re.findall(r"`([a-z0-9-]+|http-NNN)`", text("errors.md")))
    assert sorted(causes_in(ROOT / "addons" / "doorward").keys() - described) == []


def test_no_cause_is_described_that_is_not_there() -> None:
    known = causes_in(ROOT / "addons" / "doorward").keys()
    tables = [part for part in re.split(r"^## ", text("errors.md"), flags=re.M)[1:] if "| cause |" in part]
    assert tables
    assert [cause for part in tables for cause in rows(part) if cause not in known] == []


# Clients


def test_the_tables_of_clients_are_those_of_a_run() -> None:
    """All but the versions, which are of the machine that ran `scripts/clients`."""
    assert is_of(CLIENTS, written(text("clients.md"))), "run scripts/clients"


def test_a_table_of_clients_that_says_something_else_is_noticed() -> None:
    versions = {client.key: "1.2" for client in CLIENTS}
    made = tables(CLIENTS, versions)
    assert is_of(CLIENTS, made)
    assert is_of(CLIENTS, tables(CLIENTS, {**versions, "curl": "10.0.1"}))
    assert not is_of(CLIENTS, made.replace("past the gateway", "through the gateway", 1))
    assert not is_of(CLIENTS[1:], made)
    assert not is_of(CLIENTS, "\n".join(made.splitlines()[:-1]))
    assert written(with_tables(text("clients.md"), made)) == made


def test_the_lines_for_java_are_those_that_were_run() -> None:
    (java,) = [client for client in CLIENTS if client.key == "java"]
    page = text("clients.md")
    for word in (*java.prepare.split(), *java.line.removesuffix(' "$@"').split()):
        assert word in page, word


# Dependencies and links


def test_each_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        asked += extra
    names = {re.split(r"[\[<>=!~; ]", each)[0] for each in asked} - {"doorward"}
    described = rows(text("dependencies.md")).keys()
    assert sorted(names - described) == []
    assert sorted(described - names) == []


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_decisions_are_numbered_in_a_row() -> None:
    numbers = [int(page.name[:4]) for page in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("example", sorted((DOCS / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_an_example_of_a_policy_is_clean_and_passes_its_own_tests(example: Path) -> None:
    files = {example.name: example.read_text()}
    credentials = ["anthropic-key", "crm-token"]  # as docs/agents.md has them
    assert not lint_policy(files, issuers=["corp"], credentials=credentials)
    outcomes = run_policy_tests(load_policy(files, issuers=["corp"], credentials=credentials))
    assert outcomes
    assert all(outcome.passed for outcome in outcomes), outcomes
