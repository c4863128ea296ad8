//go:build !linux

package fdbcluster

import "syscall"

// attributes spare a process the interrupts of a terminal.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func apart() *syscall.SysProcAttr { return attributes() }

func onMainThread() bool { return false }
