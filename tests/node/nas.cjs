// The NAS actions through Alibaba's own Node SDK, unmodified: its generated client and models, its defaults, its error class.
//
// A Lingjun flow moves the files; starting and stopping a flow is the general family's alone.
"use strict";

const nas = require("@alicloud/nas20170626");
const { $OpenApiUtil, ClientError } = require("@alicloud/openapi-core");
const { main, refused, setting, until } = require("./seen.cjs");

const LINGJUN = setting("FILE_SYSTEM");
const GENERAL = setting("GENERAL");
const SOURCE = setting("SOURCE");
const SIGNATURES = { acs3: undefined, rpc: "v2" };

function connect(accessKeySecret = setting("SECRET")) {
  return new nas.default(
    new $OpenApiUtil.Config({
      accessKeyId: setting("KEY"), accessKeySecret, regionId: "cn-hangzhou", endpoint: setting("ENDPOINT"), protocol: "http",
      signatureAlgorithm: SIGNATURES[setting("SIGNATURE")], readTimeout: 30_000,
    }),
  );
}

const client = connect();

/** One action by the SDK's own request model; the body of the answer. */
async function call(action, parameters, by = client) {
  const Request = nas[`${action[0].toUpperCase()}${action.slice(1)}Request`];
  return (await by[action](new Request(parameters))).body;
}

async function refusal(action, parameters, by = client) {
  const { code, statusCode, requestId, message } = await refused(ClientError, () => call(action, parameters, by));
  return { code, statusCode, requestId, message };
}

const flowsOf = async (fileSystemId) => (await call("describeDataFlows", { fileSystemId })).dataFlowInfo.dataFlow;

async function tasks(key, value) {
  const filters = key ? [new nas.DescribeDataFlowTasksRequestFilters({ key, value })] : undefined;
  return (await call("describeDataFlowTasks", { fileSystemId: LINGJUN, filters })).taskInfo.task;
}

const task = async (id) => (await tasks("TaskIds", id))[0];

const ended = (id) =>
  until(`the end of ${id}`, () => task(id), (t) => !["Pending", "Executing", "Canceling"].includes(t.status));

/** A fileset from its making to its deletion, with quota and protection. This SDK has no GetFileset. */
async function filesets() {
  const { fsetId } = await call("createFileset", {
    fileSystemId: LINGJUN, fileSystemPath: "/set/", description: "from Node", deletionProtection: true,
    quota: new nas.CreateFilesetRequestQuota({ sizeLimit: 10 * 2 ** 30, fileCountLimit: 10_000 }),
  });
  const ids = { fileSystemId: LINGJUN, fsetId };
  await call("setFilesetQuota", { ...ids, sizeLimit: 11 * 2 ** 30 });
  const filesets = (await call("describeFilesets", { fileSystemId: LINGJUN })).entries.entrie;
  await call("cancelFilesetQuota", ids);
  const fileset_protected = await refusal("deleteFileset", ids);
  await call("modifyFileset", { ...ids, deletionProtection: false, description: "free" });
  await call("deleteFileset", ids);
  const filesets_left = (await call("describeFilesets", { fileSystemId: LINGJUN })).entries.entrie.length;
  return { filesets, fset: fsetId, fileset_protected, filesets_left };
}

/** Exports a tree and imports it into another directory; a token answers with the same task, or with a refusal. */
async function thereAndBack(ids) {
  const common = { ...ids, conflictPolicy: "OVERWRITE_EXISTING" };
  const out = { ...common, taskAction: "Export", directory: "/tree/", dstDirectory: "/up/" };
  const dry = await call("createDataFlowTask", { ...out, dryRun: true });
  const tasks_after_dry_run = (await tasks()).length;
  const made = await call("createDataFlowTask", { ...out, clientToken: "export" });
  const again = await call("createDataFlowTask", { ...out, clientToken: "export" });
  const mismatch = await refusal("createDataFlowTask", { ...out, clientToken: "export", dstDirectory: "/elsewhere/" });
  const exported = await ended(made.taskId);
  const back = { ...common, taskAction: "Import", directory: "/up/", dstDirectory: "/back/", createDirIfNotExist: true };
  const imported = await ended((await call("createDataFlowTask", back)).taskId);
  return { dry, tasks_after_dry_run, made, again, mismatch, exported, imported };
}

/** Cancels a task in its course. */
async function cancelled(ids) {
  const { taskId } = await call("createDataFlowTask", {
    ...ids, taskAction: "Export", directory: "/big/", dstDirectory: "/big/", conflictPolicy: "OVERWRITE_EXISTING",
  });
  await until(`${taskId} at work`, () => task(taskId), (t) => t.status === "Executing");
  await call("cancelDataFlowTask", { ...ids, taskId });
  return { cancelled: await ended(taskId), cancelled_again: await refusal("cancelDataFlowTask", { ...ids, taskId }) };
}

/** A general flow that is stopped and started again. */
async function general() {
  const { fsetId } = await call("createFileset", { fileSystemId: GENERAL, fileSystemPath: "/set/" });
  const { dataFlowId } = await call("createDataFlow", { fileSystemId: GENERAL, fsetId, sourceStorage: SOURCE, throughput: 600 });
  const ids = { fileSystemId: GENERAL, dataFlowId };
  const states = [];
  for (const action of ["stopDataFlow", "startDataFlow"]) {
    await call(action, ids);
    states.push((await flowsOf(GENERAL))[0].status);
  }
  await call("deleteDataFlow", ids);
  await call("deleteFileset", { fileSystemId: GENERAL, fsetId });
  return { general_states: states, general_left: (await flowsOf(GENERAL)).length };
}

main(async () => {
  const flow = {
    fileSystemId: LINGJUN, sourceStorage: SOURCE, fileSystemPath: "/data/", sourceStoragePath: "/in/", clientToken: "flow",
    description: "from Node, * and & and spaces",
  };
  const seen = {
    systems: await call("describeFileSystems", { fileSystemType: "bmcpfs" }),
    refusal: await refusal("createDataFlow", { ...flow, fileSystemId: "bmcpfs-0" }),
    wrong_key: await refusal("describeFileSystems", {}, connect("wrong")),
    ...(await filesets()),
  };
  const { dataFlowId } = await call("createDataFlow", flow);
  seen.flow_again = (await call("createDataFlow", flow)).dataFlowId;
  seen.flow = dataFlowId;
  const ids = { fileSystemId: LINGJUN, dataFlowId };
  await call("modifyDataFlow", { ...ids, description: "renamed" });
  seen.flows = await flowsOf(LINGJUN);
  seen.not_stopped = await refusal("stopDataFlow", ids);
  Object.assign(seen, await thereAndBack(ids), await cancelled(ids), await general());
  await call("deleteDataFlow", ids);
  seen.flows_left = (await flowsOf(LINGJUN)).length;
  return seen;
});
