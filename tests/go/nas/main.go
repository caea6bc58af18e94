// The main NAS actions of a general CPFS file system through Alibaba's own Go SDK of the first generation, unmodified.
//
// Its generated structs come from before the Lingjun family and before filesets, so it drives a general flow and asks for
// the fileset by the SDK's request for any action. It signs the older way (RPC, HMAC-SHA1).
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/nas"

	"sdkcheck/seen"
)

type server struct {
	*nas.Client
	endpoint, fs string
}

func connect() server {
	config := sdk.NewConfig().WithScheme("HTTP").WithTimeout(30 * time.Second).WithAutoRetry(false)
	keys := credentials.NewAccessKeyCredential(seen.Setting("WHARF_TEST_KEY"), seen.Setting("WHARF_TEST_SECRET"))
	client, err := nas.NewClientWithOptions("cn-hangzhou", config, keys)
	seen.Check("making a client", err)
	return server{client, seen.Setting("WHARF_TEST_ENDPOINT"), seen.Setting("WHARF_TEST_FILE_SYSTEM")}
}

func (s server) fileset(path string) string {
	request := requests.NewCommonRequest()
	request.Method, request.Domain, request.Version, request.ApiName = "POST", s.endpoint, "2017-06-26", "CreateFileset"
	request.QueryParams = map[string]string{"FileSystemId": s.fs, "FileSystemPath": path}
	response, err := s.ProcessCommonRequest(request)
	seen.Check("CreateFileset", err)
	var body struct{ FsetId string }
	seen.Check("CreateFileset", json.Unmarshal(response.GetHttpContentBytes(), &body))
	return body.FsetId
}

func (s server) flow(fs, fset string) (*nas.CreateDataFlowResponse, error) {
	request := nas.CreateCreateDataFlowRequest()
	request.SetDomain(s.endpoint)
	request.FileSystemId, request.FsetId, request.SourceStorage = fs, fset, seen.Setting("WHARF_TEST_SOURCE")
	request.Throughput, request.Description = requests.NewInteger(600), "from Go, * and & and spaces"
	return s.CreateDataFlow(request)
}

func (s server) export(flow string, dry bool) *nas.CreateDataFlowTaskResponse {
	request := nas.CreateCreateDataFlowTaskRequest()
	request.SetDomain(s.endpoint)
	request.FileSystemId, request.DataFlowId = s.fs, flow
	request.TaskAction, request.Directory = "Export", "/tree/"
	if dry {
		request.DryRun = requests.NewBoolean(true)
	}
	got, err := s.CreateDataFlowTask(request)
	seen.Check("CreateDataFlowTask", err)
	return got
}

// tasks lists the tasks of an id, or all of them.
func (s server) tasks(id string) ([]nas.Task, error) {
	request := nas.CreateDescribeDataFlowTasksRequest()
	request.SetDomain(s.endpoint)
	request.FileSystemId = s.fs
	if id != "" {
		request.Filters = &[]nas.DescribeDataFlowTasksFilters{{Key: "TaskIds", Value: id}}
	}
	got, err := s.DescribeDataFlowTasks(request)
	if err != nil {
		return nil, err
	}
	return got.TaskInfo.Task, nil
}

func (s server) flows() []nas.DataFlow {
	request := nas.CreateDescribeDataFlowsRequest()
	request.SetDomain(s.endpoint)
	request.FileSystemId = s.fs
	got, err := s.DescribeDataFlows(request)
	seen.Check("DescribeDataFlows", err)
	return got.DataFlowInfo.DataFlow
}

func (s server) delete(flow string) {
	request := nas.CreateDeleteDataFlowRequest()
	request.SetDomain(s.endpoint)
	request.FileSystemId, request.DataFlowId = s.fs, flow
	_, err := s.DeleteDataFlow(request)
	seen.Check("DeleteDataFlow", err)
}

// refusal returns the status and code of the SDK's own error.
func refusal(err error) (int, string) {
	var refused *sdkerrors.ServerError
	if !errors.As(err, &refused) {
		seen.Check("a refusal", fmt.Errorf("wanted an error of the SDK's type, got %v", err))
	}
	return refused.HttpStatus(), refused.ErrorCode()
}

func main() {
	s := connect()
	fset := s.fileset("/set/")
	_, err := s.flow("cpfs-0", fset)
	status, code := refusal(err)
	made, err := s.flow(s.fs, fset)
	seen.Check("CreateDataFlow", err)
	// Only an empty fileset becomes a flow without harm, so the files come now.
	seen.Check("moving the tree", os.Rename(seen.Setting("WHARF_TEST_TREE"), seen.Setting("WHARF_TEST_PLACE")))
	dry := s.export(made.DataFlowId, true)
	none, err := s.tasks("")
	seen.Check("DescribeDataFlowTasks", err)
	task := s.export(made.DataFlowId, false).TaskId
	ended := seen.Until("the end of "+task, func() ([]nas.Task, error) { return s.tasks(task) }, func(found []nas.Task) bool {
		return len(found) == 1 && found[0].Status != "Pending" && found[0].Status != "Executing"
	})
	flows := s.flows()
	s.delete(made.DataFlowId)
	seen.Print(map[string]any{
		"flow": made.DataFlowId, "dry_task": dry.TaskId, "dry_request": dry.RequestId, "tasks_after_dry_run": len(none),
		"task_id": task, "task": ended[0], "flows": flows, "flows_left": len(s.flows()), "status": status, "refusal": code,
	})
}
