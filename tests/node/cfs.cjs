// The CFS actions through Tencent's own Node SDK, unmodified: its generated client, its defaults, its error class.
"use strict";

const fs = require("node:fs");
const { cfs } = require("tencentcloud-sdk-nodejs/tencentcloud/services/cfs");
const { default: Refusal } = require("tencentcloud-sdk-nodejs/tencentcloud/common/exception/tencent_cloud_sdk_exception");
const { main, refused, setting, until } = require("./seen.cjs");

const FS = setting("FILE_SYSTEM");
const ADDRESS = setting("ADDRESS");
const STORE = { id: setting("STORE_KEY"), key: setting("STORE_SECRET") };
const SOURCE = { SrcService: "COS", SrcSecretId: STORE.id, SrcSecretKey: STORE.key };

function connect({ secretKey = setting("SECRET"), signMethod = setting("SIGN"), reqMethod = setting("METHOD") } = {}) {
  return new cfs.v20190719.Client({
    credential: { secretId: setting("KEY"), secretKey },
    region: "ap-guangzhou",
    profile: { signMethod, httpProfile: { endpoint: setting("ENDPOINT"), protocol: "http://", reqMethod, reqTimeout: 30 } },
  });
}

const client = connect();
const code = async (call) => (await refused(Refusal, call)).code;

/** How the SDK shows a refusal, and that it needs the right key. */
async function refusals() {
  const unknown = await refused(Refusal, () => createFlow("cfs-unknown1"));
  return {
    refusal: { code: unknown.code, message: unknown.message, requestId: unknown.requestId },
    wrong_key: await code(() => connect({ secretKey: "wrong" }).DescribeDataFlow({})),
  };
}

/** The same question under every signature that the SDK can make. */
async function signatures() {
  const counts = {};
  for (const signMethod of ["TC3-HMAC-SHA256", "HmacSHA1", "HmacSHA256"])
    for (const reqMethod of ["POST", "GET"])
      counts[`${signMethod} ${reqMethod}`] = (await connect({ signMethod, reqMethod }).DescribeDataFlow({ FileSystemId: FS })).TotalCount;
  return counts;
}

function createFlow(FileSystemId) {
  return client.CreateDataFlow({
    FileSystemId, SourceStorageType: "S3_COS", SourceStorageAddress: ADDRESS, SourcePath: "from-node", TargetPath: "/cfs/tree",
    SecretId: STORE.id, SecretKey: STORE.key, DataFlowName: "from_node",
  });
}

async function lifecycleTask(TaskId) {
  const day = (from) => new Date(Date.now() + from * 86_400_000).toISOString().slice(0, 19).replace("T", " ");
  return (await client.DescribeLifecycleDataTask({ TaskId, StartTime: day(-1), EndTime: day(1) })).LifecycleDataTask[0];
}

async function lifecycle(Type, TaskPath) {
  return (await client.CreateLifecycleDataTask({ FileSystemId: FS, Type, TaskName: "node", TaskPath })).TaskId;
}

async function lifecycleEnded(task) {
  return until(`the end of ${task}`, () => lifecycleTask(task), (t) => ["finished", "failed", "stopped"].includes(t.TaskStatus));
}

/** Archives the tree, takes it away, restores it. */
async function thereAndBack() {
  const archived = await lifecycleEnded(await lifecycle("archive", "/cfs/tree/small"));
  fs.rmSync(setting("TREE"), { recursive: true });
  return { archived, restored: await lifecycleEnded(await lifecycle("restore", "/cfs/tree/small")) };
}

async function lifecycleStopped() {
  const task = await lifecycle("archive", "/cfs/tree/big");
  await until(`${task} at work`, () => lifecycleTask(task), (t) => t.TaskStatus === "running");
  await client.StopLifecycleDataTask({ TaskId: task });
  return { stopped: await lifecycleEnded(task), again: await code(() => client.StopLifecycleDataTask({ TaskId: task })) };
}

async function migration(what) {
  const made = await client.CreateMigrationTask({
    TaskName: "node", MigrationType: 0, MigrationMode: 0, FileSystemId: FS, CoverType: 0, BucketAddress: ADDRESS, ...SOURCE, ...what,
  });
  return made.TaskId;
}

async function migrationTask(task) {
  return (await client.DescribeMigrationTasks({ Filters: [{ Name: "taskId", Values: [task] }] })).MigrationTasks[0];
}

/** A migration to its end (0), and one that is stopped on the way (2, then 4); both deleted. */
async function migrations() {
  const whole = await migration({ BucketPath: "/from-node/small", FsPath: "/migrated" });
  const migrated = await until(`the end of ${whole}`, () => migrationTask(whole), (t) => [0, 4, 6].includes(t.Status));
  const part = await migration({ BucketPath: "/stopped", FsPath: "/tree/big", Direction: 1 });
  await until(`${part} at work`, () => migrationTask(part), (t) => t.Status === 2);
  const stop = await client.StopMigrationTask({ TaskId: part });
  const stopped = await until(`the stop of ${part}`, () => migrationTask(part), (t) => [0, 4, 6].includes(t.Status));
  for (const TaskId of [whole, part]) await client.DeleteMigrationTask({ TaskId });
  return {
    migrated, migration_stop: stop, migration_stopped: stopped,
    deleted_again: await code(() => client.DeleteMigrationTask({ TaskId: whole })),
    migrations_left: (await client.DescribeMigrationTasks({})).TotalCount,
  };
}

main(async () => {
  const systems = await client.DescribeCfsFileSystems({ FileSystemId: FS });
  const buckets = await client.DescribeBucketList(SOURCE);
  const seen = { systems, buckets, ...(await refusals()) };
  const made = await createFlow(FS);
  await client.ModifyDataFlow({ DataFlowId: made.DataFlowId, FileSystemId: FS, DataFlowName: "renamed" });
  seen.made = made;
  seen.flows = await client.DescribeDataFlow({ FileSystemId: FS });
  seen.signatures = await signatures();
  Object.assign(seen, await thereAndBack(), await lifecycleStopped(), await migrations());
  await client.DeleteDataFlow({ DataFlowId: made.DataFlowId, FileSystemId: FS });
  seen.flows_left = (await client.DescribeDataFlow({})).TotalCount;
  return seen;
});
