// The main CFS actions through Tencent's own Go SDK, unmodified.
//
// It uses the SDK's common client, which signs, sends and reads any action by name. The generated package for CFS adds
// structs on top; the module proxy did not serve that module when this was written, so the parameters are spelt here.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tcerr "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"

	"sdkcheck/seen"
)

type parameters = map[string]any

// answer has the fields of every action that is called here; those of other actions stay empty.
type answer struct {
	RequestId, DataFlowId, TaskId string
	TotalCount                    int
	DataFlows                     []struct{ DataFlowId, Status, SourcePath, TargetPath string }
	LifecycleDataTask             []struct {
		TaskId, TaskStatus, Type                            string
		FileTotalCount, FileSuccessedCount, FileFailedCount int
	}
}

type server struct{ client *common.Client }

func connect() server {
	settings := profile.NewClientProfile()
	settings.HttpProfile.Endpoint = seen.Setting("WHARF_TEST_ENDPOINT")
	settings.HttpProfile.Scheme = "HTTP"
	settings.HttpProfile.ReqTimeout = 30
	keys := common.NewCredential(seen.Setting("WHARF_TEST_KEY"), seen.Setting("WHARF_TEST_SECRET"))
	return server{common.NewCommonClient(keys, "ap-guangzhou", settings)}
}

func (s server) call(action string, params parameters) (answer, error) {
	request := tchttp.NewCommonRequest("cfs", "2019-07-19", action)
	if err := request.SetActionParameters(params); err != nil {
		return answer{}, err
	}
	response := tchttp.NewCommonResponse()
	if err := s.client.Send(request, response); err != nil {
		return answer{}, fmt.Errorf("%s: %w", action, err)
	}
	var body struct{ Response answer }
	err := json.Unmarshal(response.GetBody(), &body)
	return body.Response, err
}

func (s server) must(action string, params parameters) answer {
	got, err := s.call(action, params)
	seen.Check(action, err)
	return got
}

// refused returns the code of the SDK's own error.
func (s server) refused(action string, params parameters) string {
	_, err := s.call(action, params)
	var refusal *tcerr.TencentCloudSDKError
	if !errors.As(err, &refusal) {
		seen.Check(action, fmt.Errorf("wanted a refusal of the SDK's type, got %v", err))
	}
	return refusal.GetCode()
}

// archived waits for a task's end and returns the answer that shows it.
func (s server) archived(task string) answer {
	const form = "2006-01-02 15:04:05"
	now := time.Now().UTC()
	params := parameters{
		"TaskId": task, "StartTime": now.Add(-24 * time.Hour).Format(form), "EndTime": now.Add(24 * time.Hour).Format(form),
	}
	return seen.Until("the end of "+task,
		func() (answer, error) { return s.call("DescribeLifecycleDataTask", params) },
		func(a answer) bool {
			if len(a.LifecycleDataTask) != 1 {
				return false
			}
			switch a.LifecycleDataTask[0].TaskStatus {
			case "finished", "failed", "stopped":
				return true
			}
			return false
		})
}

func main() {
	s, fs := connect(), seen.Setting("WHARF_TEST_FILE_SYSTEM")
	source := func(fs string) parameters {
		return parameters{
			"FileSystemId": fs, "SourceStorageType": "S3_COS", "SourceStorageAddress": seen.Setting("WHARF_TEST_ADDRESS"),
			"SourcePath": "from-go", "TargetPath": "/cfs/tree", "DataFlowName": "from_go",
			"SecretId": seen.Setting("WHARF_TEST_STORE_KEY"), "SecretKey": seen.Setting("WHARF_TEST_STORE_SECRET"),
		}
	}
	refusal := s.refused("CreateDataFlow", source("cfs-unknown1"))
	flow := s.must("CreateDataFlow", source(fs)).DataFlowId
	task := s.must("CreateLifecycleDataTask", parameters{
		"FileSystemId": fs, "Type": "archive", "TaskName": "go", "TaskPath": "/cfs/tree",
	}).TaskId
	ended := s.archived(task)
	flows := s.must("DescribeDataFlow", parameters{"FileSystemId": fs})
	s.must("DeleteDataFlow", parameters{"DataFlowId": flow, "FileSystemId": fs})
	seen.Print(map[string]any{
		"flow": flow, "task": ended.LifecycleDataTask[0], "task_id": task, "flows": flows.DataFlows, "refusal": refusal,
		"request_id": ended.RequestId, "flows_left": s.must("DescribeDataFlow", parameters{}).TotalCount,
	})
}
