// The main NAS actions of a Lingjun file system through the core of Alibaba's present Go SDKs, unmodified.
//
// The core signs (ACS3-HMAC-SHA256), sends, and makes the errors. The generated NAS package of that generation adds structs
// on top; the module proxy did not serve that module when this was written, so the parameters are spelt here.
package main

import (
	"encoding/json"
	"errors"
	"fmt"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"

	"sdkcheck/seen"
)

type parameters = map[string]any

// answer has the fields of every action that is called here; those of other actions stay empty.
type answer struct {
	RequestId, DataFlowId, TaskId string
	TaskInfo                      struct{ Task []task }
	DataFlowInfo                  struct {
		DataFlow []struct{ DataFlowId, Status, SourceStorage, FileSystemPath string }
	}
}

type task struct {
	TaskId, Status, TaskAction, ErrorMsg string
	Progress                             int
	ProgressStats                        struct{ FilesTotal, FilesDone, BytesTotal, BytesDone int64 }
}

type server struct{ client *openapi.Client }

func connect() server {
	client, err := openapi.NewClient(&openapi.Config{
		AccessKeyId: dara.String(seen.Setting("WHARF_TEST_KEY")), AccessKeySecret: dara.String(seen.Setting("WHARF_TEST_SECRET")),
		Endpoint: dara.String(seen.Setting("WHARF_TEST_ENDPOINT")), Protocol: dara.String("http"), RegionId: dara.String("cn-hangzhou"),
	})
	seen.Check("making a client", err)
	return server{client}
}

func (s server) call(action string, query parameters) (answer, error) {
	params := &openapi.Params{
		Action: dara.String(action), Version: dara.String("2017-06-26"), Protocol: dara.String("HTTP"), Pathname: dara.String("/"),
		Method: dara.String("POST"), AuthType: dara.String("AK"), Style: dara.String("RPC"), ReqBodyType: dara.String("formData"),
		BodyType: dara.String("json"),
	}
	request := &openapi.OpenApiRequest{Query: utils.Query(query)}
	got, err := s.client.CallApi(params, request, &dara.RuntimeOptions{Autoretry: dara.Bool(false), ReadTimeout: dara.Int(30_000)})
	if err != nil {
		return answer{}, err
	}
	// The core gives a map; JSON is the short way from there to a struct.
	text, err := json.Marshal(got["body"])
	if err != nil {
		return answer{}, err
	}
	var body answer
	return body, json.Unmarshal(text, &body)
}

func (s server) must(action string, query parameters) answer {
	got, err := s.call(action, query)
	seen.Check(action, err)
	return got
}

// refused returns the status and code of the SDK's own error.
func (s server) refused(action string, query parameters) (int, string) {
	_, err := s.call(action, query)
	var refusal *tea.SDKError
	if !errors.As(err, &refusal) {
		seen.Check(action, fmt.Errorf("wanted a refusal of the SDK's type, got %T %v", err, err))
	}
	return tea.IntValue(refusal.StatusCode), tea.StringValue(refusal.Code)
}

func main() {
	s, fs := connect(), seen.Setting("WHARF_TEST_FILE_SYSTEM")
	source := func(fs string) parameters {
		return parameters{
			"FileSystemId": fs, "SourceStorage": seen.Setting("WHARF_TEST_SOURCE"), "FileSystemPath": "/data/", "SourceStoragePath": "/in/",
			"Description": "from Go, * and & and spaces",
		}
	}
	status, code := s.refused("CreateDataFlow", source("bmcpfs-0"))
	flow := s.must("CreateDataFlow", source(fs)).DataFlowId
	export := func(dry bool) answer {
		return s.must("CreateDataFlowTask", parameters{
			"FileSystemId": fs, "DataFlowId": flow, "TaskAction": "Export", "Directory": "/tree/", "DstDirectory": "/up/",
			"ConflictPolicy": "OVERWRITE_EXISTING", "DryRun": dry,
		})
	}
	dry := export(true)
	none := s.must("DescribeDataFlowTasks", parameters{"FileSystemId": fs}).TaskInfo.Task
	made := export(false).TaskId
	query := parameters{"FileSystemId": fs, "Filters": []parameters{{"Key": "TaskIds", "Value": made}}}
	ended := seen.Until("the end of "+made, func() (answer, error) { return s.call("DescribeDataFlowTasks", query) }, func(a answer) bool {
		found := a.TaskInfo.Task
		return len(found) == 1 && found[0].Status != "Pending" && found[0].Status != "Executing"
	})
	flows := s.must("DescribeDataFlows", parameters{"FileSystemId": fs}).DataFlowInfo.DataFlow
	s.must("DeleteDataFlow", parameters{"FileSystemId": fs, "DataFlowId": flow})
	left := s.must("DescribeDataFlows", parameters{"FileSystemId": fs}).DataFlowInfo.DataFlow
	seen.Print(map[string]any{
		"flow": flow, "dry_task": dry.TaskId, "dry_request": dry.RequestId, "tasks_after_dry_run": len(none), "task_id": made,
		"task": ended.TaskInfo.Task[0], "flows": flows, "flows_left": len(left), "status": status, "refusal": code,
	})
}
