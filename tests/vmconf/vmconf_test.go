// SPDX-License-Identifier: Apache-2.0

// Package vmconf runs Firecracker's own reader of CNI results on results that the plugin printed:
// PICKET_RESULTS is a folder of cases, each a file NAME.json with {"containerID", "tap", "netns",
// "expect": {"mac", "ip", "gateway", "kernelArgument"}, "result"}; netns must be entered already.
package vmconf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/firecracker-microvm/firecracker-go-sdk/cni/vmconf"
)

type vmCase struct {
	ContainerID string
	Tap         string
	Version     string
	Expect      struct {
		MAC, IP, Gateway, KernelArgument string
		MTU                              int
	}
	Result json.RawMessage
}

func load(t *testing.T, path string) vmCase {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c vmCase
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return c
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %q, expected %q", what, got, want)
	}
}

func TestFirecrackerReadsResult(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(os.Getenv("PICKET_RESULTS"), "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in PICKET_RESULTS=%q", os.Getenv("PICKET_RESULTS"))
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c := load(t, path)
			result, err := create.CreateFromBytes(c.Result)
			if err != nil {
				t.Fatalf("the result is none: %v", err)
			}
			conf, err := vmconf.StaticNetworkConfFrom(result, c.ContainerID)
			if err != nil {
				t.Fatalf("Firecracker's SDK refuses the result: %v", err)
			}
			check(t, "tap", conf.TapName, c.Tap)
			check(t, "MAC", conf.VMMacAddr, c.Expect.MAC)
			check(t, "address", conf.VMIPConfig.Address.String(), c.Expect.IP)
			check(t, "gateway", conf.VMIPConfig.Gateway.String(), c.Expect.Gateway)
			conf.VMIfName = "eth0"
			check(t, "kernel argument", "ip="+conf.IPBootParam(), c.Expect.KernelArgument)
			if conf.VMMTU != c.Expect.MTU {
				t.Errorf("MTU is %d, expected %d", conf.VMMTU, c.Expect.MTU)
			}
		})
	}
}
