// Package seen is what the three programs share: where the server is, the wait for a task's end, and the one line they print.
//
// Everything comes from the environment, so that no key is on a command line. It knows no cloud.
package seen

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

const (
	patience = 90 * time.Second
	pause    = 100 * time.Millisecond
)

// Setting returns a variable that the test has to set, and ends the program where it is not.
func Setting(name string) string {
	value := os.Getenv(name)
	if value == "" {
		Check("reading the settings", fmt.Errorf("%s is not set", name))
	}
	return value
}

// Check ends the program, with the step's name, if the step failed.
func Check(step string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", step, err)
		os.Exit(1)
	}
}

// Until asks for a state until ended says so, and returns the last one; it gives up after a while.
func Until[T any](step string, ask func() (T, error), ended func(T) bool) T {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pause) {
		state, err := ask()
		Check(step, err)
		if ended(state) {
			return state
		}
	}
	Check(step, fmt.Errorf("no end within %s", patience))
	panic("unreachable")
}

// Print writes what the program saw as one line of JSON.
func Print(what map[string]any) {
	Check("printing", json.NewEncoder(os.Stdout).Encode(what))
}
