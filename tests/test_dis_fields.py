"""No field of the SDK's models is forgotten: the door's tables name each one, and say what becomes of it."""

import json
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
    return {operation["action"]: operation for operation in json.loads(out)["dis"]}


def test_the_actions_are_those_in_scope(tables):
    dumps = set(sdk_models.DIS_DUMP_ACTIONS)
    assert sorted(a for a in tables if a not in dumps and "TransferTask" not in a) == sorted(sdk_models.DIS_ACTIONS)


@pytest.mark.parametrize("action", sdk_models.DIS_ACTIONS)
@pytest.mark.parametrize("side", ["request", "response"])
def test_every_field_is_accounted_for(tables, action, side):
    want = dict(sdk_models.all_fields()["dis"][action][side])
    rows = {row["field"]: row for row in tables[action][side]}
    assert sorted(rows) == sorted(want), "the table and the model differ"
    for field, row in rows.items():
        base = row["type"].removeprefix("list of ")
        assert base in TYPES[want[field]], f"{field}: {row['type']} is not {want[field]}"
        assert row["how"] in ("honoured", "stored", "refused")
        assert row["how"] == "honoured" or row["reason"], f"{field} is {row['how']} without a reason"
