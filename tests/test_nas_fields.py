"""Every field of Alibaba's SDK models for the 23 actions is in the door's tables, and nothing else is."""

import json

import pytest

from harness import peers
from sdk_models import NAS_ACTIONS, all_fields


@pytest.fixture(scope="module")
def coverage(tmp_path_factory):
    try:
        program = peers.binary("WHARF_BIN", *peers.built("wharf"))
    except peers.Missing as e:
        pytest.skip(str(e))
    import subprocess

    done = subprocess.run([str(program), "coverage", "--json"], capture_output=True, text=True, check=True, timeout=60)
    return {op["action"]: op for op in json.loads(done.stdout)["nas"]}


@pytest.fixture(scope="module")
def models():
    pytest.importorskip("alibabacloud_nas20170626")
    return all_fields()["nas"]


KINDS = {
    "string": {"str", "List[str]"}, "integer": {"int"}, "boolean": {"bool"}, "object": {"object"},
}


def test_every_action_is_there(coverage):
    assert sorted(coverage) == sorted(NAS_ACTIONS)


@pytest.mark.parametrize("action", NAS_ACTIONS)
@pytest.mark.parametrize("side", ("request", "response"))
def test_every_field_is_declared(coverage, models, action, side):
    declared = {f["field"]: f for f in coverage[action][side]}
    wanted = {path: kind for path, kind in models[action][side] if path != "RequestId"}
    assert sorted(wanted) == sorted(declared), "the tables and the SDK's models differ"
    for path, kind in wanted.items():
        words = declared[path]["type"].removeprefix("list of ")
        assert kind in KINDS[words], f"{path}: {words} for the model's {kind}"


def test_what_is_not_honoured_has_a_reason(coverage):
    for action, op in coverage.items():
        for side in ("request", "response"):
            for field in op[side]:
                assert field["how"] == "honoured" or field["reason"], f"{action} {field['field']}"
