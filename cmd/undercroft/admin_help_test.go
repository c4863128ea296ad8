package main

import (
	"strings"
	"testing"
)

func TestHelpNamesEveryVerb(t *testing.T) {
	for _, topic := range topics() {
		for _, v := range topic.verbs {
			line := strings.Join(append([]string{v.name}, v.arguments...), " ")
			if !strings.Contains(topic.help, "  "+line) {
				t.Errorf("the help does not explain %q", line)
			}
			for _, name := range v.flags {
				if !strings.Contains(topic.help, "--"+name) {
					t.Errorf("the help does not explain --%s of %s", name, v.name)
				}
			}
		}
	}
	for _, command := range adminCommands() {
		if !strings.Contains(adminUsageText, "  "+command) && !strings.Contains(adminUsageText, ", "+command) {
			t.Errorf("the help does not name %q", command)
		}
	}
	for _, tt := range []struct{ command, want string }{
		{"account --help", accountUsageText},
		{"key create -h", accountUsageText},
		{"user help", accountUsageText},
		{"jobs --help", jobUsageText},
		{"repair -h", jobUsageText},
		{"disk --help", diskUsageText},
		{"pause help", jobUsageText},
		{"--help", adminUsageText},
		{"status -h", adminUsageText},
	} {
		args := append([]string{"admin"}, strings.Fields(tt.command)...)
		if code, stdout, stderr := runOnce(t, nil, nil, args...); code != exitOK || stdout != tt.want || stderr != "" {
			t.Errorf("%v: %d %q", args, code, stderr)
		}
	}
}
