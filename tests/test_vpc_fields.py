"""No field of the SDK's models is forgotten: the door's tables name each one, and say what becomes of it."""

import json
import re
import subprocess

import pytest
import sdk_models
from harness import peers

TYPES = {"str": {"string"}, "int": {"integer", "unsigned integer"}, "bool": {"boolean"}, "float": {"number"}, "object": {"object"}}


@pytest.fixture(scope="module")
def tables():
    """The door's own account of its fields, by action."""
    try:
        program = peers.binary("WHARF_BIN", *peers.built("wharf"))
    except peers.Missing as e:
        pytest.skip(str(e))
    out = subprocess.run([str(program), "coverage", "--json"], capture_output=True, check=True, timeout=60).stdout
    return {operation["action"]: operation for operation in json.loads(out)["vpc"]}


def test_the_actions_are_those_in_scope(tables):
    assert sorted(tables) == sorted(sdk_models.VPC_ACTIONS)


@pytest.mark.parametrize("action", sdk_models.VPC_ACTIONS)
@pytest.mark.parametrize("side", ["request", "response"])
def test_every_field_is_accounted_for(tables, action, side):
    want = dict(sdk_models.all_fields()["vpc"][action][side])
    want.pop("RequestId", None)
    # The SDK's model has one Filter, the product's pages a list of them: both are taken.
    want = {re.sub(r"^Filters(?=$|\.)", "Filters[]", field): kind for field, kind in want.items()}
    rows = {row["field"]: row for row in tables[action][side]}
    assert sorted(rows) == sorted(want), "the table and the model differ"
    for field, row in rows.items():
        base = row["type"].removeprefix("list of ")
        assert base in TYPES[want[field]], f"{field}: {row['type']} is not {want[field]}"
        assert row["how"] in ("honoured", "stored", "refused")
        assert row["how"] == "honoured" or row["reason"], f"{field} is {row['how']} without a reason"
