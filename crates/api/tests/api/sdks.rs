//! The unmodified Python SDKs and tccli against a real socket. Looks for them in `.cache/venv` of the
//! repository, or under the interpreter that `WHARF_TEST_PYTHON` names.

use crate::socket::{quick, start};
use std::path::PathBuf;
use std::process::{Command, Output};

const TENCENT: &str = r#"
import sys
from tencentcloud.common import credential
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
address = sys.argv[1]
params = {"FileSystemId": "cfs-1", "Limit": 20, "Filters": [{"Name": "a b", "Values": ["x&y", "é"]}], "Dry": True}
def client(key, secret, endpoint, method, sign):
    prof = ClientProfile(signMethod=sign, httpProfile=HttpProfile(protocol="http", endpoint=endpoint, reqMethod=method))
    return CommonClient("cfs", "2019-07-19", credential.Credential(key, secret), "ap-guangzhou", prof)
for endpoint in (address, address + "/tencent"):
    for method in ("POST", "GET"):
        for sign in ("TC3-HMAC-SHA256", "HmacSHA1", "HmacSHA256"):
            if "/" in endpoint and sign != "TC3-HMAC-SHA256":
                continue
            seen = client("AKIDTEST", "sk-test", endpoint, method, sign).call_json("DescribeDataFlow", params)["Response"]["Seen"]
            nested = seen["params"]
            assert nested["Filters"] == params["Filters"], (method, sign, seen)
            assert seen["region"] == "ap-guangzhou" and seen["language"] == "zh-CN", seen
            assert seen["flattened"] == (method == "GET" or sign != "TC3-HMAC-SHA256"), seen
            assert str(nested["Limit"]) == "20", seen
            for key, secret, code in (("AKIDTEST", "wrong", "AuthFailure.SignatureFailure"), ("AKIDX", "x", "AuthFailure.SecretIdNotFound")):
                try:
                    client(key, secret, endpoint, method, sign).call_json("DescribeDataFlow", params)
                    raise SystemExit("passed")
                except TencentCloudSDKException as e:
                    assert e.get_code() == code and len(e.get_request_id()) == 36, e
print("fine")
"#;

const ALIBABA: &str = r#"
import sys
from alibabacloud_nas20170626.client import Client
from alibabacloud_nas20170626 import models as m
from alibabacloud_tea_openapi.utils_models import Config
from alibabacloud_tea_openapi import exceptions
address = sys.argv[1]
def client(endpoint, algorithm, secret="sk-test"):
    return Client(Config(access_key_id="AKIDTEST", access_key_secret=secret, region_id="cn-hangzhou", endpoint=endpoint,
                         protocol="http", signature_algorithm=algorithm))
request = m.CreateDataFlowTaskRequest(file_system_id="bmcpfs-1", data_flow_id="df-1", task_action="Import", directory="/a b/*~é/", dry_run=True)
for endpoint in (address, address + "/ali", "http://" + address):
    for algorithm in (None, "v2"):
        answer = client(endpoint, algorithm).create_data_flow_task(request)
        assert answer.status_code == 200 and len(answer.body.request_id) == 36, answer
        try:
            client(endpoint, algorithm, "wrong").create_data_flow_task(request)
            raise SystemExit("passed")
        except exceptions.ClientException as e:
            assert e.code == "SignatureDoesNotMatch" and e.status_code == 400, e
try:
    client(address, None).describe_file_systems(m.DescribeFileSystemsRequest())
    raise SystemExit("passed")
except exceptions.ClientException as e:
    assert e.code == "InvalidApi.NotFound" and e.status_code == 404, e
print("fine")
"#;

fn python() -> Option<PathBuf> {
    let named = std::env::var_os("WHARF_TEST_PYTHON").map(PathBuf::from);
    let found = named
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.cache/venv/bin/python"));
    found.exists().then_some(found)
}

/// Runs a command beside the server, off its thread.
async fn run(mut command: Command) -> Output {
    runtime::blocking(move || command.output()).await.unwrap().unwrap()
}

async fn script(text: &'static str, needs: &str) {
    let Some(python) = python() else {
        println!("SKIPPED: no Python with SDKs (make the environment with scripts/setup.sh)");
        return;
    };
    let mut probe = Command::new(&python);
    probe.args(["-c", &format!("import {needs}")]);
    if !run(probe).await.status.success() {
        println!("SKIPPED: {needs} is not installed");
        return;
    }
    let server = start(quick(), |s| s).await;
    let mut command = Command::new(&python);
    command.args(["-c", text, &server.address.to_string()]);
    let out = run(command).await;
    let words = format!("{}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && words.contains("fine"), "{words}");
    server.stop.stop();
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn tencents_python_sdk() {
    script(TENCENT, "tencentcloud.common").await;
}

#[tokio::test]
async fn alibabas_python_sdk() {
    script(ALIBABA, "alibabacloud_nas20170626").await;
}

#[tokio::test]
async fn tccli() {
    let Some(tccli) = python().map(|p| p.with_file_name("tccli")).filter(|p| p.exists()) else {
        println!("SKIPPED: no tccli");
        return;
    };
    let server = start(quick(), |s| s).await;
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(tccli);
    command.env("HOME", home.path());
    command.args(["cfs", "DescribeDataFlow", "--secretId", "AKIDTEST", "--secretKey", "sk-test"]);
    command.args(["--region", "ap-guangzhou", "--FileSystemId", "cfs-1"]);
    command.args(["--endpoint", &format!("http://{}", server.address)]);
    let out = run(command).await;
    let words = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success() && words.contains("RequestId"),
        "{words} {}",
        String::from_utf8_lossy(&out.stderr)
    );
    server.stop.stop();
    server.task.await.unwrap().unwrap();
}
