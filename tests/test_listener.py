"""The listener as clients meet it: TLS with a private authority, addresses of reports, accounts that come and go."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from alibabacloud_nas20170626 import models as m
from harness import peers, server
from tencentcloud.cfs.v20190719 import models as cfs_models
from trees import make_tree

FS = "bmcpfs-listener"


def call(running, *words, **options):
    done = running.command(*words, "--config", running.config, "--json", check=False, **options)
    assert done.stdout.startswith(("{", "[")), done.stdout + done.stderr
    return json.loads(done.stdout)


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def authority(at, name):
    """A private certificate authority: its certificate and key."""
    ca, key = at / f"{name}.pem", at / f"{name}.key"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", ca,
            "-days", "2", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    return ca, key


def certificate(at, ca, ca_key, names="IP:127.0.0.1,DNS:localhost"):
    """A certificate of these names under an authority: chain and key."""
    key, request, leaf, extensions = at / "leaf.key", at / "leaf.csr", at / "leaf.pem", at / "leaf.ext"
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=wharf")
    extensions.write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", leaf, "-days", "2", "-extfile", extensions)
    return leaf, key


@pytest.fixture
def secure(wharf, weed, tmp_path):
    """A server with TLS, its authority, and an authority that is not its own."""
    ca, ca_key = authority(tmp_path, "ours")
    other, _ = authority(tmp_path, "other")
    leaf, key = certificate(tmp_path, ca, ca_key)
    make_tree(tmp_path / "root" / "data", files=10)
    running = wharf(
        filesystems=[server.filesystem(FS, "cpfs-lingjun", tmp_path / "root")],
        object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)],
        sections={"listen": {"tls_certificate": str(leaf), "tls_key": str(key)}},
    )
    return running, ca, other


def test_sdks_and_the_command_line_speak_tls_with_a_private_authority(secure, bucket):
    running, ca, other = secure
    shown = running.nas(ca=ca).describe_file_systems(m.DescribeFileSystemsRequest()).body
    assert shown.total_count == 1
    request = cfs_models.DescribeCfsFileSystemsRequest()
    assert running.cfs(ca=ca).DescribeCfsFileSystems(request).TotalCount == 0
    flow = call(running, "flow", "create", "--file-system", FS, "--directory", "/data", "--bucket", f"s3://{bucket}/", env={"SSL_CERT_FILE": str(ca)})
    task = call(running, "task", "create", "--flow", flow["id"], "export", env={"SSL_CERT_FILE": str(ca)})
    assert task["status"] == "completed", task
    # The address of a report is secure too, and opens over the same authority.
    path = next(r["path"] for r in task["reports"] if r["name"] == "total")
    with urllib.request.urlopen(running.url + path, context=ssl.create_default_context(cafile=ca), timeout=10) as answer:
        assert answer.read().startswith(b"path,size,outcome")


def test_the_wrong_authority_and_plain_http_fail_cleanly(secure):
    running, ca, other = secure
    for bad in (other, None):
        with pytest.raises(Exception, match="(?i)certificate"):
            running.nas(ca=bad).describe_file_systems(m.DescribeFileSystemsRequest())
        with pytest.raises(Exception, match="(?i)certificate"):
            running.cfs(ca=bad).DescribeCfsFileSystems(cfs_models.DescribeCfsFileSystemsRequest())
        done = running.command("flow", "list", "--config", running.config, check=False, env={"SSL_CERT_FILE": str(bad)} if bad else {})
        assert done.returncode == 1 and "ertificate" in done.stderr, done.stderr
    host, port = running.address.split(":")
    before = handles(running)
    for text in (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nX-TC-Action: DescribeDataFlow\r\nContent-Length: 2\r\n\r\n{}", b"\x00" * 50):
        with socket.create_connection((host, int(port)), timeout=10) as s:
            s.sendall(text)
            s.settimeout(10)
            got = b""
            try:
                while chunk := s.recv(4096):
                    got += chunk
            except ConnectionResetError:
                pass
            # A TLS alert at the most, never an answer in the clear; and the connection is over at once.
            assert b"HTTP/" not in got and len(got) < 16, got
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(running.url.replace("https", "http") + "/healthz", timeout=10)
    assert running.nas(ca=ca).describe_file_systems(m.DescribeFileSystemsRequest()).body.total_count == 1
    peers.wait_until("the connections' end", lambda: handles(running) <= before + 4)
    assert "panicked" not in running.log.read_text()


def handles(running):
    return len(os.listdir(f"/proc/{running.process.pid}/fd"))


def report_urls(running, flow, task):
    filters = [m.DescribeDataFlowTasksRequestFilters(key="TaskIds", value=task)]
    request = m.DescribeDataFlowTasksRequest(file_system_id=FS, filters=filters, with_reports=True)
    shown = running.nas().describe_data_flow_tasks(request).body.task_info.task[0]
    return shown.status, [r.path for r in shown.reports.report]


def exported(running, bucket):
    nas = running.nas()
    request = m.CreateDataFlowRequest(file_system_id=FS, source_storage=f"oss://{bucket}", file_system_path="/data/", source_storage_path="/")
    flow = nas.create_data_flow(request).body.data_flow_id
    request = m.CreateDataFlowTaskRequest(file_system_id=FS, data_flow_id=flow, task_action="Export", conflict_policy="OVERWRITE_EXISTING")
    task = nas.create_data_flow_task(request).body.task_id
    peers.wait_until("the export", lambda: report_urls(running, flow, task)[0] == "Completed")
    return flow, task


def plain(wharf, weed, tmp_path, **listen):
    make_tree(tmp_path / "root" / "data", files=10)
    return wharf(
        filesystems=[server.filesystem(FS, "cpfs-lingjun", tmp_path / "root"), server.filesystem("cfs-listener", "cfs", tmp_path / "root")],
        object_stores=[server.object_store("weed", weed.url, weed.access_key, weed.secret_key)],
        sections={"listen": listen},
    )


def test_the_public_url_stands_in_the_addresses_of_reports(wharf, weed, bucket, tmp_path):
    running = plain(wharf, weed, tmp_path, public_url="https://wharf.example.com/")
    flow, task = exported(running, bucket)
    _, urls = report_urls(running, flow, task)
    assert urls
    for url in urls:
        assert url.startswith(f"https://wharf.example.com/reports/{task}/"), url
        # The proxy of that name would ask us for the same path.
        with urllib.request.urlopen(url.replace("https://wharf.example.com", running.url), timeout=10) as answer:
            assert answer.status == 200
    # Without it, the address is the one that the client called.
    running.configure(**{**running.parts, "sections": {"listen": {}}})
    running.restart()
    _, urls = report_urls(running, flow, task)
    assert all(url.startswith(f"{running.url}/reports/") for url in urls), urls


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def test_the_address_of_a_report_ends_and_every_listing_gives_a_new_one(wharf, weed, bucket, tmp_path):
    running = plain(wharf, weed, tmp_path, report_link_seconds=2)
    flow, task = exported(running, bucket)
    old = report_urls(running, flow, task)[1][0]
    status, body = peers.wait_until("the end of the address", lambda: (got := get(old))[0] != 200 and got)
    assert status == 403 and b"<Code>AccessDenied</Code><Message>Request has expired.</Message>" in body, body
    assert b"<Expires>" in body and b"<ServerTime>" in body
    # Listed again it opens again; the old one stays shut, and so does one with an end that somebody else wrote.
    new = peers.wait_until("a fresh address", lambda: (url := report_urls(running, flow, task)[1][0]) and get(url)[0] == 200 and url)
    assert new != old and get(old)[0] == 403
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(old).query)["token"][0]
    later = f"{2**62:016x}" + token[16:]
    assert get(old.replace(token, later))[0] == 404
    assert get(old.replace(token, ""))[0] == 404 and get(old.split("?")[0])[0] == 404


def test_an_account_that_left_the_configuration_signs_nothing_until_it_is_back(wharf, tmp_path):
    (tmp_path / "root").mkdir()
    second = {**server.ACCOUNT, "name": "second", "access_key_id": "AKIDSECOND", "access_key_secret": "sk-second-secret", "operator": False}
    parts = {"filesystems": [server.filesystem(FS, "cpfs-lingjun", tmp_path / "root")]}
    running = wharf(**parts, accounts=(server.ACCOUNT, second))
    made = call(running, "account", "create", "made")
    keys = [(second["access_key_id"], second["access_key_secret"]), (made["account"]["access_key_id"], made["access_key_secret"])]

    def works(key, secret):
        running.nas(key, secret).describe_file_systems(m.DescribeFileSystemsRequest())
        running.cfs(key, secret).DescribeCfsFileSystems(cfs_models.DescribeCfsFileSystemsRequest())

    for key in keys:
        works(*key)
    running.configure(**parts, accounts=(server.ACCOUNT,))
    running.restart()
    with pytest.raises(Exception, match="InvalidAccessKeyId"):
        running.nas(*keys[0]).describe_file_systems(m.DescribeFileSystemsRequest())
    with pytest.raises(Exception, match="AuthFailure"):
        running.cfs(*keys[0]).DescribeCfsFileSystems(cfs_models.DescribeCfsFileSystemsRequest())
    works(*keys[1])  # one that was made by command is nobody's declaration
    works(server.ACCOUNT["access_key_id"], server.ACCOUNT["access_key_secret"])
    running.configure(**parts, accounts=(server.ACCOUNT, second))
    running.restart()
    works(*keys[0])
    # An operator's own switch is not undone by a restart of a made account.
    call(running, "account", "disable", made["account"]["id"])
    running.restart()
    with pytest.raises(Exception, match="InvalidAccessKeyId"):
        running.nas(*keys[1]).describe_file_systems(m.DescribeFileSystemsRequest())
